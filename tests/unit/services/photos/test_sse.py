"""What the store is asked to encrypt with, as it goes over the wire."""

import http.server
import threading
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from services.photos.store import PhotoStore
from services.settings.service import PhotoStoreSettings

Headers = dict[str, str]


@pytest.fixture
def asked() -> Iterator[tuple[str, Headers]]:
    """A server that takes one object: where it is, and the headers that came with it."""
    seen: Headers = {}

    class Taking(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            seen.update({name.lower(): value for name, value in self.headers.items()})
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("ETag", '"x"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Taking) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("none", {}),
        ("s3", {"": "AES256"}),
        ("kms:photos-2026", {"": "aws:kms", "-aws-kms-key-id": "photos-2026"}),
    ],
)
def test_objects_go_with_the_headers_of_the_setting(
    asked: tuple[str, Headers], setting: str, expected: dict[str, str]
) -> None:
    url, seen = asked
    store = PhotoStore.of(
        PhotoStoreSettings(photos_endpoint=url, photos_access_key="k", photos_secret_key="s", photos_sse=setting)
    )

    store.put("photos/1/pho_x", b"photo")

    name = "x-amz-server-side-encryption"
    assert {key: value for key, value in seen.items() if key.startswith(name)} == {
        f"{name}{tail}": value for tail, value in expected.items()
    }


def test_another_word_is_refused() -> None:
    with pytest.raises(ValidationError):
        PhotoStoreSettings(photos_sse="kms:")

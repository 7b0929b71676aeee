"""Fetching published weights, from a server that does what servers do."""

import base64
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from services.cli import pulling
from services.cli.pulling import Unfetched, fetch
from services.errors import InvalidModel

CONTENT = bytes(range(256)) * 12_000
"""3 MB."""


@dataclass
class Place:
    """A file on a server, and how the server misbehaves."""

    url: str = ""
    content: bytes = CONTENT
    etag: str = '"one"'
    drops_after: list[int] = field(default_factory=list)
    """Bytes after which each of the next answers breaks off."""
    takes_ranges: bool = True
    md5: str | None = None
    asked: list[str | None] = field(default_factory=list)
    """The ranges that were asked for."""


@pytest.fixture
def place() -> Iterator[Place]:
    told = Place(md5=base64.b64encode(hashlib.md5(CONTENT).digest()).decode())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            told.asked.append(wanted)
            start = 0
            if wanted and told.takes_ranges and self.headers.get("If-Range") == told.etag:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            body = told.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", told.etag)
            if told.md5:
                self.send_header("Content-MD5", told.md5)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(told.content) - 1}/{len(told.content)}")
            self.end_headers()
            if told.drops_after:
                self.wfile.write(body[: told.drops_after.pop(0)])
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(2)
            else:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    told.url = f"http://127.0.0.1:{server.server_port}/weights.pt"
    yield told
    server.shutdown()
    server.server_close()


def quiet(there: int, total: int | None) -> None:
    del there, total


def test_a_connection_that_breaks_is_gone_on_with(place: Place, tmp_path: Path) -> None:
    """From where it broke, twice, and the whole is right."""
    place.drops_after = [1_000_000, 500_000]
    path = tmp_path / "weights.pt"

    sha256 = fetch(place.url, path, on_progress=quiet)

    assert path.read_bytes() == CONTENT
    assert sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert place.asked[0] is None
    assert all(asked and int(asked[6:-1]) > 0 for asked in place.asked[1:])
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights.pt"]


def test_what_an_earlier_command_left_is_gone_on_with(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    place.drops_after = [400_000] + [0] * 10
    with pytest.raises(Unfetched, match="goes on from there"):
        fetch(place.url, path, on_progress=quiet)
    place.drops_after, place.asked = [], []

    fetch(place.url, path, on_progress=quiet)

    assert place.asked == ["bytes=400000-"]
    assert path.read_bytes() == CONTENT


def test_a_file_that_has_changed_meanwhile_is_begun_anew(place: Place, tmp_path: Path) -> None:
    """Halves of two files would be neither."""
    path = tmp_path / "weights.pt"
    place.drops_after = [400_000] + [0] * 10
    with pytest.raises(Unfetched):
        fetch(place.url, path, on_progress=quiet)
    place.drops_after, place.content, place.etag, place.md5 = [], CONTENT[::-1], '"two"', None

    fetch(place.url, path, on_progress=quiet)

    assert path.read_bytes() == CONTENT[::-1]


def test_a_server_without_ranges_is_begun_anew(place: Place, tmp_path: Path) -> None:
    place.takes_ranges, place.drops_after = False, [900_000]

    fetch(place.url, tmp_path / "weights.pt", on_progress=quiet)

    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


def test_a_file_that_did_not_arrive_as_it_was_sent_is_refused(place: Place, tmp_path: Path) -> None:
    place.md5 = base64.b64encode(b"0" * 16).decode()

    with pytest.raises(InvalidModel, match="Content-MD5"):
        fetch(place.url, tmp_path / "weights.pt", on_progress=quiet)

    assert not list(tmp_path.glob("weights.pt*.part"))


def test_a_file_with_another_checksum_is_removed(place: Place, tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="was expected"):
        fetch(place.url, tmp_path / "weights.pt", on_progress=quiet, sha256="0" * 64)

    assert not (tmp_path / "weights.pt").exists()


def test_no_more_is_taken_than_a_model_can_have(place: Place, tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="at most 1,000,000"):
        fetch(place.url, tmp_path / "weights.pt", on_progress=quiet, most_bytes=1_000_000)


def test_without_a_way_there_it_says_what_to_do(tmp_path: Path) -> None:
    """At once, and as what exits with 3."""
    with pytest.raises(Unfetched, match="models add") as told:
        fetch("http://127.0.0.1:9/weights.pt", tmp_path / "weights.pt", on_progress=quiet)

    assert told.value.status == 503


def test_what_is_published_comes_from_where_facenet_pytorch_fetches_it() -> None:
    for name, published in pulling.PUBLISHED.items():
        assert published.url.startswith("https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/")
        assert name in published.url
        assert published.url.endswith(f"-{name}.pt")

"""The photo store against a real S3 server. What these tests promise is all of S3 that colega relies on.

That is: whole objects put (in parts where they are large), got, streamed, asked for their size, listed in order from a name on, and
deleted one by one or many at once; a bucket made; a stranger refused; and an acknowledged object there after a kill.
"""

import io
import os
import socket
import threading
from pathlib import Path

import pytest

from services.errors import MissingObject, PhotoStoreUnavailable
from services.photos import keys
from services.photos.store import PhotoStore
from tests.stack import Stack

KEY = keys.photo(1, "pho_0123456789abcdef")


@pytest.mark.parametrize("size", [0, 1, 60_000, 5 * 2**20, 17 * 2**20])
def test_what_was_put_comes_back_byte_for_byte(photo_store: PhotoStore, size: int) -> None:
    """Empty, small, and larger than a part."""
    content = os.urandom(size)

    photo_store.put(KEY, content, content_type="image/jpeg")

    assert photo_store.get(KEY) == content
    assert photo_store.size(KEY) == size
    assert b"".join(photo_store.stream(KEY)) == content


def test_files_and_streams_are_taken_too(photo_store: PhotoStore, tmp_path: Path) -> None:
    """A file, a stream of known length, and one of unknown length."""
    content = os.urandom(100_000)
    path = tmp_path / "photo"
    path.write_bytes(content)

    photo_store.put("photos/1/file", path)
    photo_store.put("photos/1/known", io.BytesIO(content), length=len(content))
    photo_store.put("photos/1/unknown", io.BytesIO(content))

    assert photo_store.get_many(["photos/1/file", "photos/1/known", "photos/1/unknown"]) == [content] * 3


def test_a_missing_object_is_said_to_be_missing(photo_store: PhotoStore) -> None:
    """And is told from a store that does not answer."""
    for ask in (photo_store.get, photo_store.size):
        with pytest.raises(MissingObject, match="pho_0123456789abcdef"):
            ask(KEY)

    assert not photo_store.exists(KEY)
    assert photo_store.get_many([KEY, KEY]) == [None, None]


def test_many_come_in_the_order_asked_for(photo_store: PhotoStore) -> None:
    """Also with holes."""
    objects = [(keys.chip("default", f"fac_{n}"), f"chip {n}".encode()) for n in range(20)]
    photo_store.put_many(objects, content_type="image/jpeg")
    wanted = [key for key, _ in reversed(objects)]

    found = photo_store.get_many([*wanted, "chips/default/none"])

    assert found == [content for _, content in reversed(objects)] + [None]


def test_deleting_what_is_not_there_is_no_error(photo_store: PhotoStore) -> None:
    """A delete that is repeated leaves what one leaves."""
    photo_store.put_many([("photos/1/a", b"a"), ("photos/1/b", b"b"), ("photos/2/c", b"c")])

    photo_store.delete_many(["photos/1/a", "photos/1/b", "photos/1/none"])
    photo_store.delete("photos/1/a")

    assert [stored.key for stored in photo_store.list()] == ["photos/2/c"]


def test_a_listing_is_sorted_complete_and_goes_on_after_a_name(photo_store: PhotoStore) -> None:
    """With more objects than one page of the protocol holds."""
    names = sorted(f"photos/1/{n:05}" for n in range(1005))
    photo_store.put_many([(name, b"x") for name in names])
    photo_store.put("photos/2/other", b"xyz")

    assert [stored.key for stored in photo_store.list("photos/1/")] == names
    assert [stored.key for stored in photo_store.list("photos/1/", start_after=names[1000])] == names[1001:]
    assert [stored.size_bytes for stored in photo_store.list("photos/2/")] == [3]


def test_the_check_leaves_nothing_behind(photo_store: PhotoStore) -> None:
    """A put that is read back, and removed."""
    photo_store.check()

    assert list(photo_store.list()) == []


def test_holding_a_photo_means_its_very_bytes(photo_store: PhotoStore) -> None:
    """By SHA-256: one that was replaced or lost is not held."""
    photo_store.put(KEY, b"abc")
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    assert photo_store.holds(KEY, sha256)
    photo_store.put(KEY, b"abd")
    assert not photo_store.holds(KEY, sha256)
    photo_store.delete(KEY)
    assert not photo_store.holds(KEY, sha256)


def test_where_nothing_listens_the_answer_comes_at_once(photo_store: PhotoStore) -> None:
    """The sentence names what to look at."""
    del photo_store
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    store = PhotoStore(f"http://127.0.0.1:{port}", "colega", "key", "secret")

    with pytest.raises(PhotoStoreUnavailable, match="does not answer"):
        store.put(KEY, b"photo")


def test_a_store_that_hangs_is_given_up() -> None:
    """A connection that is taken and never answered ends with the read timeout, not with the caller's patience."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = PhotoStore(f"http://127.0.0.1:{silent.getsockname()[1]}", "colega", "key", "secret", read_timeout_s=0.1)

        with pytest.raises(PhotoStoreUnavailable, match="does not answer"):
            store.get(KEY)


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (507, "", "disk is full"),
        (500, "<Error><Code>XMinioStorageFull</Code><Message>m</Message></Error>", "disk is full"),
        (
            500,
            "<Error><Code>InternalError</Code><Message>write: no space left on device</Message></Error>",
            "disk is full",
        ),
        (500, "<Error><Code>InternalError</Code><Message>m</Message></Error>", "InternalError"),
        (507, "<html>", "disk is full"),
        (502, "<html>", "a proxy before it, fails"),
        (404, "<html>", "not S3"),
    ],
)
def test_a_full_disk_is_told_from_other_failures(status: int, body: str, sentence: str) -> None:
    """Spoken by a server that only ever fails in one way."""
    kind = "application/xml" if body.startswith("<Error>") else "text/html"
    answer = (
        f"HTTP/1.1 {status} Failed\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        f"Connection: close\r\n\r\n{body}"
    ).encode()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        thread = threading.Thread(target=_answer_all, args=(server, answer), daemon=True)
        thread.start()
        store = PhotoStore(f"http://127.0.0.1:{server.getsockname()[1]}", "colega", "key", "secret")

        with pytest.raises(PhotoStoreUnavailable, match=sentence):
            store.put(KEY, b"photo")
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_store_on_a_full_disk_of_this_machine_is_said_to_be_full() -> None:
    """SeaweedFS answers "internal error" and no more; /proc is a disk without any space."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
    store = PhotoStore(endpoint, "colega", "key", "secret", folder=Path("/proc"))

    with pytest.raises(PhotoStoreUnavailable, match="disk is full"):
        store.put(KEY, b"photo")


def test_wrong_keys_are_refused_and_said_so(servers: Stack, photo_store: PhotoStore) -> None:
    """A stranger reads nothing."""
    photo_store.put(KEY, b"photo")
    endpoint = servers.photo_settings()["COLEGA_PHOTOS_ENDPOINT"]

    for access, secret in (("stranger", "secret"), (servers.instance.secret("photos_access_key"), "wrong")):
        with pytest.raises(PhotoStoreUnavailable, match="refuses our keys"):
            PhotoStore(endpoint, "colega", access, secret).get(KEY)


def test_acknowledged_photos_survive_a_killed_server() -> None:
    """SIGKILL right after a hundred puts; the same bytes come back, on other ports as well."""
    with Stack() as stack:
        store = stack.photo_store()
        objects = [(keys.photo(1, f"pho_{n}"), os.urandom(20_000)) for n in range(100)]
        store.put_many(objects)

        stack.restart("store")

        assert store.get_many([key for key, _ in objects]) == [content for _, content in objects]


def _answer_all(server: socket.socket, answer: bytes) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            received = b""
            while b"photo" not in received.partition(b"\r\n\r\n")[2]:
                received += connection.recv(65536)
            connection.sendall(answer)

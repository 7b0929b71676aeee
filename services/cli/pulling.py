"""Published weights fetched from where their publishers keep them: resumed where it stopped, bounded, and checked."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from services.errors import DiskFull, InvalidModel, Unavailable

_RELEASE = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9"
_TERMS = "MIT (facenet-pytorch, David Sandberg's facenet). Trained on {}, whose photos have terms of their own."


@dataclass(frozen=True, slots=True)
class Published:
    """Where weights are published, as facenet-pytorch names it, and under which terms."""

    url: str
    licence: str


PUBLISHED: Mapping[str, Published] = {
    "vggface2": Published(f"{_RELEASE}/20180402-114759-vggface2.pt", _TERMS.format("VGGFace2")),
    "casia-webface": Published(f"{_RELEASE}/20180408-102900-casia-webface.pt", _TERMS.format("CASIA-WebFace")),
}

MOST_BYTES = 300_000_000
"""The two files have 107 and 111 MB by their publisher's word."""

_TRIES = 5
_TIMEOUT = httpx.Timeout(20.0, connect=10.0)
OnProgress = Callable[[int, int | None], None]


class Unfetched(Unavailable):
    """A file cannot be had from where it is published."""


def fetch(
    url: str, path: Path, *, on_progress: OnProgress, sha256: str | None = None, most_bytes: int = MOST_BYTES
) -> str:
    """Fetch *url* to *path*; what an earlier call left of it is gone on with. Returns its SHA-256 in hexadecimal.

    What the server says of the file is checked: its length, and its MD5 where it sends one (Content-MD5).

    Args:
        url: Of a server that may take ranges.
        path: Written when all of it is there; until then it lies beside it, with the ending ``.part``.
        on_progress: Told of the bytes there are, and of all where that is known.
        sha256: That it must have, where somebody knows it.
        most_bytes: A longer file is refused.

    Raises:
        Unfetched: The server does not answer, or stops again and again. What was fetched stays.
        InvalidModel: The file is longer than it may be, or not the one that is meant; it was removed.
        DiskFull: There is no room.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _whole(url, part, on_progress, most_bytes)
            part.rename(path)
            _mark(part).unlink(missing_ok=True)
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DiskFull(f"{path} cannot be written: {error.strerror}.") from error
    if sha256 is not None and found != sha256.lower():
        path.unlink()
        raise InvalidModel(f"{url} has the SHA-256 {found}; {sha256} was expected. The file was removed.")
    return found


def _whole(url: str, part: Path, on_progress: OnProgress, most_bytes: int) -> None:
    """Fetch until there is nothing more; a connection that breaks is made again, from where it broke."""
    trouble = ""
    with httpx.Client(timeout=_TIMEOUT, follow_redirects=True) as client:
        for _ in range(_TRIES):
            before = _size(part)
            try:
                if _some(client, url, part, on_progress, most_bytes):
                    return
            except httpx.HTTPStatusError as error:
                raise Unfetched(
                    f"{url} answers {error.response.status_code}. Fetch the file elsewhere, and `colega models add` it."
                ) from error
            except httpx.TransportError as error:
                trouble = f"{type(error).__name__}: {error}"
                if _size(part) == before == 0:
                    break
    raise Unfetched(
        f"{url} cannot be fetched ({trouble or 'the connection ended early'}); {_size(part):,} bytes are here, and the same "
        "command goes on from there. Without a way to the internet, fetch the file elsewhere and `colega models add` it."
    )


def _some(client: httpx.Client, url: str, part: Path, on_progress: OnProgress, most_bytes: int) -> bool:
    """One connection. Returns whether all is there now."""
    there = _size(part)
    headers = {"Accept-Encoding": "identity"}
    etag, md5 = _read(_mark(part))
    if there and etag:
        headers |= {"Range": f"bytes={there}-", "If-Range": etag}
    with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)
            return False
        answer.raise_for_status()
        goes_on = answer.status_code == httpx.codes.PARTIAL_CONTENT
        start = there if goes_on and answer.headers.get("Content-Range", "").startswith(f"bytes {there}-") else 0
        length = int(answer.headers["Content-Length"]) if "Content-Length" in answer.headers else None
        total = None if length is None else start + length
        if total is not None and total > most_bytes:
            raise InvalidModel(f"{url} has {total:,} bytes; at most {most_bytes:,} are taken.")
        if not start:
            etag, md5 = answer.headers.get("ETag", ""), answer.headers.get("Content-MD5", "")
            _mark(part).write_text(f"{etag}\n{md5}", "utf-8")
        at = start
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            file.truncate()
            for piece in answer.iter_bytes():  # As it comes: of a connection that breaks everything is kept.
                at += len(piece)
                if at > most_bytes:
                    raise InvalidModel(f"{url} has more than {most_bytes:,} bytes; no more are taken.")
                file.write(piece)
                on_progress(at, total)
        if total is not None and at < total:
            return False
        _check_md5(url, part, md5)
        return True


def _check_md5(url: str, part: Path, stated: str) -> None:
    if not stated:
        return
    with part.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
    if base64.b64encode(found).decode() != stated:
        part.unlink()
        raise InvalidModel(f"{url} did not arrive as its server has it (Content-MD5 {stated}). Try again.")


def _mark(part: Path) -> Path:
    """Where ETag and Content-MD5 of what *part* is a part of are kept, a line each."""
    return part.with_name(f"{part.name}.etag")


def _read(path: Path) -> tuple[str, str]:
    etag, _, md5 = (path.read_text("utf-8") if path.exists() else "").partition("\n")
    return etag, md5


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

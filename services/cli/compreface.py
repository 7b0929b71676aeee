"""Moving from CompreFace: its photos, read from a dump of its database or over its API."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from services.cli.service import Unreachable
from services.errors import InvalidRequest, PhotoRefused
from services.rejections import Rejection
from services.sources import compreface
from services.sources.compreface import Found, not_kept, path_of
from services.sources.entries import Entry

_PAGE = 500
_TRIES = 4
_TIMEOUT_S = 60.0


@contextmanager
def opened(source: str, key: str | None) -> Iterator[Found]:
    """The photos of a CompreFace service, to be read while this is open.

    Args:
        source: A dump of its database (``pg_dump``, plain SQL), or its address: ``http://host:8000``.
        key: API key of the recognition service; of a dump only where it has several.

    Raises:
        InvalidRequest: It cannot be read, or the key is missing or wrong.
        Unreachable: Nothing answers at its address.
    """
    if not source.lower().startswith(("http://", "https://")):
        path = Path(source)
        if not path.is_file():
            raise InvalidRequest(f"{source} is not there. Give a dump of CompreFace's database, or its address.")
        yield compreface.of_dump(path, key)
        return
    if key is None:
        raise InvalidRequest("Give the API key of the recognition service: --compreface-key KEY.")
    with httpx.Client(base_url=source.rstrip("/"), headers={"x-api-key": key}, timeout=_TIMEOUT_S) as client:
        yield _of_api(client)


def _of_api(client: httpx.Client) -> Found:
    names = _json(client, "/api/v1/recognition/subjects")["subjects"]
    return compreface.found(names, _examples(client))


def _examples(client: httpx.Client) -> Iterator[tuple[str, Entry]]:
    number = 0
    while True:
        page = _json(client, "/api/v1/recognition/faces", page=number, size=_PAGE)
        for face in page["faces"]:
            image, name = str(face["image_id"]), str(face["subject"])
            yield name, Entry(path_of(name, f"{image}.jpeg"), _reader(client, image))
        number += 1
        if number >= page["total_pages"]:
            return


def _reader(client: httpx.Client, image: str) -> Callable[[], bytes]:
    def read() -> bytes:
        answer = _get(client, f"/api/v1/recognition/faces/{image}/img")
        if not answer.is_success or not answer.content:
            refused = not_kept(image).refused
            raise refused or PhotoRefused(Rejection.MISSING_FILE, "The photo is not there.")
        return answer.content

    return read


def _json(client: httpx.Client, path: str, **query: int) -> dict[str, Any]:
    answer = _get(client, path, **query)
    try:
        told = answer.json()
    except ValueError:
        told = {}
    if not answer.is_success or not isinstance(told, dict):
        why = told.get("message", f"it answers {answer.status_code}") if isinstance(told, dict) else "not in JSON"
        raise InvalidRequest(f"CompreFace at {client.base_url} refuses: {why}. See its address and --compreface-key.")
    return told


def _get(client: httpx.Client, path: str, **query: int) -> httpx.Response:
    """One request, tried again with growing pauses while nothing answers."""
    for attempt in range(_TRIES):
        try:
            answer = client.get(path, params=query)
        except httpx.TransportError as error:
            if attempt == _TRIES - 1:
                raise Unreachable(f"CompreFace at {client.base_url} cannot be reached. Is it running there?") from error
        else:
            if answer.status_code < 500 or attempt == _TRIES - 1:
                return answer
        time.sleep(0.5 * 2**attempt)
    raise AssertionError("The last attempt returns or raises.")

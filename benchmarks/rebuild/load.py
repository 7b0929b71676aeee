"""The load under which a collection is rebuilt: clients that search without a pause, and newcomers who are taken in meanwhile."""

import io
import itertools
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from PIL import Image

from benchmarks import datasets
from benchmarks.rebuild.service import Rebuilding

CLIENTS = 8
NEWCOMERS_A_SECOND = 4.0
"""A quarter of a core's work, beside searches that want all of both."""


@dataclass(frozen=True, slots=True)
class Search:
    """A search and its answer."""

    query: int
    began_at: float
    """By the monotonic clock, in seconds."""
    took_s: float
    answer: dict[str, Any] | None
    problem: str | None
    """What went wrong, if anything did."""


class Load:
    """Searches and newcomers in the default collection, until the block ends."""

    def __init__(self, service: Rebuilding, queries: Sequence[Path]) -> None:
        self._service, self._queries = service, [path.read_bytes() for path in queries]
        self._stop = threading.Event()
        self.searches: list[Search] = []
        self.refused: list[str] = []
        """Newcomers who were not taken."""
        self.jobs: list[str] = []
        self.added: list[tuple[float, str]] = []
        """Names of the newcomers who were taken, and when."""

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._search, args=(n,)) for n in range(CLIENTS)]
        self._threads.append(threading.Thread(target=self._add))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def between(self, begin: float, end: float) -> list[Search]:
        """The searches that began within."""
        return [search for search in self.searches if begin <= search.began_at < end]

    def newcomers_between(self, begin: float, end: float) -> int:
        """How many newcomers were taken within."""
        return sum(begin <= at < end for at, _ in self.added)

    def _search(self, n: int) -> None:
        rng = random.Random(n)
        with self._service.client() as client:
            while not self._stop.is_set():
                query = rng.randrange(len(self._queries))
                self.searches.append(_asked(client, query, self._queries[query]))

    def _add(self) -> None:
        began_at = time.monotonic()
        with self._service.client() as client:
            for n, photo in enumerate(_newcomers()):
                if self._stop.wait(max(began_at + n / NEWCOMERS_A_SECOND - time.monotonic(), 0.0)):
                    return
                name = f"Newcomer {n}"
                answer = client.post("/v1/photos", data={"person": name}, files={"photo": ("photo.jpg", photo)})
                if answer.is_error:
                    self.refused.append(answer.text)
                    continue
                self.jobs.append(answer.json()["job"])
                self.added.append((time.monotonic(), name))


def queries(folder: Path, count: int) -> list[Path]:
    """Photos of the gallery, of as many people."""
    people = sorted(path for path in folder.iterdir() if path.is_dir())
    chosen = random.Random(10).sample(people, min(count, len(people)))
    return [min(person.glob("*.jpg")) for person in chosen]


def _asked(client: httpx.Client, query: int, photo: bytes) -> Search:
    began_at = time.monotonic()
    answer, problem = None, None
    try:
        response = client.post("/v1/search", files={"photo": ("query.jpg", photo)})
        if response.status_code == httpx.codes.OK:
            answer = response.json()
        else:
            problem = f"{response.status_code} {response.text}"
    except httpx.HTTPError as error:
        problem = repr(error)
    return Search(query, began_at, time.monotonic() - began_at, answer, problem)


def _newcomers() -> Iterator[bytes]:
    """Photos that are not in the gallery, each of other bytes: Georgia Tech's, again and again in other qualities."""
    for quality in itertools.count(95, -1):
        for path in datasets.georgia_tech():
            out = io.BytesIO()
            with Image.open(path) as picture:
                picture.save(out, "JPEG", quality=max(quality, 60))
            yield out.getvalue()

"""A rebuild, a switch and a rollback while clients search and newcomers are taken in: nobody is refused, no answer is mixed."""

import io
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest
from PIL import Image

from tests import nets
from tests.running import Running

pytestmark = pytest.mark.slow

OLD, NEW = "casia-webface", "under-load"
CLIENTS = 4
MOST_NEWCOMERS = 40
EVERYBODY = 60
TOLERANCE = 0.002
"""Of a similarity, for what the index rounds."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A search and its answer; None where there was none, and why."""

    query: int
    answer: Mapping[str, Any] | None
    problem: str | None


class Load:
    """Clients that search without a pause, and one that takes newcomers in, until the block ends."""

    def __init__(self, service: Running, collection: str, queries: Sequence[bytes]) -> None:
        self._service, self._collection, self._queries = service, collection, queries
        self._stop = threading.Event()
        self.asked: list[Asked] = []
        self.jobs: list[str] = []
        self.refused: list[str] = []

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._search, args=(n,)) for n in range(CLIENTS)]
        self._threads.append(threading.Thread(target=self._take_in))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def answered_by(self, digest: str) -> int:
        """How many answers name that model so far."""
        return sum(asked.answer is not None and asked.answer["model"] == digest for asked in self.asked)

    def _search(self, client_number: int) -> None:
        query = client_number
        with self._service.http() as client:
            while not self._stop.is_set():
                query = (query + 1) % len(self._queries)
                self.asked.append(search(client, self._collection, query, self._queries[query]))

    def _take_in(self) -> None:
        with self._service.http() as client:
            for n, photo in enumerate(newcomers(self._queries)):
                answer = client.post(
                    "/v1/photos",
                    params={"collection": self._collection},
                    data={"person": f"Newcomer {n}"},
                    files={"photo": ("photo.jpg", photo)},
                )
                if answer.is_error:
                    self.refused.append(answer.text)
                else:
                    self.jobs.append(answer.json()["job"])
                if self._stop.wait(0.4):
                    return


def search(client: httpx.Client, collection: str, query: int, photo: bytes) -> Asked:
    """One search among everybody, decided at a threshold of its own: four people are too few to be calibrated with."""
    how: dict[str, str | int | float] = {"collection": collection, "k": EVERYBODY, "threshold": 0.5}
    try:
        answer = client.post("/v1/search", params=how, files={"photo": ("query.jpg", photo)})
    except httpx.HTTPError as error:
        return Asked(query, None, repr(error))
    return Asked(query, answer.json(), None) if answer.is_success else Asked(query, None, answer.text)


def newcomers(photos: Sequence[bytes]) -> Iterator[bytes]:
    """The same photos again, each time of other bytes."""
    for quality in range(94, 94 - MOST_NEWCOMERS // len(photos), -1):
        for photo in photos:
            out = io.BytesIO()
            with Image.open(io.BytesIO(photo)) as picture:
                picture.convert("RGB").save(out, "JPEG", quality=quality)
            yield out.getvalue()


def similarities(answer: Mapping[str, Any]) -> dict[str, float]:
    """By person."""
    return {match["person"]["id"]: match["similarity"] for face in answer["faces"] for match in face["matches"]}


def is_said_by(said: Mapping[str, float], answer: Mapping[str, Any]) -> bool:
    """Whether every similarity of *answer* is one of those that a model says."""
    found = similarities(answer)
    return bool(found) and all(abs(said.get(person, -9.0) - found[person]) <= TOLERANCE for person in found)


@pytest.fixture
def another(service: Running, tmp_path: Path) -> str:
    """Another model, of other vectors; its digest."""
    described, net = tmp_path / "net.yaml", tmp_path / "net.onnx"
    described.write_text(nets.described(), "utf-8")
    net.write_bytes(nets.embedder(seed=4711).SerializeToString())
    [model] = service.answer("models", "add", str(net), "--name", NEW, "--describe", str(described))
    return str(model["digest"])


def test_searches_and_newcomers_meet_no_refusal_and_no_mixed_answer_while_a_collection_is_rebuilt(
    service: Running, another: str, examples: Path
) -> None:
    photos = [path.read_bytes() for path in sorted((examples / "people").rglob("*.jpg"))]
    people = {path.parent.name: [path.read_bytes()] for path in sorted((examples / "people").rglob("1.jpg"))}
    gallery = service.collection()
    service.enrol(people, gallery)
    digests = {model["name"]: model["digest"] for model in service.client().models.list()}

    with Load(service, gallery, photos) as load:
        rebuild = _begun(service, gallery)
        _moved(service, gallery, rebuild, "switch", {"despite_policy": True}, "switched")
        _answers(load, another)
        _moved(service, gallery, rebuild, "rollback", None, "rolled_back")
        _answers(load, digests[OLD])
        _moved(service, gallery, rebuild, "switch", None, "switched")
        _answers(load, another)
    for job in load.jobs:
        service.ended(job, gallery)

    said = {another: _said(service, gallery, photos)}
    _moved(service, gallery, rebuild, "rollback", None, "rolled_back")
    said[digests[OLD]] = _said(service, gallery, photos)
    answers = [(asked.query, asked.answer) for asked in load.asked if asked.answer is not None]
    assert [asked.problem for asked in load.asked if asked.problem is not None] == []
    assert load.refused == []
    assert {answer["model"] for _, answer in answers} == said.keys()
    assert [answer for query, answer in answers if not is_said_by(said[answer["model"]][query], answer)] == []
    others = {digest: other for digest in said for other in said if other != digest}
    assert not any(is_said_by(said[others[answer["model"]]][query], answer) for query, answer in answers)
    assert {state for job in load.jobs for state in _ends(service, gallery, job)} == {"done"}


def _begun(service: Running, gallery: str) -> str:
    """A rebuild of *gallery* to the other model, embedded and compared."""
    body = {"model": NEW, "switch": "manual"}
    rebuild = str(service.client(gallery).send("POST", "/v1/rebuilds", body=body)["rebuild"])
    service.wait_until(lambda: _state(service, gallery, rebuild) in {"ready", "stopped", "failed"}, 180)
    return rebuild


def _moved(service: Running, gallery: str, rebuild: str, verb: str, body: Mapping[str, Any] | None, state: str) -> None:
    service.client(gallery).send("POST", f"/v1/rebuilds/{rebuild}/{verb}", body=body or {})
    service.wait_until(lambda: _state(service, gallery, rebuild) == state, 30)


def _answers(load: Load, digest: str) -> None:
    """Wait until several searches more were answered by that model."""
    wanted, give_up_at = load.answered_by(digest) + 5, time.monotonic() + 30
    while load.answered_by(digest) < wanted:
        assert time.monotonic() < give_up_at, "Searches are not answered by the model that was switched to."
        time.sleep(0.02)


def _said(service: Running, gallery: str, photos: Sequence[bytes]) -> list[dict[str, float]]:
    """What the present model says of each photo and everybody, now that all are in."""
    with service.http() as client:
        asked = [search(client, gallery, n, photo) for n, photo in enumerate(photos)]
    assert all(one.answer is not None for one in asked), [one.problem for one in asked]
    return [similarities(one.answer) for one in asked if one.answer is not None]


def _state(service: Running, gallery: str, rebuild: str) -> str:
    return str(service.client(gallery).send("GET", f"/v1/rebuilds/{rebuild}")["state"])


def _ends(service: Running, gallery: str, job: str) -> list[str]:
    return [str(item["status"]) for item in service.client(gallery).jobs.items(job)]

"""Traffic while parts fail: people are enrolled, erased and searched for, and what was acknowledged is written down.

Who was enrolled is searched for by the very photo they were enrolled with. So an answer is right, or it is not: nobody
has to say how good the model is.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from services.cli.service import Document
from tests.running import Running

_AGAIN_S = 0.25
_PATIENT_S = 240.0
"""So long a change is sent again until it is answered."""
_HTTP_WITHIN_S = 15.0


@dataclass(slots=True)
class Enrolled:
    """Somebody of whom a photo was acknowledged."""

    name: str
    photo: Path
    job: str
    photo_id: str
    erased_at: float | None = None
    """By the monotonic clock, when their erasure was acknowledged."""
    is_found: bool = False
    """A search has named them, or their job has ended: from here on every search must."""
    erasing_at: float | None = None
    """When it was first asked for: from here on they may be found or not."""


@dataclass(slots=True)
class Ledger:
    """What was acknowledged, and what was seen that must not be."""

    enrolled: dict[str, Enrolled] = field(default_factory=dict)
    """By name."""
    wrong: list[str] = field(default_factory=list)
    """People who were named and are not in the photo, or were erased."""
    answers: Counter[str] = field(default_factory=Counter)
    """How requests ended: by kind and status."""

    def judge(self, one: Enrolled, answer: Document, asked_at: float) -> None:
        """Note what is wrong with the *answer* to a search by the photo that *one* was enrolled with.

        The face that is most like anybody is theirs: the photo is the same. Who else is in the picture is not looked at, but
        that nobody is listed, however far down, who had been erased when the search was sent.
        """
        listed = [match for face in answer["faces"] for match in face["matches"]]
        for name in {match["person"]["name"] for match in listed}:
            known = self.enrolled.get(name)
            if known is not None and known.erased_at is not None and known.erased_at < asked_at:
                self.wrong.append(f"{name}, who was erased, in a photo of {one.name}")
        if one.erasing_at is not None:
            return
        best = max(listed, key=lambda match: match["similarity"], default=None)
        named = best["person"]["name"] if best is not None and best["accepted"] else None
        if named == one.name:
            one.is_found = True
        elif one.is_found:
            self.wrong.append(f"{named or 'nobody'} in a photo of {one.name}")


class Traffic:
    """Clients of one service, from the start of the ``with`` block to its end.

    Searches are sent once and may be refused; changes are sent again, under their idempotency key, until they are answered.
    """

    def __init__(self, service: Running, newcomers: Sequence[Path], *, searchers: int, seed: int) -> None:
        self.ledger = Ledger()
        self._service, self._newcomers, self._searchers = service, list(newcomers), searchers
        self._seed = seed
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._failed: list[BaseException] = []

    def enrol_first(self, count: int) -> None:
        """Enrol so many before anything fails, and wait until they are found."""
        with self._client() as client:
            for _ in range(count):
                self._enrol(client, self._newcomers.pop())
        for one in self.ledger.enrolled.values():
            self._service.ended(one.job, "default")

    def __enter__(self) -> Self:
        loops = [(self._enrol_one, 1.0), (self._erase_one, 6.0), *[(self._search_one, 0.0)] * self._searchers]
        self._threads = [
            threading.Thread(target=self._loop, args=(work, pause_s, random.Random(self._seed + n)))
            for n, (work, pause_s) in enumerate(loops)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if kind is None and self._failed:
            raise self._failed[0]

    def _client(self) -> httpx.Client:
        return self._service.http(params={"collection": "default"}, timeout=_HTTP_WITHIN_S)

    def _loop(self, work: Callable[[httpx.Client, random.Random], None], pause_s: float, chance: random.Random) -> None:
        try:
            with self._client() as client:
                while not self._stop.wait(pause_s * chance.random() * 2):
                    work(client, chance)
        except BaseException as error:  # noqa: BLE001 - told by the thread that started this one.
            self._failed.append(error)

    def _search_one(self, client: httpx.Client, chance: random.Random) -> None:
        with self._lock:
            one = chance.choice(list(self.ledger.enrolled.values()))
        photo, asked_at = one.photo.read_bytes(), time.monotonic()
        answer = self._once(client, "search", "POST", "/v1/search", files={"photo": photo})
        if answer is None or answer.status_code != httpx.codes.OK:
            self._stop.wait(_AGAIN_S / 5)
            return
        with self._lock:
            self.ledger.judge(one, answer.json(), asked_at)

    def _enrol_one(self, client: httpx.Client, chance: random.Random) -> None:
        del chance
        if self._newcomers:
            self._enrol(client, self._newcomers.pop())
        else:
            self._stop.wait(1.0)

    def _enrol(self, client: httpx.Client, photo: Path) -> None:
        name = photo.parent.name
        answer = self._until_answered(
            client, "enrol", "POST", "/v1/photos", data={"person": name},
            files={"photo": (photo.name, photo.read_bytes())}, headers={"Idempotency-Key": f"enrol {name}"},
        )  # fmt: skip
        [item] = answer["items"]
        assert item["status"] in {"queued", "duplicate"}, item
        with self._lock:
            self.ledger.enrolled[name] = Enrolled(name, photo, answer["job"], item["photo_id"])

    def _erase_one(self, client: httpx.Client, chance: random.Random) -> None:
        with self._lock:
            there = [one for one in self.ledger.enrolled.values() if one.erasing_at is None]
        if len(there) < 5:
            return
        one = chance.choice(there)
        found = self._until_answered(client, "browse", "GET", "/v1/people", params={"name": one.name})["items"]
        [person] = [person for person in found if person["name"] == one.name]
        with self._lock:
            one.erasing_at = time.monotonic()
        self._until_answered(client, "erase", "DELETE", f"/v1/people/{person['id']}", done={httpx.codes.NOT_FOUND})
        with self._lock:
            one.erased_at = time.monotonic()

    def _until_answered(
        self,
        client: httpx.Client,
        kind: str,
        method: str,
        path: str,
        done: "set[int] | frozenset[int]" = frozenset(),
        **request: Any,
    ) -> dict[str, Any]:
        """Send a change again and again until it is done, or its status is one of *done*."""
        give_up_at = time.monotonic() + _PATIENT_S
        while True:
            answer = self._once(client, kind, method, path, **request)
            if answer is not None and (answer.is_success or answer.status_code in done):
                found: dict[str, Any] = answer.json()
                return found
            # What is being worked on, or had begun when its process was killed, may be asked for again a little later.
            if answer is not None and answer.status_code not in {409, 429, 500, 502, 503, 507}:
                raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text}")
            assert time.monotonic() < give_up_at, f"{method} {path} was never answered: {answer and answer.text}"
            time.sleep(_AGAIN_S)

    def _once(self, client: httpx.Client, kind: str, method: str, path: str, **request: Any) -> httpx.Response | None:
        """One request; None: no answer came."""
        try:
            answer = client.request(method, path, **request)
        except httpx.HTTPError as error:
            with self._lock:
                self.ledger.answers[f"{kind}, {type(error).__name__}"] += 1
            return None
        with self._lock:
            self.ledger.answers[f"{kind}, {answer.status_code}"] += 1
        return answer

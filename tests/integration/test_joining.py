"""Questions about who looks alike: answered from what is kept, worked out beside the searches, never for ever waited for."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from index.engine.home import EngineHome
from index.engine.sealing import SealingHere
from services.broker.joins import Join, JoinDesk, What
from services.broker.replies import Told
from services.broker.requests import Asking
from services.errors import IndexBehind, NotFound, Refused, Unavailable
from tests.unit.index.arrays import D, WrittenLog, around, unit_vectors
from tests.waiting import eventually
from workers.joining import Joining
from workers.serving.replicas import Keeping, Replicas

pytestmark = pytest.mark.slow

ANA, BEN, EVA = unit_vectors(3, 9)


class Desk:
    """A searcher with one collection, as far as joins are concerned."""

    def __init__(self, valkey: str, folder: Path) -> None:
        self.log = WrittenLog()
        sealer = SealingHere()
        self.replicas = Replicas(
            self.log, lambda c, m: EngineHome(D, folder / f"{c}-{m}", sealer), Keeping(100, 600.0, 1000)
        )
        self.joining = Joining(self.replicas, JoinDesk(valkey))
        self._asking = Asking(valkey)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.joining.run, args=(self._stopping,))
        self._faces = 0

    def __enter__(self) -> Self:
        self.follow()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self.joining.close()

    def follow(self) -> None:
        """As the thread that follows does, until the replica is at the head."""

        def there() -> bool:
            self.replicas.follow(self.log.heads())
            try:
                replica = self.replicas.get(1, 1)
            except NotFound:
                return False
            return replica is not None and replica.sequence == self.log.sequence

        eventually(there)

    def add(self, centre: "np.ndarray[tuple[int], np.dtype[np.float32]]", count: int, person: int | None) -> list[int]:
        """Faces near *centre*; their numbers."""
        first = self._faces + 1
        for n, vector in enumerate(around(centre, count, 0.03, first)):
            self.log.write("add", first + n, person, vector)
        self._faces += count
        self.follow()
        return list(range(first, first + count))

    def ask(self, what: What = "faces", *, within_s: float = 20.0, limit: int = 10, **more: object) -> Told:
        """A page."""
        join = Join(what, 1, 1, 0.7, limit, **more)  # type: ignore[arg-type]
        return self._asking.join(join, timeout_s=within_s)


@pytest.fixture
def desk(valkey: str, tmp_path: Path) -> Iterator[Desk]:
    """Ana is known; four faces of hers and three of Ben's are nobody's."""
    with Desk(valkey, tmp_path) as desk:
        desk.add(ANA, 2, 1)
        desk.add(EVA, 1, 2)
        desk.add(ANA, 4, None)
        desk.add(BEN, 3, None)
        yield desk


def test_faces_of_nobody_come_in_groups_with_the_nearest_person(desk: Desk) -> None:
    answer = desk.ask()

    assert [sorted(group["faces"]) for group in answer["groups"]] == [[4, 5, 6, 7], [8, 9, 10]]
    assert [person for person, _ in answer["groups"][0]["people"]] == [1, 2]
    assert answer["groups"][0]["people"][0][1] > 0.9
    assert (answer["sequence"], answer["total"], answer["next"]) == (10, 2, None)


def test_people_come_in_pairs(desk: Desk) -> None:
    desk.add(EVA, 2, 3)

    answer = desk.ask("people")

    assert [pair[:2] for pair in answer["pairs"]] == [[2, 3]]


def test_faces_that_are_perhaps_not_of_whom_they_are_come_with_whom_they_show(desk: Desk) -> None:
    desk.add(ANA, 6, 1)
    [swapped] = desk.add(EVA, 1, 1)
    desk.add(EVA, 6, 2)
    [strange] = desk.add(BEN, 1, 2)

    answer = desk.ask("doubts")
    first = desk.ask("doubts", limit=1)
    second = desk.ask("doubts", limit=1, place=tuple(first["next"]))

    assert [(face, person) for face, person, *_ in answer["doubts"]] == [(swapped, 1), (strange, 2)]
    _, _, own, other, similarity = answer["doubts"][0]
    assert (other, own < 0.5, similarity > 0.5) == (2, True, True)
    assert first["doubts"] + second["doubts"] == answer["doubts"]
    assert (answer["total"], second["next"]) == (2, None)
    assert desk.ask("doubts", person=2)["doubts"] == answer["doubts"][1:]


def test_a_result_serves_while_nothing_changes_and_is_made_anew_when_asked_to_reflect_more(desk: Desk) -> None:
    first = desk.ask()
    kept = next(iter(desk.joining._kept.values()))
    again = desk.ask()
    assert next(iter(desk.joining._kept.values())) is kept
    desk.add(EVA, 5, None)

    newer = desk.ask(after=desk.log.sequence)

    assert again == first
    assert [group["size"] for group in newer["groups"]] == [5, 4, 3]


def test_pages_go_on_in_what_they_began_with(desk: Desk) -> None:
    first = desk.ask(limit=1)
    desk.add(EVA, 5, None)

    second = desk.ask(limit=1, place=tuple(first["next"]))

    assert [group["size"] for page in (first, second) for group in page["groups"]] == [4, 3]
    assert (second["sequence"], second["next"]) == (first["sequence"], None)


def test_small_groups_are_left_out_and_large_ones_shortened(desk: Desk) -> None:
    [only] = desk.ask(least=4, shown=2)["groups"]

    assert (only["size"], len(only["faces"])) == (4, 2)


def test_who_asks_impatiently_is_told_that_it_goes_on_and_it_does(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    process, may_go_on = desk.joining._process, threading.Event()
    whole: Callable[..., object] = process._ask

    def slowly(*arguments: object) -> object:
        assert may_go_on.wait(60)
        return whole(*arguments)

    monkeypatch.setattr(process, "_ask", slowly)
    with pytest.raises(IndexBehind, match="being compared"):
        desk.ask(within_s=0.4)
    may_go_on.set()

    eventually(lambda: bool(desk.joining._kept))
    assert len(desk.ask(within_s=0.5)["groups"]) == 2


def test_what_the_log_has_not_reached_is_waited_for_only_until_the_deadline(desk: Desk) -> None:
    with pytest.raises(IndexBehind, match="The index is at 10; 11 was asked for"):
        desk.ask(within_s=0.4, after=11)


def test_more_pairs_than_are_listed_is_a_refusal(desk: Desk) -> None:
    for person in range(10, 10 + 1500):
        desk.log.write("add", 1000 + person, person, EVA)
    desk.follow()

    with pytest.raises(Refused, match="Give a higher threshold"):
        desk.ask("people")


def test_a_process_that_is_killed_is_told_of_and_the_next_question_answered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = desk.joining._process
    whole: Callable[..., object] = process._ask

    def killed(*arguments: object) -> object:
        def kill() -> None:
            eventually(lambda: process._process is not None)
            assert process._process is not None
            os.kill(process._process.pid, signal.SIGKILL)

        threading.Thread(target=kill).start()
        return whole(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(process, "_ask", killed)
        with pytest.raises(Unavailable, match="ended early"):
            desk.ask()

    assert len(desk.ask()["groups"]) == 2


def test_a_collection_that_is_gone_has_nothing_to_compare(desk: Desk, valkey: str) -> None:
    join = Join("faces", 2, 1, 0.7, 10)
    stopping = threading.Event()

    def follow() -> None:
        while not stopping.wait(0.02):
            desk.replicas.follow(desk.log.heads())

    follows = threading.Thread(target=follow)
    follows.start()
    with pytest.raises(Refused, match="There is no collection 2"):
        Asking(valkey).join(join, timeout_s=5)
    stopping.set()
    follows.join()

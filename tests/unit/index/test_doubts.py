"""Faces that are perhaps not of whom they are: those that were swapped, and hardly any other."""

import numpy as np
import pytest

from index import doubts as doubting
from index.doubts import Doubts, doubts
from index.protocol import Half
from tests.unit.index.arrays import D, around, unit_vectors

_LOW = 0.4


def _people(sizes: list[int], seed: int = 5) -> list[Half]:
    centres = unit_vectors(len(sizes), seed)
    return [
        around(centre, size, 0.05, n).astype(np.float16)
        for n, (centre, size) in enumerate(zip(centres, sizes, strict=True))
    ]


def _doubts(people: list[Half], **more: int) -> Doubts:
    starts = np.cumsum([0, *(len(person) for person in people)])
    return doubts(np.concatenate([np.zeros((0, D), np.float16), *people]), starts, _LOW, **{"most": 100, **more})


def test_faces_that_were_swapped_are_doubted_with_whom_they_show() -> None:
    ana, ben, eva = _people([4, 5, 3])
    ana[1], ben[2] = ben[2].copy(), ana[1].copy()

    found = _doubts([ana, ben, eva])

    assert sorted(zip(found.faces.tolist(), found.others.tolist(), strict=True)) == [(1, 1), (6, 0)]
    assert (found.own < _LOW).all()
    assert (found.similarities > 0.9).all()


def test_a_face_like_nobody_is_doubted_and_an_only_face_never() -> None:
    ana, ben = _people([4, 1])
    ana[3] = unit_vectors(1, 99)[0]

    found = _doubts([ana, ben])

    assert found.faces.tolist() == [3]


def test_nothing_is_doubted_where_all_is_well_or_nobody_is_there() -> None:
    assert len(_doubts(_people([4, 5, 3, 1]))) == 0
    assert len(_doubts([])) == 0


def test_one_person_alone_is_compared_with_nobody() -> None:
    [ana] = _people([4])
    ana[0] = -ana[0]

    found = _doubts([ana])

    assert (found.faces.tolist(), found.others.tolist(), found.similarities.tolist()) == ([0], [-1], [0.0])


def test_the_most_doubtful_come_first_and_no_more_than_asked_for() -> None:
    people = _people([4] * 9)
    for n in range(0, 8, 2):
        people[n][0], people[n + 1][0] = people[n + 1][0].copy(), people[n][0].copy()

    found = _doubts(people, most=5)

    assert len(found) == 5
    assert (np.diff(found.similarities - found.own) <= 0).all()


def test_of_too_large_a_collection_those_least_like_their_own_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    people = _people([4] * 6)
    people[0][0], people[5][3] = people[5][3].copy(), people[0][0].copy()
    monkeypatch.setattr(doubting, "MOST_PRODUCTS", 6 * 2)

    assert sorted(_doubts(people).faces.tolist()) == [0, 23]

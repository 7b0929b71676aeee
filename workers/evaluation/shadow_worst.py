"""What changes for the worse, face by face: whose rank or lead falls most, and where a search would end differently."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.evaluation.shadow import Answers, Asked, Shadow, Side, nearest
from workers.evaluation.shadow_figures import RIGHT, UNKNOWN, WRONG, Thresholds, outcome

WORST = 12
"""Faces in each list, one of any person."""
FELL, LOST, MISTAKEN, GAINED = "fell", "lost", "mistaken", "gained"
"""Rank or lead fell most; recognised before and not any more; taken for somebody else and was not before; recognised only now."""

_OUTCOMES = (RIGHT, WRONG, UNKNOWN)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one model says to a search by one face."""

    rank: int | None
    """The place of the face's own person; None where they have no other face."""
    own: float | None
    other: float
    """The scores of its own person, and of the best other one."""
    outcome: str | None
    """``right``, ``wrong`` or ``unknown``; None where no threshold is known."""
    shown: int
    """The number of the face that a report shows: the most similar one of whoever comes first."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A face whose search ends differently, or with less of a lead."""

    before_face: int
    after_face: int
    """Its numbers in both generations: the same where both have one detection."""
    before: Answer
    after: Answer


def worst(shadow: Shadow, asked: Asked, thresholds: Thresholds) -> dict[str, list[Changed]]:
    """The lists by their names, the worst first. *asked* is of at least two people."""
    old, new = thresholds
    mated, persons = asked.probes.mated, asked.probes.persons
    falls = asked.after.rank - asked.before.rank
    leads = _in_spreads(asked.after) - _in_spreads(asked.before)
    fallen_most = np.lexsort((np.nan_to_num(leads, nan=np.inf), -falls))
    gained_most = np.lexsort((-np.nan_to_num(leads, nan=-np.inf), falls))
    chosen: dict[str, NDArray[np.bool_]] = {FELL: mated & ((falls > 0) | (leads < 0))}
    if old is not None and new is not None:
        was, now = outcome(asked.before, old), outcome(asked.after, new)
        chosen |= {
            LOST: mated & (was == 0) & (now != 0),
            MISTAKEN: (was != 1) & (now == 1),
            GAINED: mated & (was != 0) & (now == 0),
        }
    found: dict[str, list[Changed]] = {}
    for name, rows in chosen.items():
        ordered = gained_most if name == GAINED else fallen_most
        kept = _one_each(ordered[rows[ordered]], persons)
        found[name] = [_changed(shadow, asked, thresholds, row) for row in kept]
    return found


def of_figures(lists: dict[str, list[Changed]], ids: dict[int, tuple[str, str]]) -> dict[str, list[dict[str, Any]]]:
    """The lists as JSON: faces and people by public id, never by name; *ids* has face and person of each number."""

    def answer(said: Answer) -> dict[str, Any]:
        face, person = ids.get(said.shown, (None, None))
        scores = {"own": None if said.own is None else round(said.own, 4), "best_other": round(said.other, 4)}
        return {"rank": said.rank, **scores, "outcome": said.outcome, "first_person": person, "first_face": face}

    return {
        name: [
            {
                "face": ids[changed.before_face][0],
                "person": ids[changed.before_face][1],
                "before": answer(changed.before),
                "after": answer(changed.after),
            }
            for changed in some
            if changed.before_face in ids
        ]
        for name, some in lists.items()
    }


def faces_of(lists: dict[str, list[Changed]]) -> list[int]:
    """The numbers of all faces that the lists show."""
    shown = {
        number
        for some in lists.values()
        for one in some
        for number in (one.before_face, one.after_face, one.before.shown, one.after.shown)
    }
    return sorted(shown)


def _changed(shadow: Shadow, asked: Asked, thresholds: Thresholds, row: int) -> Changed:
    at = int(asked.probes.rows[row])
    _, numbers = np.unique(shadow.people, return_inverse=True)
    return Changed(
        int(shadow.before.numbers[at]),
        int(shadow.after.numbers[at]),
        _answer(shadow.before, numbers, asked.before, at, row, thresholds[0]),
        _answer(shadow.after, numbers, asked.after, at, row, thresholds[1]),
    )


def _answer(
    side: Side, numbers: NDArray[np.int64], said: Answers, at: int, row: int, threshold: float | None
) -> Answer:
    rank, own = int(said.rank[row]), float(said.own[row])
    person = int(said.first[row, 0])
    shown = nearest(side.vectors, np.where(np.arange(len(numbers)) == at, -1, numbers), side.vectors[at], person)
    ended = None if threshold is None else _OUTCOMES[int(outcome(said, threshold)[row])]
    return Answer(rank or None, own if rank else None, float(said.other_score[row]), ended, int(side.numbers[shown]))


def _in_spreads(said: Answers) -> NDArray[np.float32]:
    """The lead of each probe's own person, in standard deviations of the best others' scores: models have scales of their own."""
    lead: NDArray[np.float32] = said.margin / max(float(said.other_score.std()), 1e-6)
    return lead


def _one_each(rows: Iterable[int], persons: NDArray[np.int64]) -> list[int]:
    """The first :data:`WORST` of *rows* that are not of the same person."""
    kept: list[int] = []
    met: set[int] = set()
    for row in rows:
        person = int(persons[row])
        if person not in met:
            met.add(person)
            kept.append(int(row))
        if len(kept) == WORST:
            break
    return kept

"""A model beside another one, on the same faces: what each would have answered to the same searches.

Searches are made twice, among the same people, once under either model: by enrolled faces, each looked for among all others
(its own person's template without it, as a calibration has it), and by recent real queries, of which nobody knows whom they
show. Of a large gallery people are drawn by lot, so that a million faces take minutes: at most :data:`MOST_FACES` faces are
read, and at most 11,000 searched with.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.templates import templates
from workers.evaluation.calibration_scores import drawn, without
from workers.evaluation.metrics import Labels, Similarities
from workers.faces.values import Chip, Vectors

MOST_FACES = 100_000
"""Of both generations together twice as many vectors: 400 MB of 512 dimensions."""
PLACES = 10
"""How many people of each answer are kept."""

_MOST_MATED, _MOST_ALONE, _MOST_PHOTOS = 2_000, 1_000, 5
"""People with two faces or more, and with one, whose faces are searched with; and how many faces of each."""
_SCORES_AT_ONCE = 16_000_000
"""64 MB."""

Persons = NDArray[np.int64]
Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: a generation of a collection, and the sample in it."""

    generation: int
    model: str
    """Public id."""
    name: str
    digest: str
    dimension: int
    detector: str
    thresholds: Mapping[str, Any]
    """The table that the model brings."""
    curves: Mapping[str, Any] | None
    """The calibration of the generation, where it has one."""
    people: int
    faces: int
    """How many are enrolled in it, sample or not."""
    vectors: Vectors
    """(n, d) float32 of norm 1: the sample."""
    numbers: NDArray[np.int64]
    """(n,): the number of each face in this generation."""
    queries: Vectors
    """(q, d) float32 of norm 1: recent searches."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A face as a report shows it."""

    face_id: str
    person_id: str
    person: str
    photo_id: str
    chip: Chip | None
    """None where it is not in the photo store any more."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """Faces that are in both generations and are somebody's, row by row the same in both, and whom they show."""

    before: Side
    after: Side
    people: Labels
    """(n,): the number of each one's person."""
    all_people: int
    all_faces: int
    """Of which *people* is all, or a part that was drawn by lot."""
    epoch: str
    sequence: int
    """The log entry up to which they have seen the collection."""
    findings: Mapping[str, int]
    """What the rebuild could not simply carry over, by kind."""
    limits: Mapping[str, Any]
    """The parameters of the rebuild, its policy among them."""
    look: Callable[[Sequence[int]], Mapping[int, Seen]]
    """The faces of these numbers, by number; those that are gone by now are left out."""


@dataclass(frozen=True, slots=True)
class Probes:
    """The enrolled faces that are searched with."""

    rows: NDArray[np.int64]
    """(p,): of the sample."""
    persons: Persons
    """(p,): whose each is, a number from 0."""
    mated: NDArray[np.bool_]
    """(p,): whether the person has another face to be found by."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What one model says to every probe."""

    first: Persons
    """(p, at most :data:`PLACES`): the people found, best first; -1 past the last."""
    scores: Similarities
    """(p, as many)."""
    own: Similarities
    """(p,): the score of the probe's own person; not a number where there is no other face of theirs."""
    rank: NDArray[np.int64]
    """(p,): the place of the own person, from 1; 0 where they have no other face."""
    other: Persons
    """(p,): the best person who is somebody else."""
    other_score: Similarities
    """(p,)."""

    @property
    def right(self) -> NDArray[np.bool_]:
        """(p,): whether the own person comes first."""
        return np.equal(self.rank, 1)

    @property
    def margin(self) -> Similarities:
        """(p,): by how much the own person is ahead of everybody else."""
        ahead: Similarities = self.own - self.other_score
        return ahead


@dataclass(frozen=True, slots=True)
class Found:
    """What one model says to queries of which nobody knows whom they show."""

    first: Persons
    scores: Similarities


@dataclass(frozen=True, slots=True)
class Asked:
    """The same searches under both models."""

    everybody: int
    """People who are searched among."""
    probes: Probes
    before: Answers
    after: Answers
    queries: tuple[Found, Found]


def asked(shadow: Shadow, *, seed: int = 0, told: Told = lambda *_: None) -> Asked:
    """Make the searches.

    Args:
        shadow: Of any number of people, even none.
        seed: Of the lot.
        told: Told how many of four steps are done. May raise.
    """
    if not len(shadow.people):
        return _nothing()
    whole, numbers = np.unique(shadow.people, return_inverse=True)
    chosen = probes(numbers.astype(np.int64), seed)
    answers, queries = [], []
    for step, side in enumerate((shadow.before, shadow.after)):
        told(2 * step, 4)
        _, means = templates(side.vectors, numbers)
        answers.append(answered(side.vectors, numbers, means, chosen))
        told(2 * step + 1, 4)
        queries.append(found(side.queries, means))
    told(4, 4)
    return Asked(len(whole), chosen, answers[0], answers[1], (queries[0], queries[1]))


def probes(numbers: Labels, seed: int) -> Probes:
    """Faces to search with: up to five of each of at most 2,000 people with several, and those of 1,000 with one."""
    random = np.random.default_rng(seed)
    counts = np.bincount(numbers)
    whose = np.concatenate(
        [
            drawn(np.flatnonzero(counts > 1), _MOST_MATED, random),
            drawn(np.flatnonzero(counts == 1), _MOST_ALONE, random),
        ]
    )
    order = random.permutation(np.flatnonzero(np.isin(numbers, whose)))
    order = order[np.argsort(numbers[order], kind="stable")]
    place = np.arange(len(order)) - np.searchsorted(numbers[order], numbers[order])
    rows = np.sort(order[place < _MOST_PHOTOS])
    return Probes(rows, numbers[rows], counts[numbers[rows]] > 1)


def answered(vectors: Vectors, numbers: Labels, means: Vectors, chosen: Probes) -> Answers:
    """What a search by each of *chosen* says, its own face left out.

    Args:
        vectors: (n, d) float32 of norm 1.
        numbers: (n,) whose each is, from 0, nobody left out.
        means: (people, d), everybody's template.
        chosen: Whom to ask for.
    """
    count, most = len(chosen.rows), min(PLACES, len(means))
    own, mated = without(vectors, numbers, chosen.rows)
    first, scores = np.full((count, most), -1, np.int64), np.full((count, most), -np.inf, np.float32)
    rank, other = np.zeros(count, np.int64), np.zeros(count, np.int64)
    other_score = np.zeros(count, np.float32)
    for here in _blocks(count, len(means)):
        said = vectors[chosen.rows[here]] @ means.T
        rows, persons = np.arange(len(said)), chosen.persons[here]
        said[rows, persons] = -np.inf
        other[here] = said.argmax(1)
        other_score[here] = said[rows, other[here]]
        ahead = (said > own[here, None]).sum(1) + 1
        rank[here] = np.where(mated[here], ahead, 0)
        said[rows, persons] = np.where(mated[here], own[here], -np.inf)
        first[here], scores[here] = _best(said, most)
    own[~mated] = np.nan
    return Answers(np.where(np.isfinite(scores), first, -1), scores, own, rank, other, other_score)


def found(queries: Vectors, means: Vectors) -> Found:
    """The people whom *queries* find."""
    most = min(PLACES, len(means))
    first, scores = np.empty((len(queries), most), np.int64), np.empty((len(queries), most), np.float32)
    for here in _blocks(len(queries), len(means)):
        first[here], scores[here] = _best(queries[here] @ means.T, most)
    return Found(first, scores)


def overlap(one: Persons, other: Persons, k: int) -> NDArray[np.float64]:
    """(p,): which share of the first *k* people of each answer is among the first *k* of the other one.

    Args:
        one: (p, at least k) people, best first, none twice.
        other: As *one*.
        k: At least 1.
    """
    both = (one[:, :k, None] == other[:, None, :k]).any(2) & (one[:, :k] >= 0)
    share: NDArray[np.float64] = both.sum(1) / k
    return share


def nearest(vectors: Vectors, numbers: Labels, probe: Vectors, person: int) -> int:
    """The row of the face of *person* that is most similar to *probe*, (d,)."""
    mine = np.flatnonzero(numbers == person)
    return int(mine[np.argmax(vectors[mine] @ probe)])


def _nothing() -> Asked:
    """Nobody is there to be searched for."""
    no_one, none = np.empty(0, np.int64), np.empty(0, np.float32)
    found_nothing = Found(np.empty((0, 1), np.int64), np.empty((0, 1), np.float32))
    answers = Answers(found_nothing.first, found_nothing.scores, none, no_one, no_one, none)
    return Asked(0, Probes(no_one, no_one, np.empty(0, bool)), answers, answers, (found_nothing, found_nothing))


def _best(said: NDArray[np.float32], most: int) -> tuple[Persons, Similarities]:
    best = np.argpartition(-said, most - 1, axis=1)[:, :most]
    order = np.argsort(-np.take_along_axis(said, best, 1), axis=1, kind="stable")
    first = np.take_along_axis(best, order, 1).astype(np.int64)
    return first, np.take_along_axis(said, first, 1)


def _blocks(count: int, width: int) -> list[slice]:
    step = max(_SCORES_AT_ONCE // max(width, 1), 1)
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]

"""Galleries with their queries and the true neighbours, the real faces mixed in; made once and kept in a folder.

What is true is what float32 says of the vectors before they were rounded, by plain matrix products. The candidate rule
(``index.engine.scan.candidates``) was chosen on other vectors: neither people, nor queries, nor held-out photos here
were seen by it, with the exception that real photos come from the one set there is.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.index.asked import Asked, Told
from benchmarks.index.population import CHUNK, Persons, Population, fitted
from benchmarks.index.real import RealFaces, real_faces
from index.protocol import Half, Ids, Vectors

SEED = 20_26
GROUPS = ("gallery people", "strangers", "real")
TRUE = 20
"""So many true neighbours of each query are known."""

_PEOPLE, _STRANGERS, _REAL_SINGLES = 1000, 1000, 200
_BLOCK = 32_768
_DEAD_SHARE = 0.01
_REAL_FROM = 10**9
_MADE_OF = json.dumps([SEED, _PEOPLE, _STRANGERS, _REAL_SINGLES])


@dataclass(frozen=True, slots=True)
class Gallery:
    """A gallery of n faces, numbered from 1, and q queries. A hundredth of the faces is removed."""

    vectors: Half
    """(n, 512), mapped from disk."""
    persons: Persons
    """(n,)"""
    dead: Ids
    """Faces that are removed before anything is asked, rising."""
    queries: Vectors
    """(q, 512)"""
    groups: NDArray[np.int64]
    """(q,) places in :data:`GROUPS`."""
    true_ids: NDArray[np.int64]
    """(q, TRUE) the most similar living faces, best first."""
    true_similarities: NDArray[np.float32]
    """(q, TRUE)"""

    def __len__(self) -> int:
        return len(self.vectors)

    def blocks(self, rows: int = 4096) -> Iterator[tuple[Ids, Half]]:
        """Faces as an index is filled with them."""
        for first in range(0, len(self), rows):
            vectors = np.asarray(self.vectors[first : first + rows])
            yield np.arange(first + 1, first + 1 + len(vectors)), vectors

    def order(self, seed: int, most: int) -> NDArray[np.int64]:
        """Queries in an order that mixes the groups, (at most *most*,)."""
        return np.random.default_rng(seed).permutation(len(self.queries))[:most]


def gallery(folder: Path, faces: int) -> Gallery:
    """The gallery of that many faces, the real ones among them; made if *folder* has it not yet."""
    at = folder / f"gallery-{faces}"
    made_of = at / "made-of.json"
    if not made_of.exists() or made_of.read_text("utf-8") != _MADE_OF:
        at.mkdir(parents=True, exist_ok=True)
        made_of.unlink(missing_ok=True)
        _make(at, faces)
        made_of.write_text(_MADE_OF, "utf-8")
    with np.load(at / "beside.npz", allow_pickle=False) as held:
        vectors = np.load(at / "vectors.npy", mmap_mode="r", allow_pickle=False)
        names = ("persons", "dead", "queries", "groups", "true_ids", "true_similarities")
        return Gallery(vectors, *(held[name] for name in names))


def told(asked: Asked) -> Told:
    """Make all that the other parts need, so that none of them has to."""
    sizes = sorted({*asked.ladder, *asked.sizes})
    for size in sizes:
        gallery(asked.folder, size)
    return Told([], [f"of {', '.join(f'{size:,}' for size in sizes)} faces"])


def _make(folder: Path, faces: int) -> None:
    random = np.random.default_rng([SEED, faces])
    real = real_faces()
    population = Population(fitted(real), SEED)
    enrolled, asked = _held_out(real, random)
    made = faces - len(enrolled)
    queries = [_of_people(population, made, random), population.strangers(_STRANGERS, random), real.vectors[asked]]
    groups = np.repeat(np.arange(len(GROUPS)), [len(each) for each in queries])
    truth = Truth(np.concatenate(queries))
    place = random.permutation(faces)
    dead = np.sort(random.choice(faces, round(_DEAD_SHARE * faces), replace=False))
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float16, (faces, real.vectors.shape[1]))
    persons = np.zeros(faces, np.int64)
    at = 0
    for block, owners in _rows(population, made, real, enrolled):
        rows = place[at : at + len(block)]
        vectors[rows], persons[rows] = block, owners
        truth.see(block, rows + 1, alive=~np.isin(rows, dead))
        at += len(block)
    vectors.flush()
    ids, similarities = truth.best()
    np.savez(
        folder / "beside.npz",
        allow_pickle=False,
        persons=persons,
        dead=dead + 1,
        queries=np.concatenate(queries),
        groups=groups,
        true_ids=ids,
        true_similarities=similarities,
    )


def _rows(
    population: Population, made: int, real: RealFaces, enrolled: NDArray[np.int64]
) -> Iterator[tuple[Vectors, Persons]]:
    yield real.vectors[enrolled], _REAL_FROM + real.people[enrolled]
    for number in range(-(-made // CHUNK)):
        chunk = population.chunk(number)
        last = min(CHUNK, made - number * CHUNK)
        for first in range(0, last, _BLOCK):
            some = slice(first, min(first + _BLOCK, last))
            yield chunk.vectors[some], chunk.persons[some]


def _of_people(population: Population, made: int, random: np.random.Generator) -> Vectors:
    """Held-out faces of people drawn by their number of faces."""
    drawn = random.integers(0, made, _PEOPLE)
    found = []
    for number in np.unique(drawn // CHUNK):
        rows = drawn[drawn // CHUNK == number] % CHUNK
        found.append(population.held_out(int(number), population.chunk(int(number)).persons[rows], random))
    return np.concatenate(found)


def _held_out(real: RealFaces, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Real photos to enrol, and to ask with: half of each person's, and some of people who are then not enrolled."""
    asked: list[int] = []
    singles: list[int] = []
    for person in np.unique(real.people):
        photos = random.permutation(np.flatnonzero(real.people == person)).tolist()
        if len(photos) > 1:
            asked += photos[: len(photos) // 2]
        else:
            singles += photos
    asked += random.permutation(singles)[:_REAL_SINGLES].tolist()
    return np.setdiff1d(np.arange(len(real.people)), asked), np.sort(np.array(asked, np.int64))


class Truth:
    """The nearest of all that was seen, exactly."""

    def __init__(self, queries: Vectors) -> None:
        self._queries = queries
        self._ids = np.zeros((len(queries), 0), np.int64)
        self._similarities = np.zeros((len(queries), 0), np.float32)

    def see(self, vectors: Vectors, ids: Ids, *, alive: NDArray[np.bool_]) -> None:
        """Take (n, 512) vectors into account, those that are *alive*."""
        found = self._queries @ vectors[alive].T
        living = ids[alive]
        if found.shape[1] > TRUE:
            at = np.argpartition(-found, TRUE - 1, axis=1)[:, :TRUE]
            found, of = np.take_along_axis(found, at, 1), living[at]
        else:
            of = np.broadcast_to(living, found.shape)
        self._similarities = np.concatenate([self._similarities, found], 1)
        self._ids = np.concatenate([self._ids, of], 1)
        order = np.argsort(-self._similarities, axis=1, kind="stable")[:, :TRUE]
        self._similarities = np.take_along_axis(self._similarities, order, 1)
        self._ids = np.take_along_axis(self._ids, order, 1)

    def best(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Face numbers and cosines, (q, TRUE) both, best first."""
        return self._ids, self._similarities

"""People who do not exist, whose vectors are spread as the real ones are: a Gaussian model fitted to ``lfw_dev``.

A person is a centre, a face that centre and some of the covariance within persons, larger or smaller from face to face.
A tenth of a centre's variance is taken from a real person's centre, which gives strangers the rare resemblance that real
strangers have and independent normals lack. Chunks are made from their number alone: any of them, in any order, twice.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.index.real import RealFaces
from index.protocol import Vectors

CHUNK = 50_000
"""Faces that are made at once, with all faces of their persons among them."""

Persons = NDArray[np.int64]

_LEANING = 0.3
_SIZE_LOG_MEAN, _SIZE_LOG_SD, _LARGEST = 1.15, 0.95, 400
_FACE_LOG_SD = 0.25


@dataclass(frozen=True, slots=True)
class Spread:
    """What was fitted. A row of normals times a factor has the covariance that it stands for."""

    mean: NDArray[np.float32]
    """(512,)"""
    between: NDArray[np.float32]
    """(512, 512), of persons around the mean."""
    within: NDArray[np.float32]
    """(512, 512), of faces around their person."""
    centres: NDArray[np.float32]
    """(p, 512) real persons' centres less the mean, each drawn to it as far as its few photos ask for."""


def fitted(real: RealFaces) -> Spread:
    """The spread of real faces: between persons from one photo each, within from those who have several."""
    vectors = real.vectors.astype(np.float64)
    people, first, counts = np.unique(real.people, return_index=True, return_counts=True)
    mean = vectors[first].mean(0)
    total = np.cov(vectors[first].T)
    within = np.zeros_like(total)
    for person in people[counts > 1]:
        apart = vectors[real.people == person]
        apart = apart - apart.mean(0)
        within += apart.T @ apart
    within /= np.sum(counts[counts > 1] - 1)
    between = total - within
    drawn = {
        count: between @ np.linalg.pinv(between + within / count, hermitian=True) for count in set(counts.tolist())
    }
    means = [vectors[real.people == person].mean(0) for person in people]
    centres = np.stack([drawn[count] @ (each - mean) for each, count in zip(means, counts.tolist(), strict=True)])
    centres *= np.sqrt(np.trace(between) / np.trace(np.cov(centres.T)))
    parts = (mean, _factor(between), _factor(within), centres)
    return Spread(*(part.astype(np.float32) for part in parts))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some faces, and whose they are."""

    vectors: Vectors
    """(CHUNK, 512)"""
    persons: Persons
    """(CHUNK,), counted from the chunk's number times :data:`CHUNK`."""


class Population:
    """Endless people, the same for the same seed."""

    def __init__(self, spread: Spread, seed: int) -> None:
        self._spread = spread
        self._seed = seed

    def chunk(self, number: int) -> Chunk:
        """A chunk of faces in no order. Sizes of persons are log-normal, 5 faces in the mean, 400 at most."""
        random, sizes, centres = self._people(number)
        persons = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
        return Chunk(self._faces(centres[persons], random), number * CHUNK + persons)

    def held_out(self, number: int, persons: Persons, random: np.random.Generator) -> Vectors:
        """One more face of each of *persons* of a chunk, (n, 512)."""
        return self._faces(self._people(number)[2][persons - number * CHUNK], random)

    def strangers(self, count: int, random: np.random.Generator) -> Vectors:
        """A face each of people who are in no chunk, (n, 512)."""
        return self._faces(self._centres(count, random), random)

    def _people(self, number: int) -> tuple[np.random.Generator, NDArray[np.int64], Vectors]:
        random = np.random.default_rng([self._seed, number])
        drawn = random.lognormal(_SIZE_LOG_MEAN, _SIZE_LOG_SD, CHUNK).round().astype(np.int64).clip(1, _LARGEST)
        people = int(np.searchsorted(np.cumsum(drawn), CHUNK)) + 1
        sizes = drawn[:people]
        sizes[-1] -= sizes.sum() - CHUNK
        return random, sizes, self._centres(people, random)

    def _centres(self, count: int, random: np.random.Generator) -> Vectors:
        spread = self._spread
        alike = spread.centres[random.integers(0, len(spread.centres), count)]
        own = random.standard_normal((count, len(spread.mean)), dtype=np.float32) @ spread.between
        centres: Vectors = spread.mean + np.float32(np.sqrt(1 - _LEANING**2)) * own + np.float32(_LEANING) * alike
        return centres

    def _faces(self, centres: Vectors, random: np.random.Generator) -> Vectors:
        scale = random.lognormal(-(_FACE_LOG_SD**2) / 2, _FACE_LOG_SD, (len(centres), 1)).astype(np.float32)
        vectors = random.standard_normal(centres.shape, dtype=np.float32) @ self._spread.within
        vectors *= scale
        vectors += centres
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


def _factor(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    values, directions = np.linalg.eigh(covariance)
    factor: NDArray[np.float64] = (directions * np.sqrt(np.clip(values, 0, None))).T
    return factor

"""Measuring: everything that is said of one model over one set of faces. Arrays only; the verb is ``workers.evaluating``."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidRequest
from workers.evaluation import bootstrap, groups, identification, metrics, pairing, protocols, verification
from workers.evaluation.bootstrap import Interval, Weights
from workers.evaluation.groups import Column, Group
from workers.evaluation.identification import Identified
from workers.evaluation.pairing import UNDETECTED, Compare, Pairing, Photos, Scored
from workers.evaluation.verification import Folds, Verified
from workers.faces.values import Vectors
from workers.galleries import Gallery, ListedPairs

WAYS = (4, 10, 20, 50)
TRIALS = 20_000
WORST = 12
_BINS = 120


@dataclass(frozen=True, slots=True)
class Faces:
    """A set of faces, ready to be measured with any model."""

    photos: Photos
    names: Sequence[str]
    """Of the people, by number."""
    paths: Sequence[str]
    """(m,): what the photos are called, those without a face last."""
    pairs: Pairing
    folds: Folds | None
    weights: Weights
    identified: bool
    """Whether all people are told apart, so that anybody can be searched for."""
    columns: Sequence[Column] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Shot:
    """One-shot identification among a number of people."""

    share: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Histogram:
    """How similar mated and non-mated pairs are: counts between ``edges``, those without a face left out."""

    edges: NDArray[np.float64]
    mated: NDArray[np.int64]
    non_mated: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair worth looking at: two rows of the photos."""

    first: int
    second: int
    similarity: float


@dataclass(frozen=True, slots=True)
class OfFaces:
    """What the model alone does: the same where photos without a face are left out, not missed."""

    tmr: dict[float, float | None]
    """By FMR, at the same thresholds."""
    shots: dict[int, float | None]
    """By the number of people."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One model's figures."""

    verified: Verified
    identified: Identified | None
    shots: dict[int, Shot | None]
    """By the number of people; None where there are not enough."""
    groups: list[tuple[Column, list[Group]]]
    """At the threshold of the rate that :func:`decision` gives."""
    histogram: Histogram
    false_matches: list[Pair]
    """The most similar non-mated pairs, one of any two people, most similar first."""
    misses: list[Pair]
    """The least similar mated pairs, one a person, least similar first."""
    of_faces: OfFaces | None
    """None where every photo has a face."""


def of_gallery(gallery: Gallery, columns: Sequence[Column] = (), *, draws: int, seed: int) -> Faces:
    """All pairs and searches of a gallery.

    Raises:
        InvalidRequest: There is one person, nobody has two photos, or there is no face.
    """
    photos = photos_of(gallery)
    _refuse_too_few(photos)
    pairs = pairing.every_pair(photos, seed)
    weights = bootstrap.drawn(photos.everybody, draws, seed)
    folds = verification.drawn_folds(pairs, photos, seed)
    return Faces(
        photos, gallery.names, paths_of(gallery), pairs, folds, weights, identified=True, columns=columns, seed=seed
    )


def of_pairs(gallery: Gallery, listed: ListedPairs, columns: Sequence[Column] = (), *, draws: int, seed: int) -> Faces:
    """The pairs of a list, and the searches among its photos where it tells all people apart.

    Raises:
        InvalidRequest: The list has no mated or no non-mated pairs.
    """
    photos = photos_of(gallery)
    faceless = (listed.first < 0) | (listed.second < 0)
    if not listed.same.any():
        raise InvalidRequest("No pair of the list shows one person (same is 0 in all): nothing can be missed in it.")
    if listed.same.all():
        raise InvalidRequest("All pairs of the list show one person (same is 1 in all): nothing can be mistaken in it.")
    if not (~listed.same & ~faceless).any():
        raise InvalidRequest("No pair of two people has a face in both photos: no threshold can be set.")
    rows = {path: row for row, path in enumerate(paths_of(gallery))}
    both = np.array([(rows[a], rows[b]) for a, b in listed.photos], np.int64)
    pairs = Pairing(both[listed.same], both[~listed.same & ~faceless], 1.0, 1.0, listed=True)
    folds = verification.listed_folds(listed.same, faceless, listed.folds, seed)
    weights = bootstrap.drawn(photos.everybody, draws, seed)
    paths = paths_of(gallery)
    return Faces(photos, gallery.names, paths, pairs, folds, weights, listed.identified, columns, seed)


def photos_of(gallery: Gallery) -> Photos:
    """Whom each photo of *gallery* shows, those without a face last."""
    people = np.concatenate([gallery.people, gallery.undetected_people])
    return Photos(people, len(gallery.people), len(gallery.names))


def paths_of(gallery: Gallery) -> list[str]:
    """What the photos are called, in the order of :func:`photos_of`."""
    return [*gallery.photos, *gallery.undetected]


def _refuse_too_few(photos: Photos) -> None:
    people = np.unique(photos.people[: photos.found])
    if not len(people):
        raise InvalidRequest("No face was found in any photo.")
    if len(people) < 2:
        raise InvalidRequest("Only one person has a face here: at least two are needed, so that they can be mistaken.")
    if np.bincount(photos.people).max() < 2:
        raise InvalidRequest(
            f"{len(people)} people with one photo each: somebody needs two photos, so that they can be recognised again."
        )


def measured(faces: Faces, vectors: Vectors, *, compare: Compare | None = None, trials: int = TRIALS) -> Measured:
    """All figures of one model over *faces*.

    Args:
        faces: What is measured.
        vectors: (found, d) float32 of norm 1: what the model says of the photos with a face.
        compare: How two vectors are compared, where not by the cosine; searches are left out then.
        trials: Of each one-shot figure.
    """
    said = pairing.scored(vectors, faces.photos, faces.pairs, compare)
    verified = verification.verified(said, faces.pairs, faces.photos, faces.folds, faces.weights)
    identified = None
    if compare is None and why_not_identified(faces) is None:
        identified = identification.identified(vectors, faces.photos, faces.weights, faces.seed)
    at = decision(verified)
    by_group = [
        (column, groups.within(column, said, faces.pairs, faces.photos, at, faces.weights))
        for column in (faces.columns if at is not None else ())
        if at is not None
    ]
    shots = {ways: _shot(faces, vectors, ways, compare, trials) for ways in WAYS}
    false_matches, misses = _worst(said, faces)
    of_faces = (
        _of_faces(faces, vectors, said, verified, compare, trials) if faces.photos.found < len(faces.paths) else None
    )
    return Measured(verified, identified, shots, by_group, _histogram(said), false_matches, misses, of_faces)


def decision(verified: Verified) -> tuple[float, float] | None:
    """The FMR, 1e-3 where it can be shown and else the next larger one, and the threshold that groups are judged at."""
    for rate in (1e-3, 1e-2):
        found = verified.at_rate.get(rate)
        if found is not None:
            return rate, found.threshold
    return None


def why_not_identified(faces: Faces) -> str | None:
    """Why nobody can be searched for in this set; None where they can."""
    if not faces.identified:
        return "The labels of the list do not agree with the folders, so who is not who is known for the listed pairs only."
    return identification.why_not(faces.photos)


def people_for_shots(faces: Faces) -> int:
    """How many people can be asked for in one-shot trials: with two photos, one of them with a face."""
    if not faces.identified:
        return 0
    counts = np.bincount(faces.photos.people, minlength=faces.photos.everybody)
    with_face = np.bincount(faces.photos.people[: faces.photos.found], minlength=faces.photos.everybody)
    return int(((counts > 1) & (with_face > 0)).sum())


def mated_by_person(faces: Faces) -> NDArray[np.int64]:
    """(people,): how many of the mated pairs are of each."""
    people = faces.photos.people[faces.pairs.mated[:, 0]]
    return np.bincount(people, minlength=faces.photos.everybody).astype(np.int64)


def _shot(faces: Faces, vectors: Vectors, ways: int, compare: Compare | None, trials: int) -> Shot | None:
    if people_for_shots(faces) < ways:
        return None
    found = protocols.n_way(vectors, faces.photos, ways, trials, faces.seed, compare or pairing.cosine)
    return Shot(found.share, bootstrap.share_interval(found.right, found.trials, faces.weights))


def _of_faces(
    faces: Faces, vectors: Vectors, said: Scored, verified: Verified, compare: Compare | None, trials: int
) -> OfFaces:
    mated = said.mated[said.mated > UNDETECTED]
    tmr = {
        rate: None if at is None or not len(mated) else metrics.share_accepted(mated, at.threshold)
        for rate, at in verified.at_rate.items()
    }
    photos = faces.photos
    found = replace(faces, photos=Photos(photos.people[: photos.found], photos.found, photos.everybody))
    shots = {ways: _shot(found, vectors, ways, compare, trials) for ways in WAYS}
    return OfFaces(tmr, {ways: None if shot is None else shot.share for ways, shot in shots.items()})


def _histogram(said: Scored) -> Histogram:
    mated = said.mated[said.mated > UNDETECTED]
    ends = [each for part in (mated, said.non_mated) if len(part) for each in (part.min(), part.max())]
    low, high = (float(min(ends)), float(max(ends))) if ends else (-1.0, 1.0)
    edges = np.linspace(low, max(high, low + 1e-6), _BINS + 1)
    return Histogram(edges, np.histogram(mated, edges)[0], np.histogram(said.non_mated, edges)[0])


def _worst(said: Scored, faces: Faces) -> tuple[list[Pair], list[Pair]]:
    pairs, people = faces.pairs, faces.photos.people
    seen = np.flatnonzero(said.mated > UNDETECTED)
    return (
        _first(np.argsort(-said.non_mated, kind="stable"), pairs.non_mated, said.non_mated, people),
        _first(seen[np.argsort(said.mated[seen], kind="stable")], pairs.mated, said.mated, people),
    )


def _first(
    order: NDArray[np.int64], pairs: NDArray[np.int64], said: NDArray[np.float32], people: NDArray[np.int64]
) -> list[Pair]:
    """The first pairs in *order* that are not of the same two people."""
    met: set[tuple[int, ...]] = set()
    kept: list[Pair] = []
    for row in order.tolist():
        first, second = pairs[row].tolist()
        who = tuple(sorted(people[[first, second]].tolist()))
        if who not in met:
            met.add(who)
            kept.append(Pair(first, second, float(said[row])))
        if len(kept) == WORST:
            break
    return kept

"""Who is recognised: the accuracy of each chain and peer over ``lfw_dev``, in the run that measures their speed.

Through stored chips in both variants, and beside that the same detector's fp32 without chips, from which the loss is told
(the interval is a bootstrap over people). Photos in which no face is found count: their vector resembles nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import chains, datasets
from benchmarks.datasets import Labelled
from benchmarks.machine import Row
from benchmarks.peers.process import Peer
from workers.evaluation import metrics, protocols
from workers.evaluation.metrics import Labels
from workers.faces.values import Vectors

_RATES = (1e-3, 1e-4)
_WAYS = (10, 50)
_TRIALS = 20_000
_DLIB_DISTANCE = 0.6
"""face_recognition's stock tolerance."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """What one chain says of every photo of a set."""

    name: str
    vectors: Vectors
    found: NDArray[np.bool_]


def rows(peers: Sequence[Peer], people: int | None) -> list[Row]:
    """All rows; *people* limits the set, for a quick run."""
    everyone = datasets.lfw(photos_of=people)
    listed, same = datasets.lfw_pairs()
    needed = sorted({photo for pair in listed for photo in pair} | set(everyone.photos))
    if people is not None:
        known = set(everyone.photos)
        kept = [i for i, pair in enumerate(listed) if known.issuperset(pair)]
        listed, same, needed = [listed[i] for i in kept], same[kept], list(everyone.photos)
    place = {photo: i for i, photo in enumerate(needed)}
    pairs = np.array([[place[a], place[b]] for a, b in listed], np.int64).reshape(-1, 2)
    chosen = np.array([place[photo] for photo in everyone.photos])
    result: list[Row] = []
    for reference, *variants in ours(needed):
        for held in variants:
            result += _verification(held, everyone, chosen, pairs, same)
            result += _loss(reference, held, everyone, chosen)
        result += _verification(reference, everyone, chosen, pairs, same)
    for peer in peers:
        result += _peer(_asked(peer, needed), everyone, chosen, pairs, same)
    return result


def ours(photos: Sequence[Path]) -> list[tuple[Embedded, ...]]:
    """For each detector: fp32 without chips, int8 and fp32 through chips."""
    model = chains.bundle()
    fp32, int8 = model.embedder("fp32"), model.embedder("int8")
    groups: list[tuple[Embedded, ...]] = []
    for name, detector in chains.every_detector().items():
        stored = chains.stored_crops(detector, int8, photos)
        direct = chains.direct_crops(detector, photos)
        found = np.array([crop is not None for crop in stored])
        groups.append(
            (
                Embedded(
                    f"{name} fp32, no chip", chains.vectors(fp32, direct), np.array([c is not None for c in direct])
                ),
                Embedded(f"{name} int8", chains.vectors(int8, stored), found),
                Embedded(f"{name} fp32", chains.vectors(fp32, stored), found),
            )
        )
    return groups


def _verification(
    held: Embedded, everyone: Labelled, chosen: Labels, pairs: Labels, same: NDArray[np.bool_]
) -> list[Row]:
    vectors = held.vectors[chosen]
    lines = [Row(held.name, f"photos of {len(held.found)} with a face", float(held.found.sum()))]
    folds = {"all": np.ones(len(chosen), bool), "fold 1": everyone.of_fold(1), "fold 2": everyone.of_fold(2)}
    for part, rows_of in folds.items():
        if not rows_of.any():
            continue
        verified = protocols.verification(vectors[rows_of], everyone.people[rows_of], _RATES)
        lines += [Row(held.name, f"TMR % at FMR {rate:g}, {part}", 100 * verified.tmr[rate]) for rate in _RATES]
        lines.append(Row(held.name, f"EER %, {part}", 100 * verified.eer))
        lines += [Row(held.name, f"threshold at FMR {rate:g}, {part}", verified.threshold[rate]) for rate in _RATES]
    several = len([n for n in np.unique(everyone.people, return_counts=True)[1] if n > 1])
    for ways in (w for w in _WAYS if w <= several):
        right = protocols.one_shot(vectors, everyone.people, ways, _TRIALS)
        lines.append(Row(held.name, f"one-shot rank-1 % of {ways}", 100 * right))
    if len(pairs):
        similarities = (held.vectors[pairs[:, 0]] * held.vectors[pairs[:, 1]]).sum(1)
        right = protocols.fold_accuracy(similarities, same)
        lines.append(Row(held.name, "10-fold accuracy %, pairs.csv", 100 * right))
    return lines


def _loss(reference: Embedded, held: Embedded, everyone: Labelled, chosen: Labels) -> list[Row]:
    lines = []
    for part, rows_of in {"all": np.ones(len(chosen), bool), "fold 2": everyone.of_fold(2)}.items():
        if not rows_of.any():
            continue
        a, b = (one.vectors[chosen][rows_of] for one in (reference, held))
        lost = protocols.tmr_difference(a, b, everyone.people[rows_of])
        metric = f"TMR at FMR 0.001, {part}: points more than fp32 without chips"
        lines.append(Row(held.name, metric, 100 * lost.value))
        lines.append(Row(held.name, f"{metric}, 95% from", 100 * lost.low))
        lines.append(Row(held.name, f"{metric}, 95% to", 100 * lost.high))
    return lines


def _asked(peer: Peer, photos: Sequence[Path]) -> Embedded:
    answers = [peer.ask(photo).vector for photo in photos]
    found = np.array([answer is not None for answer in answers])
    dimension = next(len(answer) for answer in answers if answer is not None)
    # Far from everything and from each other: a photo without a face resembles nothing.
    vectors = np.full((len(answers), dimension), np.nan, np.float32)
    for i, answer in enumerate(answers):
        if answer is not None:
            vectors[i] = answer
    return Embedded(peer.name, vectors, found)


def _peer(held: Embedded, everyone: Labelled, chosen: Labels, pairs: Labels, same: NDArray[np.bool_]) -> list[Row]:
    """By Euclidean distance, as both peers compare."""
    vectors = held.vectors[chosen]
    squares = (vectors**2).sum(1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * vectors @ vectors.T, 0))
    similarities = np.nan_to_num(-distances, nan=-10.0).astype(np.float32)
    split = metrics.split(similarities, everyone.people)
    lines = [Row(held.name, f"photos of {len(held.found)} with a face", float(held.found.sum()))]
    for rate in _RATES:
        accepted = metrics.share_accepted(split.mated, metrics.threshold_at(split.non_mated, rate))
        lines.append(Row(held.name, f"TMR % at FMR {rate:g}, all", 100 * accepted))
    lines.append(Row(held.name, "EER %, all", 100 * metrics.equal_error_rate(split)))
    if len(pairs):
        apart = held.vectors[pairs[:, 0]] - held.vectors[pairs[:, 1]]
        nearness = np.nan_to_num(-np.linalg.norm(apart, axis=1), nan=-10.0).astype(np.float32)
        right = protocols.fold_accuracy(nearness, same)
        lines.append(Row(held.name, "10-fold accuracy %, pairs.csv", 100 * right))
        if held.name == "face_recognition":
            stock = float(((nearness >= -_DLIB_DISTANCE) == same).mean())
            lines.append(Row(held.name, "accuracy % at its stock distance, pairs.csv", 100 * stock))
    return lines

"""Pairs: all pairs of vectors that are at least so similar. Exact, for a fraction of comparing all with all.

Each vector is turned into its leading principal axes and one more coordinate, the norm of what they leave out. The dot
product of two such short vectors is never below the similarity of the long ones (Cauchy-Schwarz), so only pairs that pass
it are looked at closer: by the same bound on more axes, then in full. How many axes pay at first depends on the threshold
and is found on a sample (docs/index.md, "Groups of faces").
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.protocol import Half, Vectors
from services.errors import InvalidRequest

Places = NDArray[np.int32]
"""(n,) int32 rows of the vectors that were compared."""

_ROWS, _COLUMNS = 512, 1024
"""A block of bounds: 2 MB, which stays in a core's cache."""
_AXES = (16, 24, 32, 40, 48, 56, 64, 80, 96, 128)
_FEWEST = 6000
"""Vectors: fewer are compared in full at once."""
_SAMPLE = 8192
_PROBED = 1024
_CHECK_COSTS = 22_000
"""What looking closer at one pair costs, in axes of one pair's bound. Measured, as is the next."""
_PAIR_COSTS = 30
_CHECKED_AT_ONCE = 8192
_PROJECTED_AT_ONCE = 4096
_SLACK = 1e-4
"""More than float32 can be wrong by in a dot product of 512 numbers (3e-5 at worst)."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of rows, each once, in the order of their rows."""

    first: Places
    """(p,) int32, each below its *second*."""
    second: Places
    similarities: NDArray[np.float32]
    """(p,) float32 cosines in [-1, 1]."""

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Short vectors, whose dot products are not below the long ones' own."""

    coarse: Vectors
    """(n, a) float32."""
    fine: Vectors | None
    """(n, b) float32, b above a: nearer to the truth. None where *coarse* is the vectors themselves."""


def pairs_above(vectors: Half, threshold: float, *, most: int) -> Pairs:
    """All pairs of rows whose dot product, as exact arithmetic has it, is *threshold* or more.

    Time grows with the square of n: about 10 s on one core for 100,000 vectors of 512. Memory: the vectors as they come,
    three quarters as much again for the bounds, and 12 bytes a pair.

    Args:
        vectors: (n, d) float16 of norm 1 before they were rounded; rows of zeros are like nothing.
        threshold: In (0, 1].
        most: How many pairs there may be.

    Raises:
        InvalidRequest: There are more than *most*.
    """
    bounds = _bounds(vectors, threshold)
    found: list[Pairs] = []
    count = 0
    for first, second in _candidates(bounds.coarse, threshold - _SLACK):
        for start in range(0, len(first), _CHECKED_AT_ONCE):
            part = slice(start, start + _CHECKED_AT_ONCE)
            left = _closer(bounds.fine, first[part], second[part], threshold - _SLACK)
            found.append(_checked(vectors, *left, threshold))
            count += len(found[-1])
        if count > most:
            raise InvalidRequest(
                f"More than {most:,} pairs have a similarity of {threshold:g} or more. Give a higher threshold."
            )
    return _in_order(found)


def _candidates(bounds: Vectors, threshold: float) -> Iterator[tuple[Places, Places]]:
    """Pairs whose coarse bounds reach *threshold*, a block or several at a time."""
    rows = len(bounds)
    products, passed = np.empty((_ROWS, _COLUMNS), np.float32), np.empty((_ROWS, _COLUMNS), np.bool_)
    held: list[tuple[Places, Places]] = []
    count = 0
    for top in range(0, rows, _ROWS):
        mine = bounds[top : top + _ROWS]
        for left in range(top, rows, _COLUMNS):
            others = bounds[left : left + _COLUMNS]
            whole = (len(mine), len(others)) == products.shape
            block = np.dot(mine, others.T, out=products if whole else None)
            places = np.flatnonzero(np.greater_equal(block, threshold, out=passed if whole else None))
            row, column = np.divmod(places, len(others))
            first, second = (row + top).astype(np.int32), (column + left).astype(np.int32)
            if left < top + len(mine):
                above = second > first
                first, second = first[above], second[above]
            held.append((first, second))
            count += len(first)
            if count >= _CHECKED_AT_ONCE:
                yield np.concatenate([one for one, _ in held]), np.concatenate([other for _, other in held])
                held, count = [], 0
    if count:
        yield np.concatenate([one for one, _ in held]), np.concatenate([other for _, other in held])


def _closer(fine: Vectors | None, first: Places, second: Places, threshold: float) -> tuple[Places, Places]:
    """Those of some pairs whose fine bounds reach *threshold* too."""
    if fine is None:
        return first, second
    inside = np.einsum("na,na->n", fine[first], fine[second]) >= threshold
    return first[inside], second[inside]


def _checked(vectors: Half, first: Places, second: Places, threshold: float) -> Pairs:
    """Those of some pairs that are as similar as that."""
    mine, place = np.unique(first, return_inverse=True)  # A block has few rows of its own: half the conversions.
    one, other = vectors[mine].astype(np.float32)[place], vectors[second].astype(np.float32)
    similarities = np.einsum("nd,nd->n", one, other)
    near = np.flatnonzero(np.abs(similarities - threshold) < _SLACK)
    # Products of float16 numbers add up in float64 without rounding: who is in does not depend on the order of a sum.
    exact = np.einsum("nd,nd->n", one[near].astype(np.float64), other[near].astype(np.float64))
    inside = similarities >= threshold
    inside[near] = exact >= threshold
    return Pairs(first[inside], second[inside], np.clip(similarities[inside], -1, 1))


def _in_order(found: list[Pairs]) -> Pairs:
    nothing = np.zeros(0, np.int32)
    first = np.concatenate([nothing, *(each.first for each in found)])
    second = np.concatenate([nothing, *(each.second for each in found)])
    similarities = np.concatenate([nothing.astype(np.float32), *(each.similarities for each in found)])
    order = np.lexsort((second, first))
    return Pairs(first[order], second[order], similarities[order])


def _bounds(vectors: Half, threshold: float) -> _Bounds:
    rows, dimension = vectors.shape
    if rows <= _FEWEST or dimension <= _AXES[-1]:
        return _Bounds(vectors.astype(np.float32), None)
    sample = vectors[np.linspace(0, rows - 1, min(rows, _SAMPLE)).astype(np.int64)].astype(np.float64)
    _, axes = np.linalg.eigh(sample.T @ sample)
    axes = axes[:, : -_AXES[-1] - 1 : -1]  # The leading ones, the first of them first.
    few, many = _worthwhile(sample, axes, threshold), _AXES[-1]
    coarse, fine = np.empty((rows, few + 1), np.float32), np.empty((rows, many + 1), np.float32)
    for start in range(0, rows, _PROJECTED_AT_ONCE):
        part = vectors[start : start + _PROJECTED_AT_ONCE].astype(np.float64)
        leading = part @ axes
        for bounds, kept in ((coarse, few), (fine, many)):
            bounds[start : start + len(part), :kept] = leading[:, :kept]
            left_out = (part**2).sum(1) - (leading[:, :kept] ** 2).sum(1)
            bounds[start : start + len(part), kept] = np.sqrt(np.maximum(left_out, 0))
    return _Bounds(coarse, fine)


def _worthwhile(sample: NDArray[np.float64], axes: NDArray[np.float64], threshold: float) -> int:
    """How many leading axes cost least in all: more of them cost more a pair and let fewer pairs through."""
    drawn = np.random.default_rng(0).permutation(len(sample))
    half = min(_PROBED, len(drawn) // 2)
    one, other = sample[drawn[:half]], sample[drawn[half : 2 * half]]
    left_one, left_other = (one**2).sum(1), (other**2).sum(1)
    one, other = one @ axes, other @ axes
    products, before = np.zeros((len(one), len(other))), 0
    cost = {}
    for kept in _AXES:
        added, beside = one[:, before:kept], other[:, before:kept]
        products += added @ beside.T
        left_one, left_other = left_one - (added**2).sum(1), left_other - (beside**2).sum(1)
        left = np.sqrt(np.maximum(left_one, 0))[:, None] * np.sqrt(np.maximum(left_other, 0))
        share = float((products + left >= threshold - _SLACK).mean())
        cost[kept] = kept + _PAIR_COSTS + _CHECK_COSTS * share
        before = kept
    return min(cost, key=lambda kept: cost[kept])

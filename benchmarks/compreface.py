"""What the thresholds that CompreFace's users have set do here: people named and strangers named, over ``lfw_dev``.

    python -m benchmarks.compreface [--json FILE] [--quick]

100 people (60 with ``--quick``) are known by two photos each and asked for with a third; three times as many strangers (twice)
are asked for with one. The peer is CompreFace's own curve, (tanh((1.1362496 - distance) * 5.803152427) + 1) / 2, which it has
for the same model, FaceNet trained on CASIA-WebFace; its detector and its score of one photo against one are not compared.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import chains, datasets, machine
from benchmarks.chains import Chain
from benchmarks.machine import Row
from services.gateway.compreface.similarity import similarity
from workers.faces.values import Vectors

_KNOWN_BY = 2
_THRESHOLDS = (0.5, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99)
_FURTHEST, _STEEPNESS = 1.1362496, 5.803152427

Scores = NDArray[np.float64]


def main() -> None:
    """Score everybody once, and tell them by both curves."""
    asked = machine.parser(__doc__).parse_args()
    described, _ = machine.describe(), machine.pin()
    people, strangers = _chosen(*((60, 120) if asked.quick else (100, 300)))
    model = chains.bundle()
    chain = chains.chains(model)[0]
    photos = [[vector for path in mine if (vector := chain.vector(path.read_bytes())) is not None] for mine in people]
    seen = [mine for mine in photos if len(mine) > _KNOWN_BY]
    known = np.stack([_unit(np.sum(mine[:_KNOWN_BY], axis=0)[0]) for mine in seen])
    asked_for = np.stack([mine[_KNOWN_BY][0] for mine in seen]) @ known.T
    own = np.where(asked_for.argmax(axis=1) == np.arange(len(known)), asked_for.max(axis=1), -1.0)
    others = (_vectors(chain, strangers) @ known.T).max(axis=1)
    threshold = model.thresholds.for_gallery(len(known))
    rows = figures(own.astype(float), others.astype(float), threshold)
    note = f"{len(known)} people, {len(others)} strangers, {chain.name}; accepted from a cosine of {threshold:.3f} on"
    machine.finish(rows, asked.json, machine=described, notes=[note])


def figures(own: Scores, others: Scores, threshold: float) -> list[Row]:
    """How many of the known and of the strangers are told as alike as each of the thresholds, by our curve and by its own."""
    rows = []
    for least in _THRESHOLDS:
        for case, scores in (("known people named", own), ("strangers named", others)):
            ours = float(np.mean([similarity(float(score), threshold) >= least for score in scores]))
            theirs = float(np.mean(_its_own(scores) >= least))
            rows.append(Row(f"client's threshold {least:g}", case, ours, "CompreFace's curve", theirs))
    return rows


def _chosen(people: int, strangers: int) -> tuple[list[list[Path]], list[Path]]:
    """Photos of people with three or more, and of others one each, in the order of their names."""
    everyone = datasets.lfw()
    of: dict[int, list[Path]] = {}
    for path, number in zip(everyone.photos, everyone.people.tolist(), strict=True):
        of.setdefault(number, []).append(path)
    many = [mine[: _KNOWN_BY + 1] for mine in of.values() if len(mine) > _KNOWN_BY]
    few = [mine[0] for mine in of.values() if len(mine) <= _KNOWN_BY]
    return many[:people], few[:strangers]


def _vectors(chain: Chain, photos: Sequence[Path]) -> Vectors:
    found = [chain.vector(path.read_bytes()) for path in photos]
    return np.concatenate([vector for vector in found if vector is not None])


def _unit(vector: Vectors) -> Vectors:
    unit: Vectors = vector / np.linalg.norm(vector)
    return unit


def _its_own(cosines: Scores) -> Scores:
    distances = np.sqrt(np.maximum(2 - 2 * cosines, 0))
    told: Scores = (np.tanh((_FURTHEST - distances) * _STEEPNESS) + 1) / 2
    return told


if __name__ == "__main__":
    main()

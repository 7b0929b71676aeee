"""Whether an answer is wholly of the model that it names: against what each model says, worked out from the stored vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import bare
from benchmarks.rebuild.service import Rows
from index.templates import templates
from workers.faces.detect import Mode
from workers.faces.embed import Embedder
from workers.faces.pipeline import Reading, read
from workers.faces.values import Chip, Vectors
from workers.models import detectors

TOLERANCE = 0.003
"""Of a similarity, for what the index rounds."""

By = Mapping[str, Mapping[int, Mapping[str, float]]]
"""By model and query, the similarity of each person by public id."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What each model says of each query, when all newcomers are in: nobody's score depends on another's."""

    similarities: By
    thresholds: Mapping[str, tuple[float, float]]
    """By model, the lowest and the highest at which searches were decided with nothing else going on."""

    def is_of(self, model: str, query: int, answer: Mapping[str, Any]) -> bool:
        """Whether every similarity of *answer* is the one that *model* says."""
        said = self.similarities[model][query]
        matches = [match for face in answer["faces"] for match in face["matches"]]
        return all(abs(said.get(m["person"]["id"], -9.0) - m["similarity"]) <= TOLERANCE for m in matches)

    def is_decided_by(self, model: str, answer: Mapping[str, Any]) -> bool:
        """Whether the threshold of *answer* is one of *model*."""
        low, high = self.thresholds[model]
        threshold: float = answer["threshold"]
        return low <= threshold <= high


def expected(
    catalog: Rows,
    embedders: Mapping[str, Embedder],
    queries: Sequence[Path],
    thresholds: Mapping[str, tuple[float, float]],
) -> Expected:
    """Work out what each of *embedders*, by the name of its model, says of *queries*."""
    chips = [reading.face(0).chip for reading in _readings(queries)]
    return Expected({name: _said(catalog, name, embedder, chips) for name, embedder in embedders.items()}, thresholds)


def one_face_only(photos: Sequence[Path]) -> list[Path]:
    """Those of *photos* in which one face is found."""
    return [photo for photo, reading in zip(photos, _readings(photos), strict=True) if len(reading.detections) == 1]


def _readings(photos: Sequence[Path]) -> list[Reading]:
    detector = detectors.mtcnn()
    return [read(detector, photo.read_bytes(), Mode.BALANCED, max_pixels=bare.MAX_PIXELS) for photo in photos]


def _said(catalog: Rows, name: str, embedder: Embedder, chips: Sequence[Chip]) -> dict[int, dict[str, float]]:
    people, vectors = _templates(catalog, name)
    asked = embedder.embed([embedder.crop(chip) for chip in chips])
    return {n: dict(zip(people, row.tolist(), strict=True)) for n, row in enumerate(asked @ vectors.T)}


def _templates(catalog: Rows, name: str) -> tuple[list[str], Vectors]:
    """Everybody's public id and template under a model, by the rows of the default collection."""
    rows = catalog.all(
        "SELECT p.id, p.public_id, e.vector FROM faces f JOIN people p ON p.id = f.person_id "
        "JOIN collections c ON c.id = f.collection_id AND c.name = 'default' AND c.round = f.round "
        "JOIN embeddings e ON e.face_id = f.id JOIN models m ON m.id = e.model_id AND m.name = ?",
        (name,),
    )
    vectors = np.frombuffer(b"".join(vector for *_, vector in rows), "<f2").reshape(len(rows), -1).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    numbers, means = templates(vectors, np.array([number for number, *_ in rows], np.int64))
    ids = {number: public_id for number, public_id, _ in rows}
    return [ids[number] for number in numbers.tolist()], means

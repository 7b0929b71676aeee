"""The real faces: embeddings of ``lfw_dev`` as our own pipeline makes them, kept among the results once they are made."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import chains, datasets
from index.protocol import Vectors

_KEPT = Path(__file__).resolve().parents[1] / "results" / "index" / "lfw_dev.npz"


@dataclass(frozen=True, slots=True)
class RealFaces:
    """Vectors (n, 512) float32 of norm 1, and the number of the person each shows, (n,) int64."""

    vectors: Vectors
    people: NDArray[np.int64]


def real_faces() -> RealFaces:
    """MTCNN, int8, stored chips, at most 15 photos a person; photos without a face are left out. A minute the first time."""
    if not _KEPT.exists():
        shown = datasets.lfw()
        embedder = chains.bundle().embedder("int8")
        crops = chains.stored_crops(chains.every_detector()["MTCNN"], embedder, shown.photos)
        vectors = chains.vectors(embedder, crops)
        found = np.array([crop is not None for crop in crops])
        _KEPT.parent.mkdir(parents=True, exist_ok=True)
        np.savez(_KEPT, allow_pickle=False, vectors=vectors[found], people=shown.people[found])
    with np.load(_KEPT, allow_pickle=False) as kept:
        return RealFaces(kept["vectors"], kept["people"])

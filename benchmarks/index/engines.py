"""Our index over a gallery: built in a folder that is thrown away, every segment with its codes."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import faiss
import numpy as np

from benchmarks.index.galleries import Gallery
from index.engine.compaction import Sizes
from index.engine.engine import Engine
from index.engine.looking import Helper
from index.engine.sealing import SealingHere
from index.engine.segment import Keeping, Segment

K = 10

T = TypeVar("T")


class Alone(Helper):
    """A helper that never helps: the search stays in one thread."""

    def over(self, function: Callable[[int], T], items: Sequence[int]) -> list[T]:
        """One after another."""
        return [function(item) for item in items]


@contextmanager
def folder_in(parent: Path) -> Iterator[Path]:
    """A folder below *parent* that is gone afterwards."""
    made = Path(tempfile.mkdtemp(prefix="index-", dir=parent))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def engine_of(
    gallery: Gallery, parent: Path, *, helper: Helper | None = None, keeping: Keeping = "memory", dead: bool = True
) -> Iterator[Engine]:
    """The gallery as an engine that scans codes, its dead removed unless they are wanted alive."""
    with folder_in(parent) as folder:
        engine = Engine(
            gallery.vectors.shape[1], folder, SealingHere(), helper=helper or Alone(), keeping=keeping, sizes=NEVER_WORN
        )
        engine.fill(gallery.blocks(), sequence=1)
        coded(engine, gallery)
        if dead:
            engine.remove(gallery.dead, sequence=2)
        yield engine


NEVER_WORN = Sizes(dead_share=1.0)
"""Segments are not written anew for a few dead: their cost is part of what is measured."""


def coded(engine: Engine, gallery: Gallery) -> None:
    """Ask for codes by a first search, and have them made."""
    engine.search(gallery.queries[:1], 1)
    for _ in range(4 * len(engine.parts)):
        engine.settle()
    assert all(part.scan is not None for part in engine.parts if isinstance(part, Segment))


def flat_fp16(held: Gallery) -> "faiss.IndexScalarQuantizer":
    """The same vectors, compared one after another: float32 query, float16 rows."""
    faiss.omp_set_num_threads(1)
    flat = faiss.IndexScalarQuantizer(held.vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    for _, vectors in held.blocks(65_536):
        flat.add_sa_codes(np.ascontiguousarray(vectors).view(np.uint8))
    return flat

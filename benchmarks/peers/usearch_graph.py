"""usearch: HNSW over float16 by inner product. Runs in the peers' virtual environment."""

import importlib
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
loop = importlib.import_module("graph_loop")
usearch = importlib.import_module("usearch.index")


class Usearch:
    """A ``graph_loop.Graph``."""

    def __init__(self, dimension: int, capacity: int, links: int, effort: int, threads: int) -> None:
        del capacity
        self._index = usearch.Index(ndim=dimension, metric="ip", dtype="f16", connectivity=links, expansion_add=effort)
        self._threads = threads

    def add(self, first: int, vectors: NDArray[np.float32]) -> None:
        """See ``graph_loop.Graph``."""
        self._index.add(np.arange(first, first + len(vectors)), vectors, threads=self._threads)

    def search(self, query: NDArray[np.float32], k: int, ef: int) -> list[int]:
        """See ``graph_loop.Graph``."""
        self._index.expansion_search = ef
        rows: list[int] = self._index.search(query[0], k, threads=1).keys.tolist()
        return rows


if __name__ == "__main__":
    loop.serve({"usearch": metadata.version("usearch")}, Usearch)

"""hnswlib: HNSW over float32 by inner product. Runs in the peers' virtual environment."""

import importlib
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
loop = importlib.import_module("graph_loop")
hnswlib = importlib.import_module("hnswlib")


class Hnswlib:
    """A ``graph_loop.Graph``."""

    def __init__(self, dimension: int, capacity: int, links: int, effort: int, threads: int) -> None:
        self._index = hnswlib.Index("ip", dimension)
        self._index.init_index(capacity, M=links, ef_construction=effort, random_seed=1)
        self._threads = threads

    def add(self, first: int, vectors: NDArray[np.float32]) -> None:
        """See ``graph_loop.Graph``."""
        self._index.add_items(vectors, list(range(first, first + len(vectors))), num_threads=self._threads)

    def search(self, query: NDArray[np.float32], k: int, ef: int) -> list[int]:
        """See ``graph_loop.Graph``."""
        self._index.set_ef(ef)
        rows: list[int] = self._index.knn_query(query, k, num_threads=1)[0][0].tolist()
        return rows


if __name__ == "__main__":
    loop.serve({"hnswlib": metadata.version("hnswlib")}, Hnswlib)

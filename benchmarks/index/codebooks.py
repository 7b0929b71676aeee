"""Codebooks: how many candidates each must bring for the same recall, at 131,072 faces with the real ones among them."""

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.index.asked import Asked, Told
from benchmarks.index.engines import K
from benchmarks.index.galleries import GROUPS, Gallery, gallery
from benchmarks.index.real import real_faces
from benchmarks.machine import Row
from index.engine.codebook import GROUP, quantizer
from index.protocol import Half, Vectors

_ROWS, _QUICK_ROWS = 131_072, 16_384
_SHARE = 0.999
_TRAINED_ON = 20_000
_BLOCK = 16_384


def told(asked: Asked) -> Told:
    """The fixed codebook beside ones trained on the gallery and on real embeddings."""
    held = gallery(asked.folder, _QUICK_ROWS if asked.quick else _ROWS)
    some = np.random.default_rng(5).choice(len(held), min(_TRAINED_ON, len(held)), replace=False)
    books = {
        "fixed, of four normals": quantizer(held.vectors.shape[1]),
        "trained on 20,000 faces of the gallery": _trained(held.vectors[np.sort(some)].astype(np.float32)),
        "trained on the real embeddings": _trained(real_faces().vectors),
    }
    rows = []
    for name, book in books.items():
        needed = _places(held, book)
        for group, label in enumerate(("all", *GROUPS)):
            of = needed if label == "all" else needed[held.groups == group - 1]
            rows.append(Row(name, f"candidates for {_SHARE:.1%}, {label}", float(np.quantile(of, _SHARE))))
    return Told(
        rows, [f"of the {K} true neighbours of each query among {len(held):,} faces, by the order of code scores"]
    )


def _trained(vectors: Vectors) -> "faiss.ProductQuantizer":
    made = faiss.ProductQuantizer(vectors.shape[1], vectors.shape[1] // GROUP, 4)
    made.train(np.ascontiguousarray(vectors))
    return made


def _places(held: Gallery, book: "faiss.ProductQuantizer") -> NDArray[np.int64]:
    """(q, K): how many living faces have a score at least as good as each true neighbour's, by the codes of *book*."""
    true = held.true_ids[:, :K]
    alive = np.ones(len(held), bool)
    alive[held.dead - 1] = False
    scores = np.empty((len(held.queries), K), np.float32)
    for query, ids in enumerate(true):
        scores[query] = _seen(book, held.vectors[ids - 1]) @ held.queries[query]
    better = np.zeros((len(held.queries), K), np.int64)
    for first in range(0, len(held), _BLOCK):
        block = held.vectors[first : first + _BLOCK][alive[first : first + _BLOCK]]
        found = held.queries @ _seen(book, block).T
        for place in range(K):
            better[:, place] += (found >= scores[:, place : place + 1] - 1e-6).sum(1)
    return better


def _seen(book: "faiss.ProductQuantizer", vectors: Half) -> Vectors:
    """Vectors as their codes tell of them."""
    codes = book.compute_codes(np.ascontiguousarray(vectors, np.float32))
    seen: Vectors = book.decode(codes)  # type: ignore[call-arg,func-returns-value,assignment] # Wrapped.
    return seen

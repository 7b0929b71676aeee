"""Building an index of vectors that are in memory: written to its files, opened, and coded for the scan."""

import numpy as np

from benchmarks.index.asked import Asked, Told, faces
from benchmarks.index.engines import NEVER_WORN, Alone, coded, folder_in
from benchmarks.index.galleries import gallery
from benchmarks.index.memory import resident
from benchmarks.index.timing import spent
from benchmarks.machine import Row
from index.engine.codebook import encode
from index.engine.engine import Engine
from index.engine.sealing import SealingHere
from index.engine.segment import Keeping

_KEEPINGS: tuple[Keeping, ...] = ("mapped", "memory")


def told(asked: Asked) -> Told:
    """Both sizes, both ways to keep the vectors."""
    rows = []
    for size in asked.sizes:
        held = gallery(asked.folder, size)
        vectors = np.array(held.vectors)
        blocks = [(np.arange(n + 1, n + 1 + len(part)), part) for n, part in _parts(vectors)]
        for keeping in _KEEPINGS:
            with folder_in(asked.folder) as folder:
                before = resident()
                engine = Engine(512, folder, SealingHere(), helper=Alone(), keeping=keeping, sizes=NEVER_WORN)
                filled = spent(lambda engine=engine, blocks=blocks: engine.fill(blocks, sequence=1))  # type: ignore[misc]
                codes = spent(lambda engine=engine, held=held: coded(engine, held))  # type: ignore[misc]
                for n in range(200):
                    engine.search(held.queries[n : n + 1], 10)
                more = resident() - before
                case = f"{faces(size)}, vectors {'mapped' if keeping == 'mapped' else 'in memory'}"
                rows += [
                    Row(case, "build, CPU s", filled.cpu_s + codes.cpu_s),
                    Row(case, "build, wall s", filled.wall_s + codes.wall_s),
                    Row(case, "of it the codes, CPU s", codes.cpu_s),
                    Row(case, "memory of its own after 200 queries, MB", more.own_mb),
                    Row(case, "mapped files resident after 200 queries, MB", more.mapped_mb),
                    Row(case, "hot bytes by its own account, MB", engine.hot_bytes / 2**20),
                ]
                del engine
        encoding = spent(lambda vectors=vectors: [encode(part.astype(np.float32)) for _, part in _parts(vectors)])  # type: ignore[misc]
        rows.append(Row(faces(size), "encoding alone, CPU s", encoding.cpu_s))
    return Told(rows, ["files are written and synchronised within the time"])


def _parts(vectors: np.ndarray, rows: int = 16_384) -> list[tuple[int, np.ndarray]]:
    return [(first, vectors[first : first + rows]) for first in range(0, len(vectors), rows)]

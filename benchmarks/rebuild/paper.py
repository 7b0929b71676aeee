"""How long a rebuild of many faces takes, on paper: from the rates that were measured here, and on a GPU (docs/gpu.md)."""

import math
from collections.abc import Mapping

from benchmarks.machine import Row
from benchmarks.rebuild.asked import Asked, Told, value

FACES = (1_000_000, 100_000_000)
GPUS = (1, 8)
CORES_A_GPU = 16
"""Of the machine on which the GPU was measured."""
GPU_FACES_A_SECOND = 34_579.0
"""fp16, crops from memory and vectors back, batches of 512, on an H100 (docs/gpu.md)."""
CHIP_BYTES = 18_000
"""Of a stored chip, in the mean (docs/evaluation.md)."""
EMBEDDING_BYTES = 2 * 512


def told(asked: Asked) -> Told:
    """Hours by number of faces and machine, and what bounds them."""
    here = value(asked.parts, "rates", "faces/s, while all workers work", "rebuild from chips")
    around_ms = sum(
        value(asked.parts, "stages", f"{stage}, CPU ms a face")
        for stage in ("read and fetch", "decode and crop", "write")
    )
    served_ms = value(asked.parts, "rates", "store, CPU ms a face")
    rates: dict[str, float] = {"2 cores": here}
    for gpus in GPUS:
        rates[f"{gpus} GPU{'s' if gpus > 1 else ''}"] = gpus * min(
            GPU_FACES_A_SECOND, 1000 * CORES_A_GPU / (around_ms + served_ms)
        )
    rows = [Row(machine, "faces/s", rate) for machine, rate in rates.items()]
    rows += [
        Row(machine, f"hours for {count:,} faces", count / rate / 3600)
        for count in FACES
        for machine, rate in rates.items()
    ]
    rows += [
        Row("read and written", f"GB for {count:,} faces: {what}", count * size / 1e9)
        for count in FACES
        for what, size in (("chips", CHIP_BYTES), ("embeddings", EMBEDDING_BYTES))
    ]
    return Told(rows, _notes(rates, around_ms, served_ms))


def _notes(rates: Mapping[str, float], around_ms: float, served_ms: float) -> list[str]:
    bound = "the model" if math.isclose(rates["1 GPU"], GPU_FACES_A_SECOND) else "what surrounds it"
    gpu = (
        f"a GPU: an H100 with {CORES_A_GPU} cores, {GPU_FACES_A_SECOND:,.0f} faces/s at most; each face costs these cores "
        f"{around_ms:.2f} ms (read, fetch, decode, crop, write) and the photo store {served_ms:.2f} ms, as measured here on "
        f"one of two cores; bound by {bound}"
    )
    return [
        gpu,
        "8 GPUs are eight such machines over one PostgreSQL and one photo store that keep up, which is not measured",
    ]

"""What it costs to compute a model with 8 bits: measured, kept in ``model.json``, and the reason to leave int8 out."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workers.faces.embed import Crops
from workers.faces.values import Vectors
from workers.models import bundle, description

LEAST_ON_REFERENCE = bundle.LEAST_AGREEMENT["int8"]
LEAST_ON_OTHERS = 0.995
"""Cosine to fp32 that 99 of 100 faces must reach that int8 was not made with. One odd face in two thousand falls far below
without harm to anybody's TMR (docs/models.md)."""
MOST_TMR_LOST = 0.005
"""TMR at FMR 1e-3 that int8 may lose to fp32, where there are pairs enough to measure it."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Cosines of int8 to fp32."""

    least: float
    percentile_1: float
    mean: float
    faces: int
    measured_on: str


def loss(fp32: Vectors, int8: Vectors, measured_on: str) -> Loss:
    """How far *int8* is from *fp32*, both (n, d) of norm 1, for the same faces."""
    cosines = (fp32 * int8).sum(1)
    least, low, mean = (round(float(x), 6) for x in (cosines.min(), np.quantile(cosines, 0.01), cosines.mean()))
    return Loss(least, low, mean, len(cosines), measured_on)


def kept_int8(scratch: Path, crops: Crops, expected: Vectors, *, made_with: str) -> dict[str, Any]:
    """Measure the int8 files of a bundle on its reference chips; remove all of them unless one agrees on this processor.

    Args:
        scratch: The bundle's folder.
        crops: (n, side, side, 3) uint8, RGB: the reference chips' crops.
        expected: (n, d) float32: what the model says of them in float32.
        made_with: What the ranges were measured on.

    Returns:
        What ``model.json`` says of int8: ``files``, ``loss`` and ``made_with``, and ``why`` where there are no files.
    """
    files = [name for name in (description.INT8, description.INT8_NARROW) if (scratch / name).exists()]
    found = [loss(expected, bundle.network(scratch / name)(crops), "the reference chips") for name in files]
    best = max(found, key=lambda one: one.least)
    if best.least >= LEAST_ON_REFERENCE:
        return {"files": files, "loss": asdict(best), "made_with": made_with}
    why = (
        f"int8 agrees with fp32 to {best.least:.4f} on the worst of {best.faces} faces; {LEAST_ON_REFERENCE} is needed."
    )
    return refused_int8(scratch, best, why, made_with=made_with)


def too_far(found: Loss, tmr: Mapping[str, float] | None) -> str | None:
    """Why int8 is not good enough on faces that it was not made with; None where it is.

    Args:
        found: Its cosines to fp32.
        tmr: Of ``fp32`` and ``int8``, where it was measured.
    """
    if found.percentile_1 < LEAST_ON_OTHERS:
        return (
            f"int8 agrees with fp32 to {found.percentile_1:.4f} or better on 99 of 100 of {found.faces} faces; "
            f"{LEAST_ON_OTHERS} is needed."
        )
    if tmr is not None and tmr["fp32"] - tmr["int8"] > MOST_TMR_LOST:
        return f"int8 has a TMR of {tmr['int8']:.2%} where fp32 has {tmr['fp32']:.2%}."
    return None


def refused_int8(scratch: Path, found: Loss, why: str, *, made_with: str) -> dict[str, Any]:
    """Take int8 out of a bundle's folder; what ``model.json`` says of it then."""
    for name in (description.INT8, description.INT8_NARROW):
        (scratch / name).unlink(missing_ok=True)
    return {"files": [], "loss": asdict(found), "made_with": made_with, "why": why}

"""Faces under two models, made of numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.evaluation.metrics import Labels
from workers.evaluation.shadow import Seen, Shadow, Side
from workers.faces import chips
from workers.faces.values import Chip, Vectors

TABLE = {"fpir": {"0.05": [[2, 0.5, 0.1], [100_000, 0.6, 0.1]]}, "fmr": {"0.001": 0.5}}
"""What a model brings: searches accept from about 0.5 on."""

_GREY = Chip(
    chips.encode(np.full((chips.CHIP_PX, chips.CHIP_PX, 3), 120, np.uint8)),
    np.array([[1.5, 0, 0], [0, 1.2, 0]]),
    np.zeros((5, 2), np.float32),
)


def side(vectors: Vectors, people: Labels, *, name: str, number: int, queries: Vectors | None = None) -> Side:
    """All that there is of a generation is in the sample."""
    return Side(
        generation=number,
        model=f"mod_{name}",
        name=name,
        digest=name.rjust(64, "0"),
        dimension=vectors.shape[1],
        detector="mtcnn",
        thresholds=TABLE,
        curves=None,
        people=len(np.unique(people)),
        faces=len(people),
        vectors=vectors,
        numbers=np.arange(len(people)) + 100,
        queries=np.empty((0, vectors.shape[1]), np.float32) if queries is None else queries,
    )


def shadow(
    before: Vectors,
    after: Vectors,
    people: Labels,
    *,
    queries: tuple[Vectors, Vectors] | None = None,
    findings: Mapping[str, int] | None = None,
    called: str = "Person <{}>",
) -> Shadow:
    """Two models of the same faces; the people are called by their numbers."""
    old, new = (None, None) if queries is None else queries

    def look(numbers: Sequence[int]) -> dict[int, Seen]:
        whose = {number: int(people[number - 100]) for number in numbers}
        return {n: Seen(f"fac_{n}", f"per_{p}", called.format(p), f"pho_{n}", _GREY) for n, p in whose.items()}

    return Shadow(
        side(before, people, name="old", number=1, queries=old),
        side(after, people, name="new", number=2, queries=new),
        people,
        len(np.unique(people)),
        len(people),
        "epoch",
        7,
        findings or {},
        {},
        look,
    )


def angles(*degrees: float) -> Vectors:
    """Unit vectors in the plane, (n, 2) float32, by their angles."""
    turned = np.radians(np.array(degrees))
    made: Vectors = np.stack([np.cos(turned), np.sin(turned)], 1).astype(np.float32)
    return made


def numbered(*people: int) -> NDArray[np.int64]:
    """Whose each face is."""
    return np.array(people, np.int64)


def figure(before: float, after: float, interval: list[float] | None = None) -> dict[str, Any]:
    """A figure of both, as a comparison has it."""
    return {"before": before, "after": after, "difference": after - before, "difference_interval": interval}

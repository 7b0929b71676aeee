"""What a simulated worker has in place of models and photo store: it sleeps as long as a core would compute, and keeps nothing."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from services.broker.send import CHUNK
from workers.faces.values import Box, Chip, Detection, Face, Quality, Vectors

A = TypeVar("A")
B = TypeVar("B")

CHUNK_S = 4.0
"""What 16 photos take."""

DIMENSION = 512
_JPEG = b"\xff\xd8 a small JPEG \xff\xd9"
_POINTS = np.array([[90, 100], [150, 100], [120, 130], [95, 160], [145, 160]], np.float32)
_DETECTION = Detection(Box(60.5, 60.5, 120.0, 130.0), _POINTS, 0.99)
_FACE = Face(
    _DETECTION, Chip(_JPEG, np.array([[1.5, 0, -60], [0, 1.5, -60]]), _POINTS), Quality(0.8, 0.8, 0.8, 0.8, 0.8, 0.8)
)


class _Reading:
    """One face, always the same."""

    width, height, format = 250, 250, "jpeg"
    detections = (_DETECTION,)

    def face(self, i: int) -> Face:  # noqa: ARG002
        """That face."""
        return _FACE

    def thumbnail(self, long_side_px: int) -> bytes:  # noqa: ARG002
        """Anything."""
        return _JPEG


@dataclass(frozen=True, slots=True)
class _Detector:
    rule: str = "sleeping-1"


class _Pipeline:
    """Sleeps for as long as a core would compute."""

    detector = _Detector()

    def read_all(self, photos: Sequence[bytes], mode: object) -> list[_Reading]:  # noqa: ARG002
        """All that a chunk takes."""
        time.sleep(CHUNK_S / CHUNK * len(photos))
        return [_Reading() for _ in photos]

    def each(self, work: Callable[[A], B], items: Iterable[A]) -> list[B]:
        """One after the other."""
        return [work(item) for item in items]

    def embed(self, chips: Sequence[Chip]) -> Vectors:
        """(n, 512) float32 of norm 1, anywhere."""
        drawn = np.random.default_rng().standard_normal((len(chips), DIMENSION), np.float32)
        vectors: Vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
        return vectors


@dataclass(frozen=True, slots=True)
class Models:
    """In place of the registry."""

    variant: str = "int8"

    def pipeline(self, model: str, detector: str | None) -> _Pipeline:  # noqa: ARG002
        """Always the same."""
        return _Pipeline()

    def embedder(self, digest: str) -> "Models":  # noqa: ARG002
        """Tells its variant."""
        return self


class Store:
    """In place of the vault: the photos are stored already, and chips take no time."""

    def get_many(self, keys: Sequence[str]) -> list[bytes]:
        """A photo for each."""
        return [_JPEG] * len(keys)

    def put_many(self, objects: Sequence[tuple[str, bytes]], *, photos: Mapping[str, int], content_type: str) -> None:
        """Kept nowhere."""

"""Embeddings: crops in, vectors of norm 1 out, by one variant of one model."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidModel
from workers.faces import chips
from workers.faces.values import Pixels, Vectors

Crops = NDArray[np.uint8]
"""(n, side, side, 3) uint8, RGB: the model's input."""

Network = Callable[[Crops], Vectors]
"""Runs the model: (n, side, side, 3) uint8 to (n, dimension) float32 of norm 1, n at least 1."""

BATCH = 8
"""One of 32 gains 3% more and costs 27 MB, in fp32 63 MB (docs/evaluation.md, "Speed")."""


class Embedder:
    """One model in one variant, ready to run. Not to be shared by threads at one time."""

    def __init__(
        self, run: Network, *, digest: str, variant: str, dimension: int, crop_px: int, agreement: float
    ) -> None:
        self._run = run
        self.digest = digest
        """Names the model; vectors of another digest are not to be compared with these."""
        self.variant = variant
        """"fp32" or "int8": how the model is computed, which changes its vectors by rounding only."""
        self.dimension = dimension
        self.crop_px = crop_px
        self.agreement = agreement
        """Least cosine to the reference vectors on the bundle's reference chips, as seen when this was opened."""

    def crop(self, chip: Pixels) -> Pixels:
        """What the model sees of a decoded chip, (crop_px, crop_px, 3) uint8: its central window."""
        return chips.central(chip, self.crop_px)

    def embed(self, crops: Crops | Sequence[Pixels]) -> Vectors:
        """The vectors of *crops*, in their order.

        Args:
            crops: (n, crop_px, crop_px, 3) uint8, RGB, or as many crops one by one; n may be 0.

        Returns:
            (n, dimension) float32, rows of L2 norm 1.
        """
        vectors = np.empty((len(crops), self.dimension), np.float32)
        for start in range(0, len(crops), BATCH):
            batch = np.ascontiguousarray(crops[start : start + BATCH])
            vectors[start : start + len(batch)] = self._run(batch)
        if not np.isfinite(vectors).all():
            raise InvalidModel("The model gave a vector that is not finite; its file is damaged or not a face model.")
        return vectors

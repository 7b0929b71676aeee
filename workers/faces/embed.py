"""Embeddings: crops in, vectors of norm 1 out, by one variant of one model."""

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidModel
from workers.faces.batching import Batches
from workers.faces.crops import Crop
from workers.faces.values import Chip, Pixels, Vectors

Crops = NDArray[np.uint8]
"""(n, side, side, 3) uint8, RGB: the model's input."""

Network = Callable[[Crops], Vectors]
"""Runs the model: (n, side, side, 3) uint8 to (n, dimension) float32 of norm 1, n at least 1."""

BATCH = 8
"""On a CPU. One of 32 gains 3% more and costs 27 MB, in fp32 63 MB (docs/evaluation.md, "Speed")."""


class Embedder:
    """One model in one variant, ready to run. Not to be shared by threads at one time."""

    def __init__(
        self,
        run: Network,
        *,
        digest: str,
        variant: str,
        dimension: int,
        crop: Crop,
        agreement: float,
        batch: int = BATCH,
        runtime: str = "onnxruntime",
        device: str = "cpu",
    ) -> None:
        self._run = run
        self._batches = Batches(batch, "faces")
        self.digest = digest
        """Names the model; vectors of another digest are not to be compared with these."""
        self.variant = variant
        """"fp32", "int8", "fp16" or "bf16": how the model is computed, which changes its vectors by rounding only."""
        self.runtime, self.device = runtime, device
        """By what, and where: "cpu" or "cuda"."""
        self.dimension = dimension
        self._crop = crop
        self.agreement = agreement
        """Least cosine to the reference vectors on the bundle's reference chips, as seen when this was opened."""

    @property
    def batch(self) -> int:
        """How many crops go through the model at once; less than it began with where memory did not suffice."""
        return self._batches.size

    def crop(self, chip: Chip) -> Pixels:
        """What the model sees of a chip, (side, side, 3) uint8, RGB.

        Raises:
            InvalidModel: *chip* is no chip.
        """
        return self._crop.cut(chip)

    def embed(self, crops: Crops | Sequence[Pixels]) -> Vectors:
        """The vectors of *crops*, in their order.

        Args:
            crops: (n, side, side, 3) uint8, RGB, or as many crops one by one; n may be 0.

        Returns:
            (n, dimension) float32, rows of L2 norm 1.

        Raises:
            DeviceFull: The device has no memory for a single crop.
        """
        vectors = np.empty((len(crops), self.dimension), np.float32)
        every = cast("Sequence[Pixels]", crops)
        for start, found in self._batches.through(lambda batch: self._run(np.ascontiguousarray(batch)), every):
            vectors[start : start + len(found)] = found
        if not np.isfinite(vectors).all():
            raise InvalidModel("The model gave a vector that is not finite; its file is damaged or not a face model.")
        return vectors

"""Siamese heads: one sigmoid unit over the absolute difference of two vectors, which says how likely they are one person's.

A head belongs to the model whose vectors it was trained on. It lies in the model's description beside the digest, since no
vector depends on it: ``{"kind": "absolute-difference", "weights": base64 of float32 (d,), "bias": float, "trained_on": …}``.
"""

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidModel
from workers.faces.values import Vectors

KIND = "absolute-difference"


@dataclass(frozen=True, slots=True)
class Head:
    """The unit's weights."""

    weights: NDArray[np.float32]
    """(d,) float32, one a number of the vectors."""
    bias: float
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    """What it was trained on and how well it judged people it had not seen; counts and figures, no names."""

    @classmethod
    def of_json(cls, held: object, dimension: int | None = None) -> Self:
        """Read what :meth:`as_json` gave.

        Raises:
            InvalidModel: It is no head, or one for vectors of another *dimension*.
        """
        try:
            if not isinstance(held, Mapping) or held["kind"] != KIND:
                raise InvalidModel(f'This is no Siamese head: its "kind" has to be "{KIND}".')
            weights = np.frombuffer(base64.b64decode(held["weights"], validate=True), "<f4").astype(np.float32)
            bias, trained_on = float(held["bias"]), dict(held.get("trained_on", {}))
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise InvalidModel(f"The Siamese head cannot be read: {error!r}. Train it again.") from error
        if not len(weights) or not np.isfinite(weights).all() or not math.isfinite(bias):
            raise InvalidModel("The Siamese head has numbers that are not finite, or none. Train it again.")
        if dimension is not None and len(weights) != dimension:
            raise InvalidModel(
                f"The Siamese head judges vectors of {len(weights)} numbers, the model gives {dimension}. Attach a head that "
                "was trained on this model."
            )
        return cls(weights, bias, trained_on)

    def as_json(self) -> dict[str, Any]:
        """The head as it lies in a model's description."""
        encoded = base64.b64encode(self.weights.astype("<f4").tobytes()).decode()
        return {"kind": KIND, "weights": encoded, "bias": self.bias, "trained_on": dict(self.trained_on)}

    def log_odds(self, first: Vectors, second: Vectors) -> NDArray[np.float32]:
        """Log odds (n,) float32 that the rows of two (n, d) arrays are one person's. They do not run into 0 and 1."""
        said: NDArray[np.float32] = np.abs(first - second) @ self.weights + np.float32(self.bias)
        return said

    def probabilities(self, first: Vectors, second: Vectors) -> NDArray[np.float64]:
        """The same as probabilities, (n,) float64 in [0, 1]."""
        said: NDArray[np.float64] = 0.5 * (1 + np.tanh(0.5 * self.log_odds(first, second).astype(np.float64)))
        return said

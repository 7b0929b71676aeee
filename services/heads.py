"""Siamese heads as a door has them: plain numbers, read from a description and used without NumPy.

A head is one sigmoid unit over the absolute difference of two vectors of one model: ``{"kind": "absolute-difference",
"weights": base64 of little-endian float32 (d,), "bias": float, "trained_on": {…}}``. Workers have it as
:class:`workers.models.heads.Head`.
"""

import array
import base64
import binascii
import math
import sys
from collections.abc import Mapping
from typing import Any

from services.errors import InvalidModel

KIND = "absolute-difference"


class Head:
    """A head that was read."""

    def __init__(self, weights: "array.array[float]", bias: float) -> None:
        self.weights = weights
        """As many as the model's vectors have numbers."""
        self.bias = bias

    def probability(self, a: "array.array[float]", b: "array.array[float]") -> float:
        """How likely two vectors are one person's, in [0, 1]."""
        odds = self.bias + sum(w * abs(x - y) for w, x, y in zip(self.weights, a, b, strict=True))
        return 0.5 * (1 + math.tanh(odds / 2))


def read(held: object, dimension: int | None) -> Head:
    """Read a head for vectors of *dimension* numbers.

    Raises:
        InvalidModel: It is none, or one of another dimension.
    """
    if not isinstance(held, Mapping) or held.get("kind") != KIND:
        raise InvalidModel(f'This is no Siamese head: its "kind" has to be "{KIND}".')
    try:
        weights = array.array("f", base64.b64decode(held["weights"], validate=True))
        bias = float(held["bias"])
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise InvalidModel(f"The Siamese head cannot be read: {error!r}. Train it again.") from error
    if sys.byteorder == "big":
        weights.byteswap()
    if not math.isfinite(bias) or not all(map(math.isfinite, weights)):
        raise InvalidModel("The Siamese head has numbers that are not finite. Train it again.")
    if len(weights) != dimension:
        raise InvalidModel(
            f"The Siamese head judges vectors of {len(weights)} numbers, the model gives {dimension}. Attach a head that was "
            "trained on this model."
        )
    return Head(weights, bias)


def for_searcher(held: Mapping[str, Any]) -> dict[str, Any]:
    """What a searcher needs of a head: its numbers, 2.7 KB for 512."""
    return {"kind": held["kind"], "weights": held["weights"], "bias": held["bias"]}

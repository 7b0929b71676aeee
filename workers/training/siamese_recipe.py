"""Recipes of Siamese trainings: every choice that is made, with the default that came out best (docs/training.md)."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

from services.errors import InvalidRequest
from workers.models.siamese_layers import FEATURES
from workers.training.loop import Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadRecipe:
    """How a head on a model's vectors is trained."""

    seed: int = 0

    RANGES: ClassVar[Mapping[str, tuple[float, float]]] = {"seed": (0, 2**31)}

    @classmethod
    def of(cls, wanted: Mapping[str, Any]) -> Self:
        """The default recipe with what is *wanted* instead.

        Raises:
            InvalidRequest: A field is unknown, of another type, or out of range.
        """
        return cls(**taken(cls, wanted, cls.RANGES))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScratchRecipe:
    """How a network from scratch is trained."""

    steps: int = 800
    people_a_batch: int = 16
    photos_a_person: int = 4
    rate: float = 5e-4
    """The learning rate after a warm-up of a twentieth of the steps; it falls to zero along a cosine."""
    batch_norm: bool = True
    dropout: float = 0.5
    """Share of the last maps' numbers left out at every step."""
    features: int = FEATURES
    distortion: float = 0.5
    """Affine distortions, in those of Koch et al.; 0 leaves them out."""
    colour: float = 0.0
    """Brightness, contrast and each colour's strength change by up to this share; 0 leaves that out."""
    mirror: bool = True
    """Half of the photos are mirrored."""
    shrink: float = 0.0
    """Half the squares of all weights times this are added to the loss; 2e-4 in the paper's convolutions."""
    average: float = 0.99
    """Decay of the moving average of the weights that is judged and kept; 0 keeps the weights themselves."""
    held_out: float = 0.2
    """Share of the people who decide when it stops."""
    validate_every: int = 100
    patience: int = 4
    """Validations in a row without a better figure after which it ends; 0: never."""
    time_limit_s: float = 0.0
    """0: none."""
    seed: int = 0

    RANGES: ClassVar[Mapping[str, tuple[float, float]]] = {
        "steps": (1, 1_000_000),
        "people_a_batch": (2, 512),
        "photos_a_person": (2, 64),
        "rate": (1e-9, 1.0),
        "dropout": (0.0, 0.95),
        "features": (2, 16_384),
        "distortion": (0.0, 3.0),
        "colour": (0.0, 0.9),
        "shrink": (0.0, 1.0),
        "average": (0.0, 0.99999),
        "held_out": (0.0, 0.5),
        "validate_every": (1, 1_000_000),
        "patience": (0, 10_000),
        "time_limit_s": (0.0, 1e9),
        "seed": (0, 2**31),
    }

    @classmethod
    def of(cls, wanted: Mapping[str, Any]) -> Self:
        """The default recipe with what is *wanted* instead.

        Raises:
            InvalidRequest: A field is unknown, of another type, or out of range.
        """
        return cls(**taken(cls, wanted, cls.RANGES))

    def pace(self) -> Pace:
        """What the loop is told."""
        return Pace(
            steps=self.steps,
            rate=self.rate,
            warm_up=max(1, self.steps // 20),
            average=self.average,
            validate_every=self.validate_every,
            patience=self.patience,
            time_limit_s=self.time_limit_s or None,
        )

    def as_json(self) -> dict[str, Any]:
        """Every field, for whoever asks how a network was made."""
        return asdict(self)


def taken(kind: type, wanted: Mapping[str, Any], ranges: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    """The fields of the dataclass *kind* that are *wanted*, each seen to be of its type and in its range.

    Raises:
        InvalidRequest: One is not.
    """
    known: dict[str, Any] = {field.name: field.default for field in fields(kind)}
    found: dict[str, Any] = {}
    for name, value in wanted.items():
        if name not in known:
            raise InvalidRequest(f"A recipe of this kind has no field {name!r}; it has {', '.join(known)}.")
        default: bool | int | float = known[name]
        if type(value) is not type(default) and not (isinstance(default, float) and type(value) is int):
            raise InvalidRequest(f"{name} of a recipe is of type {type(default).__name__}; {value!r} was given.")
        low, high = ranges.get(name, (-math.inf, math.inf))
        if not low <= value <= high:
            raise InvalidRequest(f"{name} of a recipe lies between {low:g} and {high:g}; {value!r} was given.")
        found[name] = type(default)(value)
    return found

"""The recipe of a fine-tuning: every choice that is made, with the default that came out best (docs/training.md)."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from services.errors import InvalidRequest
from workers.training.loop import Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How FaceNet is fine-tuned with triplets."""

    first_trained: str = "auto"
    """The first stage that is trained; those before stay as they are. "auto": the head on a CPU, mixed_7a on a GPU."""
    mining: str = "semi-hard"
    """Which triplets count: "semi-hard", "batch-hard" or "all"."""
    margin: float = 0.4
    """Between squared distances, which lie in [0, 4]. FaceNet's own training had 0.2."""
    people_a_batch: int = 32
    photos_a_person: int = 4
    paired: float = 0.75
    """Share of a batch's people who have two photos and more; the rest have one, and can be mistaken."""
    views: int = 0
    """Of every photo: as it is, mirrored, and varied beyond these; 0: 2 for the head alone, else 6."""
    steps: int = 300
    rate: float = 0.0
    """Of learning, at its highest; 0: what is best for the stage."""
    warm_up: int = 20
    optimiser: str = "adamw"
    clip: float = 0.0
    average: float = 0.0
    """Decay of the moving average of the weights that is kept; 0 keeps the last."""
    way: float = 0.75
    """How much of the way from the old weights to the new ones is kept."""
    near_weights: float = 0.0
    """Weight of the squared distance from the old weights (L2-SP)."""
    near_embeddings: float = 0.0
    """Weight of 1 - cosine to what the old network says of the photo."""
    teacher: str = "views"
    """What the old network says of a photo: the mean over its "views", or of the photo as it "is"."""
    held_out: float = 0.15
    """Share of the people that validation is done on."""
    ends_with: str = "everybody"
    """"everybody": validation says for how many steps to learn, and then all people are learnt from anew for as many; "learnt":
    what has not seen the people held out is kept."""
    validate_every: int = 50
    patience: int = 3
    """Validations in a row that are worse than the best by more than a point, after which it ends; 0: never."""
    most_photos: int = 6000
    """Of more, some are drawn, as many of each person as can be."""
    time_limit_s: float = 0.0
    """0: none."""
    seed: int = 0

    @classmethod
    def of(cls, wanted: Mapping[str, Any]) -> Self:
        """The default recipe with what is *wanted* instead.

        Raises:
            InvalidRequest: A field is unknown, of another type, or out of range.
        """
        known = asdict(cls())
        taken: dict[str, Any] = {}
        for name, value in wanted.items():
            if name not in known:
                raise InvalidRequest(f"A recipe has no field {name!r}; it has {', '.join(known)}.")
            kind = type(known[name])
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not (isinstance(value, kind) and not isinstance(value, bool)) and not (kind is float and whole):
                raise InvalidRequest(f"{name} of a recipe is of type {kind.__name__}; {value!r} was given.")
            low, high = _RANGES.get(name, (-math.inf, math.inf))
            if kind is not str and not low <= value <= high:
                raise InvalidRequest(f"{name} of a recipe lies between {low:g} and {high:g}; {value!r} was given.")
            if name in _CHOICES and value not in _CHOICES[name]:
                raise InvalidRequest(f"{name} of a recipe is one of {', '.join(_CHOICES[name])}; {value!r} was given.")
            taken[name] = kind(value)
        return cls(**taken)

    def on(self, *, gpu: bool) -> Self:
        """With what is left open decided, for a machine with a GPU or without."""
        stage = self.first_trained
        if stage == "auto":
            stage = "mixed_7a" if gpu else "head"
        views = self.views or (2 if stage == "head" else 6)
        return replace(self, first_trained=stage, rate=self.rate or _RATES[stage], views=views)

    def pace(self) -> Pace:
        """What the loop is told. Nothing is left open."""
        return Pace(
            steps=self.steps,
            rate=self.rate,
            warm_up=self.warm_up,
            optimiser="sgd" if self.optimiser == "sgd" else "adamw",
            clip=self.clip,
            average=self.average,
            way=self.way,
            validate_every=self.validate_every,
            patience=self.patience,
            tolerance=_TOLERANCE,
            time_limit_s=self.time_limit_s or None,
        )

    def as_json(self) -> dict[str, Any]:
        """Every field, for whoever asks how a model was made."""
        return asdict(self)


_RATES: Mapping[str, float] = {
    "stem": 1e-5,
    "repeat_1": 1e-5,
    "mixed_6a": 3e-5,
    "repeat_2": 3e-5,
    "mixed_7a": 3e-5,
    "repeat_3": 1e-4,
    "block8": 1e-4,
    "head": 3e-4,
}
"""By stage, of AdamW. Of repeat_1 and mixed_6a nothing was measured; they have their neighbours'."""

_TOLERANCE = 0.01
"""Of figures that are no more than a point below the best the latest counts."""

_RANGES: Mapping[str, tuple[float, float]] = {
    "margin": (0.01, 2.0),
    "people_a_batch": (2, 512),
    "photos_a_person": (2, 64),
    "paired": (0.1, 1.0),
    "views": (0, 64),
    "steps": (1, 1_000_000),
    "rate": (0.0, 10.0),
    "warm_up": (0, 100_000),
    "clip": (0.0, 1e6),
    "average": (0.0, 0.99999),
    "way": (0.01, 1.0),
    "near_weights": (0.0, 1e6),
    "near_embeddings": (0.0, 1e6),
    "held_out": (0.0, 0.5),
    "validate_every": (1, 1_000_000),
    "patience": (0, 1_000_000),
    "most_photos": (2, 1_000_000),
    "time_limit_s": (0.0, 1e9),
    "seed": (0, 2**31 - 1),
}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "first_trained": ("auto", "stem", "repeat_1", "mixed_6a", "repeat_2", "mixed_7a", "repeat_3", "block8", "head"),
    "mining": ("semi-hard", "batch-hard", "all"),
    "optimiser": ("adamw", "sgd"),
    "teacher": ("views", "is"),
    "ends_with": ("everybody", "learnt"),
}

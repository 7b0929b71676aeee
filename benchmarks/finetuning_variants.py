"""The variants of fine-tuning that benchmarks.finetuning compares, by name: fields of a recipe, and ``people`` to learn from."""

from collections.abc import Mapping, Sequence

Fields = Mapping[str, object]


def _stages() -> dict[str, Fields]:
    """Which layers, at which rate."""
    rates: Mapping[str, tuple[float, ...]] = {
        "head": (1e-4, 3e-4, 1e-3),
        "block8": (3e-5, 1e-4, 3e-4),
        "repeat_3": (3e-5, 1e-4),
        "mixed_7a": (3e-5, 1e-4),
        "repeat_2": (1e-5, 3e-5, 1e-4),
        "stem": (1e-5, 3e-5, 1e-4),
    }
    return {
        f"{stage} rate {rate:g}": {"first_trained": stage, "rate": rate, "margin": 0.4, "views": 6}
        for stage, tried in rates.items()
        for rate in tried
    }


def _around(stage: str, rate: float) -> dict[str, Fields]:
    """One choice at a time, around one stage and rate at margin 0.4."""
    base: Fields = {"first_trained": stage, "rate": rate, "margin": 0.4, "views": 6}
    changes: Mapping[str, Fields] = {
        "margin 0.2": {"margin": 0.2},
        "margin 0.6": {"margin": 0.6},
        "margin 1": {"margin": 1.0},
        "batch-hard": {"mining": "batch-hard"},
        "all triplets": {"mining": "all"},
        "near embeddings 0.3": {"near_embeddings": 0.3},
        "near embeddings 1": {"near_embeddings": 1.0},
        "near embeddings 1, one view": {"near_embeddings": 1.0, "teacher": "is"},
        "near weights 0.01": {"near_weights": 0.01},
        "near weights 0.1": {"near_weights": 0.1},
        "averaged 0.99": {"average": 0.99},
        "SGD": {"optimiser": "sgd", "rate": 30 * rate},
        "no augmentation": {"views": 1},
        "mirrored only": {"views": 2},
        "64 people": {"people_a_batch": 64},
        "8 photos of 16": {"people_a_batch": 16, "photos_a_person": 8},
        "paired only": {"paired": 1.0},
        "50 people": {"people": 50},
        "100 people": {"people": 100},
        "200 people": {"people": 200},
        "600 steps": {"steps": 600},
        "150 steps": {"steps": 150},
    }
    return {f"{stage} rate {rate:g}: {name}": {**base, **change} for name, change in changes.items()}


_HELD_OUT: Fields = {"held_out": 0.15, "validate_every": 50, "patience": 3, "way": 0.75}
"""What the default recipe has, and the variants do not, so that validation does not hide what they do."""

_CPU: Fields = {"first_trained": "head", "rate": 3e-4, "margin": 0.4, "views": 2, **_HELD_OUT}

VARIANTS: Mapping[str, Fields] = {
    "default on a CPU": _CPU,
    "default on a CPU: ends with learnt": {**_CPU, "ends_with": "learnt"},
    **{f"default on a CPU: {people} people": {**_CPU, "people": people} for people in (50, 100, 200)},
    "default on a GPU": {"first_trained": "mixed_7a", "rate": 3e-5, "margin": 0.4, "views": 6, **_HELD_OUT},
    **_stages(),
    **_around("head", 3e-4),
    **_around("mixed_7a", 3e-5),
}

LISTS: Mapping[str, Sequence[str]] = {
    "layers": [
        "head rate 0.0003",
        "mixed_7a rate 0.0001",
        "mixed_7a rate 3e-05",
        "repeat_2 rate 3e-05",
        "repeat_2 rate 0.0001",
        "stem rate 1e-05",
        "stem rate 3e-05",
        "repeat_3 rate 0.0001",
        "block8 rate 0.0001",
        "block8 rate 0.0003",
    ],
    "around-mixed_7a": [
        "default on a GPU",
        *(
            f"mixed_7a rate 3e-05: {change}"
            for change in (
                "margin 0.2",
                "near embeddings 1",
                "no augmentation",
                "100 people",
                "200 people",
                "50 people",
                "near weights 0.01",
                "batch-hard",
                "600 steps",
            )
        ),
    ],
    "head": [
        *(name for name in VARIANTS if name.startswith("default on a CPU")),
        *(name for name in VARIANTS if name.startswith("head")),
    ],
}
"""Variants in the order in which a run with little time should come to them."""

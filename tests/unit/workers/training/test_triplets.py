from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests.torch import required
from tests.unit.workers.training.faces import photos

torch = required()

from workers.models.bundle import Bundle  # noqa: E402
from workers.training import datasets, triplets  # noqa: E402
from workers.training.augmentation import Variation  # noqa: E402
from workers.training.datasets import Features  # noqa: E402
from workers.training.networks import Facenet  # noqa: E402
from workers.training.recipe import Recipe  # noqa: E402
from workers.training.triplets import Outcome  # noqa: E402

PEOPLE = [4, 3, 3, 2, 2, 2, 2, 2, 1]
FEW = {"steps": 12, "views": 2, "people_a_batch": 6, "held_out": 0.0, "warm_up": 2}


def untold(done: int, total: int) -> None:
    del done, total


@pytest.fixture(scope="module")
def faces(bundle: Bundle) -> tuple[Features, Any]:
    chips, people = photos(bundle, PEOPLE)
    facenet = Facenet(bundle.weights(), "head", torch.device("cpu"))
    return (
        datasets.features(facenet, chips, views=2, seed=0, variation=Variation(), folder=None, told=untold),
        people,
    )


def tuned(bundle: Bundle, faces: tuple[Features, Any], recipe: Mapping[str, Any]) -> tuple[Facenet, Outcome]:
    facenet = Facenet(bundle.weights(), "head", torch.device("cpu"))
    made = Recipe.of({**FEW, **recipe}).on(gpu=False)
    return facenet, triplets.fine_tune(facenet, *faces, made, None, lambda _: None)


def moved(bundle: Bundle, facenet: Facenet) -> float:
    old = bundle.weights()["Bottleneck/weights"]
    return float(np.abs(facenet.weights()["Bottleneck/weights"] - old).sum())


@pytest.mark.slow
def test_people_come_apart(bundle: Bundle, faces: tuple[Features, Any]) -> None:
    held, people = faces
    facenet, _ = tuned(bundle, faces, {"steps": 60})
    rows, view = np.arange(len(people)), np.zeros(len(people), np.int64)
    with torch.no_grad():
        new = facenet.trained(held.take(view, rows)).numpy()
        before = Facenet(bundle.weights(), "head", torch.device("cpu")).trained(held.take(view, rows)).numpy()

    assert triplets.mean_tmr(new, people) > triplets.mean_tmr(before, people)


@pytest.mark.slow
@pytest.mark.parametrize("near", [{"near_weights": 100.0}, {"near_embeddings": 100.0}, {"way": 0.1}])
def test_what_is_held_near_moves_less(bundle: Bundle, faces: tuple[Features, Any], near: dict[str, float]) -> None:
    free, _ = tuned(bundle, faces, {"way": 1.0})
    held, _ = tuned(bundle, faces, {"way": 1.0, **near})

    assert 0 < moved(bundle, held) < moved(bundle, free)


@pytest.mark.slow
def test_in_the_end_everybody_is_learnt_from_for_as_long_as_validation_says(
    bundle: Bundle, faces: tuple[Features, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "LEAST_HELD_OUT", 2)
    recipe = {"held_out": 0.4, "validate_every": 4}

    everybody, outcome = tuned(bundle, faces, recipe)
    learnt, kept = tuned(bundle, faces, {**recipe, "ends_with": "learnt"})

    assert outcome.everybody is not None
    assert outcome.everybody.step == outcome.validated.best_step
    assert kept.everybody is None
    assert np.array_equal(kept.after, outcome.after)
    assert not np.array_equal(everybody.weights()["Bottleneck/weights"], learnt.weights()["Bottleneck/weights"])
    assert not set(faces[1][outcome.parts.learnt]) & set(faces[1][outcome.parts.held_out])


def test_the_figure_is_a_mean_of_rates_and_nobody_knows_it_without_pairs() -> None:
    people = np.array([0, 0, 1, 1], np.int64)
    apart = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)

    assert triplets.mean_tmr(apart, people) == 1.0
    assert triplets.mean_tmr(apart[[0, 2, 1, 3]], people) == 0.0
    assert np.isnan(triplets.mean_tmr(apart, np.arange(4)))
    assert np.isnan(triplets.mean_tmr(apart, np.zeros(4, np.int64)))
    assert np.isnan(triplets.mean_tmr(apart[:0], people[:0]))


def test_what_is_counted_is_people_and_photos() -> None:
    assert triplets.counts(np.array([3, 3, 3, 7, 9, 9])) == {"people": 3, "with_two_photos": 2, "photos": 6}

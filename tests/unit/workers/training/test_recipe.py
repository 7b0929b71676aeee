import pytest

from services.errors import InvalidRequest
from tests.torch import required

required()

from workers.training.recipe import Recipe  # noqa: E402


def test_what_is_asked_for_counts_and_the_rest_stays() -> None:
    recipe = Recipe.of({"steps": 7, "margin": 1, "mining": "batch-hard"})

    assert (recipe.steps, recipe.margin, recipe.mining) == (7, 1.0, "batch-hard")
    assert recipe == Recipe.of(recipe.as_json())


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"stepz": 7}, "no field 'stepz'"),
        ({"steps": "many"}, "steps of a recipe is of type int"),
        ({"steps": 2.5}, "steps of a recipe is of type int"),
        ({"steps": True}, "steps of a recipe is of type int"),
        ({"steps": 0}, "lies between 1 and"),
        ({"rate": float("nan")}, "rate of a recipe lies between"),
        ({"margin": -1}, "margin of a recipe lies between 0.01 and 2"),
        ({"mining": "easy"}, "mining of a recipe is one of semi-hard"),
        ({"first_trained": "tail"}, "first_trained of a recipe is one of auto, stem"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(wanted: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        Recipe.of(wanted)


def test_what_is_left_open_is_decided_by_the_machine() -> None:
    small, large = Recipe().on(gpu=False), Recipe().on(gpu=True)

    assert (small.first_trained, large.first_trained) == ("head", "mixed_7a")
    assert small.rate > large.rate > 0
    assert Recipe.of({"first_trained": "stem", "rate": 0.5}).on(gpu=False).rate == 0.5


def test_the_rate_rises_and_falls() -> None:
    pace = Recipe.of({"steps": 100, "warm_up": 10, "rate": 1.0}).on(gpu=False).pace()

    rates = [pace.rate_at(step) for step in range(100)]

    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.001

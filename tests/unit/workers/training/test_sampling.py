import numpy as np
import pytest

from workers.training.sampling import Batch, Sampler

PEOPLE = np.array([0] * 6 + [1] * 3 + [2] * 2 + [3, 4, 5, 6], np.int64)
"""Three people with two photos and more, four with one."""


def sampler(people: np.ndarray = PEOPLE, **changed: float) -> Sampler:
    options: dict[str, float] = {"people_a_batch": 6, "photos_a_person": 4, "paired": 0.5, "seed": 1, **changed}
    return Sampler(people, 3, **options)  # type: ignore[arg-type]


def pairs(batch: Batch) -> set[tuple[int, int]]:
    return set(zip(batch.photos.tolist(), batch.views.tolist(), strict=True))


def test_a_batch_has_the_people_with_pairs_and_the_others_in_the_share_asked_for() -> None:
    batch = sampler().batch(0)

    drawn, counts = np.unique(PEOPLE[batch.photos], return_counts=True)

    assert dict(zip(drawn.tolist(), counts.tolist(), strict=True)).items() >= {0: 4, 1: 4, 2: 4}.items()
    assert sum(count == 1 for count in counts) == 3


def test_the_same_step_draws_the_same_and_another_step_another_batch() -> None:
    one, again, other = sampler().batch(5), sampler().batch(5), sampler().batch(6)

    assert np.array_equal(one.photos, again.photos)
    assert np.array_equal(one.views, again.views)
    assert not (np.array_equal(one.photos, other.photos) and np.array_equal(one.views, other.views))


@pytest.mark.parametrize("step", range(20))
def test_a_photo_that_comes_again_comes_in_another_view(step: int) -> None:
    batch = sampler().batch(step)

    assert len(pairs(batch)) == len(batch.photos)


def test_everybody_is_drawn_where_nobody_has_one_photo_only() -> None:
    batch = sampler(PEOPLE[:11]).batch(0)

    assert set(PEOPLE[batch.photos].tolist()) == {0, 1, 2}

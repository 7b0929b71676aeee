from pathlib import Path

import numpy as np
import pytest

from services.errors import InvalidTraining
from tests.torch import required
from tests.unit.workers.training.faces import photos

torch = required()

from workers.models.bundle import Bundle  # noqa: E402
from workers.training import datasets  # noqa: E402
from workers.training.augmentation import Variation  # noqa: E402
from workers.training.networks import Facenet  # noqa: E402

CPU = torch.device("cpu")


def untold(done: int, total: int) -> None:
    del done, total


def test_nobody_is_both_learnt_from_and_held_out() -> None:
    people = np.repeat(np.arange(60), np.tile([1, 2, 5], 20))

    parts = datasets.parts(people, 0.25, 3)

    assert not set(people[parts.learnt]) & set(people[parts.held_out])
    assert len(parts.learnt) + len(parts.held_out) == len(people)
    several = [np.sum(people == person) > 1 for person in np.unique(people[parts.held_out])]
    assert (sum(several), len(several) - sum(several)) == (10, 5)


def test_with_few_people_nobody_is_held_out() -> None:
    parts = datasets.parts(np.repeat(np.arange(8), 3), 0.2, 0)

    assert len(parts.held_out) == 0
    assert len(parts.learnt) == 24


@pytest.mark.parametrize(
    ("people", "said"),
    [
        ([], "at least two people"),
        ([4, 4, 4], "at least two people.* was found: 1"),
        ([1, 2, 3], "None of the 3 people has two photos"),
    ],
)
def test_what_nothing_can_be_learnt_from_is_refused(people: list[int], said: str) -> None:
    with pytest.raises(InvalidTraining, match=said):
        datasets.parts(np.array(people, np.int64), 0.2, 0)


def test_of_too_many_photos_as_many_of_each_person_are_drawn_as_fit() -> None:
    people = np.repeat(np.arange(4), [1, 3, 10, 30])

    rows = datasets.drawn(people, 20, 7)

    assert np.unique(people[rows], return_counts=True)[1].tolist() == [1, 3, 8, 8]
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert np.array_equal(rows, datasets.drawn(people, 20, 7))
    assert len(datasets.drawn(people, 44, 7)) == 44


def test_people_with_two_photos_come_first_where_not_all_fit() -> None:
    people = np.concatenate([np.arange(50), np.repeat(np.arange(50, 55), 4)])

    rows = datasets.drawn(people, 12, 0)

    assert len(rows) == 12
    assert set(people[rows]) >= set(range(50, 55))


@pytest.mark.slow
def test_views_begin_with_the_crop_and_its_mirror_image_and_are_kept_in_a_file(bundle: Bundle, tmp_path: Path) -> None:
    chips, _ = photos(bundle, [2, 1])
    facenet = Facenet(bundle.weights(), "head", CPU)

    def made(seed: int) -> datasets.Features:
        return datasets.features(
            facenet, chips, views=3, seed=seed, variation=Variation(), folder=tmp_path, told=untold
        )

    held = made(0)
    crops = np.stack([datasets.crop(chip) for chip in chips])
    rows, view = np.arange(3), np.zeros(3, np.int64)
    plain, mirrored = (held.take(view + number, rows).numpy() for number in (0, 1))

    assert (held.views, held.photos) == (3, 3)
    assert np.allclose(plain, facenet.through(crops), atol=1e-2)
    assert np.allclose(mirrored, facenet.through(np.ascontiguousarray(crops[:, :, ::-1])), atol=1e-2)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    again = made(0)
    assert file.stat().st_mtime_ns == written
    assert np.array_equal(again.take(view + 2, rows), held.take(view + 2, rows))
    assert not np.array_equal(made(1).take(view + 2, rows), held.take(view + 2, rows))


@pytest.mark.slow
def test_whoever_watches_can_end_it_and_no_half_file_counts(bundle: Bundle, tmp_path: Path) -> None:
    class Unwanted(Exception):
        pass

    def no(_done: int, _total: int) -> None:
        raise Unwanted

    chips, _ = photos(bundle, [2])
    facenet = Facenet(bundle.weights(), "head", CPU)
    with pytest.raises(Unwanted):
        datasets.features(facenet, chips, views=2, seed=0, variation=Variation(), folder=tmp_path, told=no)

    assert not list(tmp_path.glob("*.npy"))

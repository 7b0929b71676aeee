import numpy as np

from workers.faces import chips
from workers.models.bundle import Bundle
from workers.training.augmentation import Variation, view

STILL = Variation(
    mirrored=0, shift_px=0, scale=0, stretch=0, turn_degrees=0, light=0, blurred=0, shrunk=0, compressed=0
)


def chip_of(bundle: Bundle) -> np.ndarray:
    return chips.decode(bundle.chips()[0].jpeg)


def test_a_view_that_may_not_vary_is_what_the_model_sees(bundle: Bundle) -> None:
    chip = chip_of(bundle)

    seen = view(chip, 160, np.random.default_rng(0), STILL)

    assert np.array_equal(seen, chips.central(chip, 160))


def test_one_that_may_only_be_mirrored_is_the_mirror_image(bundle: Bundle) -> None:
    chip = chip_of(bundle)
    mirrored = Variation(1, 0, 0, 0, 0, 0, 0, 0, 0)

    seen = view(chip, 160, np.random.default_rng(0), mirrored)

    assert np.array_equal(seen, chips.central(chip, 160)[:, ::-1])


def test_views_differ_by_draw_and_not_by_run(bundle: Bundle) -> None:
    chip = chip_of(bundle)

    one, again, other = (view(chip, 160, np.random.default_rng(seed), Variation()) for seed in (1, 1, 2))

    assert one.shape == (160, 160, 3)
    assert one.dtype == np.uint8
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_view_shows_no_rim_where_the_chip_goes_on(bundle: Bundle) -> None:
    white = np.full_like(chip_of(bundle), 255)
    moved = Variation(0.5, shift_px=8, scale=0.1, stretch=0.05, turn_degrees=10, light=0, blurred=1, compressed=0)

    seen = [view(white, 160, np.random.default_rng(seed), moved) for seed in range(20)]

    assert min(one.min() for one in seen) == 255

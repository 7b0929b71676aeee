"""Networks from scratch: they learn, go on where they were stopped, and are folded into what is computed without torch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.torch import required

torch = required()

from services.errors import Cancelled, InvalidRequest, TrainingDiverged  # noqa: E402
from workers.models import siamese  # noqa: E402
from workers.training import loop, siamese_network, siamese_scratch  # noqa: E402
from workers.training.siamese_pairs import PairsOfPeople, Photos, Rows  # noqa: E402
from workers.training.siamese_recipe import ScratchRecipe  # noqa: E402
from workers.training.siamese_scratch import Scratch  # noqa: E402

pytestmark = pytest.mark.slow

RECIPE = ScratchRecipe(
    steps=4, people_a_batch=3, photos_a_person=2, features=8, validate_every=2, average=0.9, shrink=1e-4
)


@pytest.fixture(scope="module")
def faces() -> tuple[Photos, Rows]:
    """Four photos each of six patterns."""
    random = np.random.default_rng(0)
    patterns = random.integers(0, 256, (6, 7, 7, 3))
    people = np.repeat(np.arange(6), 4)
    large = np.kron(patterns[people], np.ones((1, 15, 15, 1)))
    return (large + random.normal(0, 20, large.shape)).clip(0, 255).astype(np.uint8), people


def _subject(faces: tuple[Photos, Rows], recipe: ScratchRecipe = RECIPE) -> Scratch:
    photos, people = faces
    pairs = PairsOfPeople(people[:16], people_a_batch=recipe.people_a_batch, photos_a_person=recipe.photos_a_person)
    return Scratch(photos[:16], pairs, (photos[16:], people[16:]), recipe, seed=0)


def test_killed_and_started_again_it_comes_to_the_same_network(faces: tuple[Photos, Rows], tmp_path: Path) -> None:
    whole = _subject(faces)
    loop.run(whole, RECIPE.pace(), None, lambda _: None)

    stopped, again = _subject(faces), _subject(faces)
    with pytest.raises(Cancelled):
        loop.run(_Stops(stopped, 3), RECIPE.pace(), tmp_path, lambda _: None)
    course = loop.run(again, RECIPE.pace(), tmp_path, lambda _: None)

    assert course.step == 4
    for mine, theirs in zip(whole.parameters().values(), again.parameters().values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


class _Stops:
    """A subject whose training is stopped at a step."""

    def __init__(self, subject: Scratch, at: int) -> None:
        self._subject, self._at = subject, at
        self.parameters, self.figure = subject.parameters, subject.figure

    def loss(self, step: int) -> Any:
        if step == self._at:
            raise Cancelled("Enough.")
        return self._subject.loss(step)


def test_folded_it_says_without_torch_what_it_says_with_it(faces: tuple[Photos, Rows], tmp_path: Path) -> None:
    subject = _subject(faces)
    subject.loss(0)[0].backward()
    twin = subject.network
    photos = faces[0][:5]

    made = siamese.write(tmp_path / "net", siamese_network.folded(twin), name="net", licence="", trained_on={})
    vectors = made.embedder().embed(photos)

    with torch.no_grad():
        expected = twin(siamese_network.standardised(torch.from_numpy(photos).permute(0, 3, 1, 2)))
    np.testing.assert_allclose(vectors, expected.numpy(), atol=1e-5)
    odds = siamese_scratch.log_odds(twin, photos)
    np.testing.assert_allclose(made.head.log_odds(vectors[:1], vectors), odds[0], atol=1e-3)


def test_a_loss_that_is_no_number_ends_it_by_name(faces: tuple[Photos, Rows]) -> None:
    subject = _subject(faces)
    with torch.no_grad():
        subject.parameters()["judge.bias"].fill_(float("nan"))

    with pytest.raises(TrainingDiverged, match="step 1 of 4"):
        loop.run(subject, RECIPE.pace(), None, lambda _: None)


def test_distortions_keep_to_their_bounds_and_without_strength_nothing_moves() -> None:
    random = np.random.default_rng(0)

    strong = siamese_scratch.distortions(500, 1.0, mirror=True, random=random)
    still = siamese_scratch.distortions(5, 0.0, mirror=False, random=random)

    np.testing.assert_allclose(still, np.tile(np.eye(2, 3), (5, 1, 1)))
    assert (np.abs(np.linalg.det(strong[:, :, :2])) > 0.4).all()
    assert 0.4 < (np.linalg.det(strong[:, :, :2]) < 0).mean() < 0.6
    assert np.abs(strong[:, :, 2]).max() < 0.05


@pytest.mark.parametrize(
    "wanted", [{"stepps": 3}, {"steps": 0}, {"steps": 2.5}, {"mirror": 1}, {"rate": "fast"}, {"dropout": 1}]
)
def test_a_recipe_that_cannot_be_is_refused_by_name(wanted: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest, match=next(iter(wanted))):
        ScratchRecipe.of(wanted)


def test_whole_numbers_are_taken_for_fractions() -> None:
    assert ScratchRecipe.of({"rate": 1, "steps": 7}).pace().rate == 1.0

"""Heads on vectors: they learn which numbers tell people apart, and are judged on people they did not see."""

import numpy as np
import pytest

from services.errors import InvalidTraining
from workers.faces.values import Vectors
from workers.galleries import ListedPairs
from workers.training import siamese_head

PEOPLE = np.repeat(np.arange(40), 5)


def _vectors(people: np.ndarray[tuple[int], np.dtype[np.int64]], seed: int) -> Vectors:
    """Faces whose first numbers tell the person, and whose others are noise."""
    random = np.random.default_rng(seed)
    found = random.normal(0, 1, (len(people), 32))
    centres = random.normal(0, 1, (int(people.max()) + 1, 8))
    found[:, :8] = centres[people] + random.normal(0, 0.3, (len(people), 8))
    made: Vectors = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return made


@pytest.mark.slow
def test_where_some_numbers_are_noise_it_is_better_than_the_cosine_on_people_it_never_saw() -> None:
    vectors = _vectors(PEOPLE, 0)
    seen = PEOPLE < 20

    trained = siamese_head.train(vectors[seen], PEOPLE[seen], seed=0)

    assert trained.figures["AUC"]["head"] > trained.figures["AUC"]["cosine"] + 0.02
    assert np.abs(trained.head.weights[:8]).mean() > 1.5 * np.abs(trained.head.weights[8:]).mean()
    assert trained.pairs == 20 * 10 * 2


@pytest.mark.slow
def test_the_same_seed_gives_the_same_head_and_it_tells_how_far_it_is() -> None:
    vectors, told = _vectors(PEOPLE, 1), list[tuple[int, int]]()

    one = siamese_head.train(vectors, PEOPLE, seed=3, told=lambda done, total: told.append((done, total)))
    other = siamese_head.train(vectors, PEOPLE, seed=3)

    assert one.head.weights.tolist() == other.head.weights.tolist()
    assert [done for done, _ in told] == list(range(1, 17))


def test_pairs_of_a_list_are_learnt_from_and_no_others() -> None:
    random = np.random.default_rng(0)
    first, second = random.integers(len(PEOPLE), size=(2, 1500))
    apart = first != second
    mated = np.arange(0, len(PEOPLE), 5)
    rows = np.concatenate([first[apart], mated]), np.concatenate([second[apart], mated + 1])
    same = PEOPLE[rows[0]] == PEOPLE[rows[1]]
    listed = ListedPairs(*rows, same, None, [("", "")] * len(same), identified=True)

    trained = siamese_head.train(_vectors(PEOPLE, 2), PEOPLE, seed=0, listed=listed, strengths=(1e-3,))

    assert trained.pairs == len(same)
    assert trained.head.log_odds(np.zeros((1, 32), np.float32), np.zeros((1, 32), np.float32))[0] > 0


@pytest.mark.parametrize("people", [np.zeros(6, np.int64), np.arange(6), np.array([0, 0, 1, 1, 2, 2])])
def test_too_few_people_are_refused(people: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    with pytest.raises(InvalidTraining, match="both kinds are needed"):
        siamese_head.train(_vectors(people, 0), people, seed=0)

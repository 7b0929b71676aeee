"""Searches with strangers among them."""

import numpy as np
import pytest

from tests.unit.workers.evaluation.sets import photos_of, vectors_of
from workers.evaluation import bootstrap, identification
from workers.evaluation.identification import Identified
from workers.evaluation.pairing import Photos


def test_perfect_vectors_name_everybody_and_no_stranger() -> None:
    """Rank 1 at all rates."""
    found = _identified(photos_of(people=60, photos=3), noise=0.0)

    assert (found.rank1, found.cmc[0], found.people) == (1, 1, 30)
    assert found.at_rate[1e-1] is not None
    assert found.at_rate[1e-1].fnir == 0


def test_a_probe_without_a_face_names_nobody_and_is_never_enrolled() -> None:
    """Perfect vectors: both faces of each are enrolled, and the third photo, without a face, is all there is to ask with."""
    photos = photos_of(people=60, photos=2, faceless=tuple(range(60)))

    found = _identified(photos, noise=0.0)

    at = found.at_rate[1e-1]
    assert at is not None
    assert (found.rank1, at.fnir) == (0, 1)


def test_a_smaller_rate_costs_more_misses_and_later_ranks_find_more() -> None:
    """Both curves go one way."""
    found = _identified(photos_of(people=100, photos=3), noise=1.6)

    rates = [at.fnir for at in found.at_rate.values() if at is not None]
    assert rates == sorted(rates)
    assert list(found.cmc) == sorted(found.cmc)
    assert 0 < found.rank1 < 1
    assert found.rank1_interval is not None
    assert found.rank1_interval[0] <= found.rank1 <= found.rank1_interval[1]


def test_few_strangers_show_no_small_rate() -> None:
    """120 faces do not speak of one in a thousand."""
    found = _identified(photos_of(people=40, photos=3), noise=0.5)

    assert found.at_rate[1e-1] is not None
    assert found.at_rate[1e-3] is None


@pytest.mark.parametrize("whose", [[0, 0, 1, 2, 3], [0, 0, 1, 1]])
def test_too_few_people_are_said(whose: list[int]) -> None:
    """Four are needed, two of them with two photos."""
    photos = Photos(np.array(whose), len(whose), max(whose) + 1)

    assert "4 are needed" in (identification.why_not(photos) or "")


def _identified(photos: Photos, noise: float) -> Identified:
    vectors = vectors_of(photos.everybody, photos.found // photos.everybody, noise)
    return identification.identified(vectors, photos, bootstrap.drawn(photos.everybody, draws=50))

"""The scale on which CompreFace's clients are told how alike two are."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import NotFound
from services.gateway.compreface.ids import face_id, image_id
from services.gateway.compreface.similarity import ACCEPTED, similarity

_COSINES = st.floats(-1, 1)


@given(cosine=_COSINES, threshold=_COSINES)
def test_what_is_accepted_is_told_from_sixty_percent_on_and_nothing_else(cosine: float, threshold: float) -> None:
    told = similarity(cosine, threshold)

    assert 0 <= told <= 1
    assert (told >= ACCEPTED) == (cosine >= threshold)
    assert (round(100 * told, 2) >= 60) == (cosine >= threshold)  # As Double Take rounds it.


@given(cosines=st.lists(_COSINES, min_size=2), threshold=_COSINES)
def test_it_never_falls_where_the_cosine_rises(cosines: list[float], threshold: float) -> None:
    told = [similarity(cosine, threshold) for cosine in sorted(cosines)]

    assert all(one <= other for one, other in itertools.pairwise(told))


@pytest.mark.parametrize(
    ("above", "told"), [(-0.2, 0.0005), (-0.05, 0.16875), (0.0, 0.6), (0.045, 0.90074), (0.105, 0.9901), (0.3, 1.0)]
)
def test_the_curve_is_the_one_of_the_documentation(above: float, told: float) -> None:
    assert similarity(0.5 + above, 0.5) == pytest.approx(told, abs=2e-5)


def test_an_image_id_is_a_uuid_that_leads_back_to_the_face() -> None:
    assert image_id("fac_0123456789abcdef01234567") == "01234567-89ab-8000-8000-cdef01234567"
    assert face_id("01234567-89AB-8000-8000-CDEF01234567") == "fac_0123456789abcdef01234567"
    for other in ("", "6b135f5b-a365-4522-b1f1-4c9ac2dd0728", "fac_0123456789abcdef01234567", "../../etc"):
        with pytest.raises(NotFound):
            face_id(other)

"""Names of objects."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import InvalidRequest
from services.photos import keys

IDS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", min_size=1, max_size=40)


def test_names_are_those_of_the_architecture() -> None:
    """Kind, collection, id."""
    assert keys.photo(7, "pho_1") == "photos/7/pho_1"
    assert keys.chip("default", "fac_1") == "chips/default/fac_1"
    assert keys.thumbnail(7, "pho_1") == "thumbnails/7/pho_1"
    assert keys.model_file("ab12", "model.onnx") == "models/ab12/model.onnx"
    assert keys.archive("job_1") == "archives/job_1"


@pytest.mark.parametrize("part", ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "ñ", "a\n", "a" * 129])
def test_what_could_leave_its_place_is_refused(part: str) -> None:
    """Nothing of a caller's can walk to another object."""
    for name in (keys.photo, keys.chip, keys.thumbnail, keys.model_file):
        with pytest.raises(InvalidRequest):
            name("1", part)


@given(st.lists(st.tuples(IDS, IDS), min_size=2, max_size=2, unique=True))
def test_two_things_never_share_a_name(pairs: list[tuple[str, str]]) -> None:
    """Neither two of a kind nor two kinds."""
    names = [name(*pair) for pair in pairs for name in (keys.photo, keys.chip, keys.thumbnail, keys.model_file)]

    assert len(set(names)) == len(names)

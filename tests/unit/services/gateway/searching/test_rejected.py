"""Whom a search leaves out: face by face, where the boxes of a kept photo and of the query overlap."""

from services.catalog.reviewing.not_same import Kept
from services.gateway.searching.rejected import Rejected


def _answer(*boxes: list[float]) -> dict[str, object]:
    return {"photos": [{"faces": [{"box": box} for box in boxes]}]}


def test_each_face_is_matched_with_the_kept_one_that_overlaps_it_most() -> None:
    kept = [Kept([0, 0, 100, 100], {1}), Kept([200, 0, 100, 100], {2, 3})]

    found = Rejected(kept).of(_answer([205, 5, 100, 90], [5, 0, 100, 100], [400, 400, 100, 100], [60, 0, 100, 100]))

    assert found == [{2, 3}, {1}, set(), set()]


def test_as_many_more_are_asked_for_as_may_be_left_out() -> None:
    assert Rejected().most == 0
    assert Rejected([Kept([0, 0, 1, 1], {1}), Kept([0, 0, 1, 1], {2, 3})]).most == 2
    assert Rejected(everywhere={1, 2, 3}).most == 3


def test_a_kept_face_has_no_box_to_be_matched() -> None:
    assert Rejected(everywhere={7}).of({"photos": [{"faces": [{}]}]}) == [{7}]

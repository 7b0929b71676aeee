"""A template's tag says of which faces it was made."""

import numpy as np

from index.milvus.tags import tag, tags


def test_the_tag_of_a_set_is_the_same_in_any_order_and_among_others() -> None:
    faces = np.array([9, 4, 7, 2**40, 1], np.int64)

    found = tags(faces, np.array([0, 3, 4, 5], np.int32))

    assert found.tolist() == [tag([4, 7, 9]), tag([2**40]), tag([1])]


def test_sets_that_differ_by_one_face_have_different_tags() -> None:
    sets = [[1, 2, 3], [1, 2], [1, 2, 4], [2, 3], []]

    assert len({tag(each) for each in sets}) == len(sets)


def test_nobody_has_no_tags() -> None:
    assert tags(np.zeros(0, np.int64), np.array([0], np.int32)).tolist() == []

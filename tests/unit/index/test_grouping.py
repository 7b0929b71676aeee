"""Groups are those of average linkage, by the textbook's way of it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from index.grouping import CANDIDATES, Groups, grouped, nearest
from index.pairs import pairs_above
from index.protocol import Half
from tests.unit.index.arrays import D, around, unit_vectors


def _groups(vectors: Half, threshold: float) -> Groups:
    return grouped(vectors, pairs_above(vectors, threshold, most=1_000_000), threshold)


def _members(groups: Groups) -> list[list[int]]:
    return [groups.members[a:b].tolist() for a, b in zip(groups.starts, groups.starts[1:], strict=False)]


def _faces(people: int, seed: int) -> Half:
    random = np.random.default_rng(seed)
    centres = unit_vectors(people, seed)
    return np.concatenate(
        [around(centre, int(random.integers(1, 9)), 0.18, seed + n) for n, centre in enumerate(centres)]
    ).astype(np.float16)


@settings(max_examples=60, deadline=None)
@given(people=st.integers(2, 14), threshold=st.floats(0.2, 0.95), seed=st.integers(0, 2**16))
def test_groups_are_those_of_joining_the_nearest_two_again_and_again(people: int, threshold: float, seed: int) -> None:
    vectors = _faces(people, seed)
    apart = 1 - vectors.astype(np.float64) @ vectors.astype(np.float64).T
    upper = apart[np.triu_indices(len(vectors), 1)]
    labels = fcluster(linkage(np.maximum(upper, 0), "average"), 1 - threshold, "distance")
    expected = {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}

    found = _groups(vectors, threshold)

    assert {frozenset(group) for group in _members(found)} == {group for group in expected if len(group) > 1}


def test_two_people_with_one_pair_of_look_alikes_stay_two() -> None:
    ana, ben = unit_vectors(2, 3)
    between = (ana + ben) / np.linalg.norm(ana + ben)
    faces = np.concatenate(
        [around(ana, 6, 0.02, 1), around(ben, 5, 0.02, 2), around(between + 0.2 * ana, 1, 0.01, 3)]
    ).astype(np.float16)

    found = _groups(faces, 0.8)

    assert [sorted(group) for group in _members(found)] == [[0, 1, 2, 3, 4, 5, 11], [6, 7, 8, 9, 10]]


def test_the_largest_group_comes_first_and_its_most_typical_face() -> None:
    ana, ben = unit_vectors(2, 3)
    faces = np.concatenate([around(ben, 2, 0.05, 2), around(ana, 4, 0.05, 1)]).astype(np.float16)

    found = _groups(faces, 0.7)

    assert [sorted(group) for group in _members(found)] == [[2, 3, 4, 5], [0, 1]]
    exact = faces.astype(np.float64)
    typical = exact @ exact[2:].sum(0)
    assert _members(found)[0] == sorted(_members(found)[0], key=lambda row: -typical[row])
    np.testing.assert_allclose(found.similarities[1], exact[0] @ exact[1], atol=1e-5)


def test_the_same_face_many_times_is_one_group() -> None:
    faces = np.repeat(unit_vectors(3), 40, axis=0).astype(np.float16)

    found = _groups(faces, 0.9)

    assert [sorted(group) for group in _members(found)] == [
        list(range(40)),
        list(range(40, 80)),
        list(range(80, 120)),
    ]


def test_nothing_that_is_like_nothing_is_in_a_group() -> None:
    assert len(_groups(np.zeros((0, D), np.float16), 0.5)) == 0
    assert len(_groups(np.zeros((5, D), np.float16), 0.5)) == 0
    assert len(_groups(np.eye(D, dtype=np.float16), 0.5)) == 0


def test_each_group_knows_the_people_nearest_to_its_mean() -> None:
    ana, ben, eva = unit_vectors(3, 8)
    faces = np.concatenate([around(ana, 3, 0.05, 1), around(eva, 2, 0.05, 2)]).astype(np.float16)
    groups = _groups(faces, 0.7)

    place, similarity = nearest(groups, faces, np.stack([ben, eva, ana]).astype(np.float16))
    nobody, never = nearest(groups, faces, np.zeros((0, D), np.float16))

    assert place[:, 0].tolist() == [2, 1]
    assert (similarity[:, 0] > 0.9).all()
    assert [sorted(row) for row in place.tolist()] == [[-1, -1, 0, 1, 2]] * 2
    assert (np.diff(similarity[:, :3]) <= 0).all()
    assert (nobody == -1).all()
    assert (never == -np.inf).all()


@given(people=st.integers(1, 30), seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_nearest_people_are_those_of_comparing_all(people: int, seed: int) -> None:
    faces = np.concatenate([around(centre, 3, 0.1, n) for n, centre in enumerate(unit_vectors(4, seed))]).astype(
        np.float16
    )
    templates = unit_vectors(people, seed + 1).astype(np.float16)
    groups = _groups(faces, 0.6)

    _, similarity = nearest(groups, faces, templates)

    for group, members in enumerate(_members(groups)):
        centre = faces[members].astype(np.float32).sum(0)
        expected = np.sort(templates.astype(np.float32) @ (centre / np.linalg.norm(centre)))[::-1][:CANDIDATES]
        np.testing.assert_allclose(similarity[group][: len(expected)], expected, atol=1e-5)

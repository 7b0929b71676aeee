"""The nearest persons are certain: as if every person had been scored."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.engine.home import EngineHome
from index.engine.sealing import SealingHere
from index.owners import NOBODY
from index.protocol import Vectors
from index.ranking import rank, score
from index.replica import Replica
from tests.unit.index.arrays import D, around, unit_vectors


@pytest.fixture
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Replica]:
    """Person *n* + 1 has the faces *people[n]*; departments by person."""

    def make(
        people: list[Vectors], unassigned: Vectors | None = None, departments: Mapping[int, str] | None = None
    ) -> Replica:
        groups = [*people, *([] if unassigned is None else [unassigned])]
        owners = [*range(1, len(people) + 1), *([] if unassigned is None else [NOBODY])]
        persons = np.concatenate([np.full(len(vectors), owner) for owner, vectors in zip(owners, groups, strict=True)])
        vectors = np.concatenate(groups).astype(np.float16)
        home = EngineHome(D, tmp_path_factory.mktemp("replica"), SealingHere())
        replica = home.empty("e")
        attributes = [(person, {"department": name}) for person, name in (departments or {}).items()]
        replica.fill([(np.arange(1, len(persons) + 1), persons, vectors)], attributes, sequence=1)
        return replica

    return make


def _brute_force(people: list[Vectors], query: Vectors, k: int) -> list[tuple[int, float]]:
    templates = [vectors.sum(0) / np.linalg.norm(vectors.sum(0)) for vectors in people]
    scores = [(float(query @ template), n + 1) for n, template in enumerate(templates)]
    return [(person, similarity) for similarity, person in sorted(scores, key=lambda s: (-s[0], s[1]))[:k]]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.sampled_from([1, 1, 2, 3, 20, 120]), min_size=1, max_size=90),
    spread=st.sampled_from([0.05, 0.2, 0.6]),
    k=st.integers(1, 8),
    seed=st.integers(0, 2**16),
)
def test_the_nearest_persons_are_those_of_brute_force(
    sizes: list[int], spread: float, k: int, seed: int, made: Callable[..., Replica]
) -> None:
    centres = unit_vectors(len(sizes), seed)
    people = [around(c, size, spread, seed + n) for n, (c, size) in enumerate(zip(centres, sizes, strict=True))]
    queries = np.concatenate([around(centres[0], 2, spread, seed), -centres[:1], unit_vectors(1, seed + 5)])

    ranked = rank(made(people, unassigned=around(centres[0], 30, 0.01, seed)), queries, k)

    for query, found in zip(queries, ranked, strict=True):
        expected = _brute_force(people, query, k)
        assert len(found) == len(expected)
        np.testing.assert_allclose([r.similarity for r in found], [s for _, s in expected], atol=2e-3)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.person == theirs[0] or abs(ours.similarity - theirs[1]) < 2e-3


def test_one_person_of_many_faces_does_not_crowd_out_the_others(made: Callable[..., Replica]) -> None:
    centres = unit_vectors(6, seed=3)
    people = [around(centres[0], 500, 0.02, 1), *(around(c, 1, 0.02, 2) for c in centres[1:])]

    [found] = rank(made(people), centres[:1], 4)

    assert (len(found), found[0].person) == (4, 1)


def test_a_face_of_nobody_is_never_named(made: Callable[..., Replica]) -> None:
    [ana] = unit_vectors(1)

    [found] = rank(made([], unassigned=ana[None]), ana[None], 5)

    assert found == []


def test_the_evidence_is_the_most_similar_face(made: Callable[..., Replica]) -> None:
    ana, other = unit_vectors(2)

    [found] = score(made([np.stack([other, ana])]), ana, [1])

    assert (found.face, round(found.face_similarity, 2)) == (2, 1.0)


def test_a_person_who_is_gone_has_no_score(made: Callable[..., Replica]) -> None:
    assert score(made([unit_vectors(1)]), unit_vectors(1)[0], [9]) == []


def test_a_filter_that_leaves_one_person_in_a_thousand_finds_them(made: Callable[..., Replica]) -> None:
    centres = unit_vectors(2000, seed=8)
    replica = made(list(centres[:, None]), departments={7: "Research", 1500: "Research", 3: "Sales"})

    [found] = rank(replica, centres[2:3], 5, where={"department": "Research"})

    assert {ranked.person for ranked in found} == {7, 1500}
    assert rank(replica, centres[2:3], 5, where={"department": "Nowhere"}) == [[]]

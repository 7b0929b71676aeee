"""One definition of a template, whether it is made for one person, a set of faces, or a collection as rows or entries."""

from pathlib import Path

import numpy as np
import pytest

from index.engine.home import EngineHome
from index.engine.sealing import SealingHere
from index.protocol import Entry
from index.templates import template, templates
from tests.unit.index.arrays import D, unit_vectors


def test_a_template_is_the_renormalised_mean() -> None:
    vectors = np.array([[1, 0], [0, 1], [0, -1]], np.float32)

    people, means = templates(vectors, np.array([5, 5, 2]))

    assert people.tolist() == [2, 5]
    np.testing.assert_allclose(means, [[0, -1], [np.sqrt(0.5), np.sqrt(0.5)]], atol=1e-6)


def test_faces_that_cancel_each_other_out_are_stood_for_by_the_first() -> None:
    [ana] = unit_vectors(1)

    _, means = templates(np.stack([ana, -ana]), np.array([1, 1]))

    np.testing.assert_array_equal(means, ana[None])


@pytest.mark.parametrize("filled", [True, False], ids=["rows", "entries"])
def test_every_way_to_a_template_leads_to_the_same(filled: bool, tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    persons = random.permutation(np.repeat(np.arange(1, 41), random.integers(1, 9, 40)))
    vectors = unit_vectors(len(persons), seed=4)
    faces = np.arange(1, len(persons) + 1)
    replica = EngineHome(D, tmp_path, SealingHere()).empty("e")
    if filled:
        replica.fill([(faces, persons, vectors.astype(np.float16))], [], sequence=1)
    else:
        rows = zip(faces.tolist(), persons.tolist(), vectors.astype(np.float16), strict=True)
        replica.apply([Entry(face, "add", face, person, vector, {}) for face, person, vector in rows])

    people, means = templates(vectors, persons)

    np.testing.assert_array_equal(means, [template(vectors[persons == person]) for person in people])
    np.testing.assert_array_equal(replica.templates.vectors(people), means.astype(np.float16))

"""One calibration of each generation of a collection: the last."""

import time

import numpy as np
import pytest

from services.catalog import calibrations, generations, people
from services.catalog.engine import Catalog
from services.catalog.schema import Calibration
from services.errors import InvalidRequest
from tests.integration.catalog import rows
from workers.enrolled import vectors_of


def test_a_calibration_takes_the_place_of_the_one_before(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        generation = rows.generation(session, rows.model(session))
        calibrations.keep(session, generation, sequence=3, people=2, faces=5, curves={"first": True})
        first = calibrations.fitted_at(session, generation.id)
    time.sleep(0.01)  # The catalog's clock has moved on.

    with catalog.transaction() as session:
        calibrations.keep(session, generation, sequence=9, people=4, faces=7, curves={"first": False})

    with catalog.reading() as session:
        found = calibrations.of(session, generation.id)
        assert found is not None
        assert (found.sequence, found.people, found.faces, found.curves) == (9, 4, 7, {"first": False})
        assert found.created_at == calibrations.fitted_at(session, generation.id) != first
        assert session.query(Calibration).count() == 1


def test_a_calibration_comes_and_goes_with_the_generation_that_is_searched(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery = rows.gallery(session)
        used, other = rows.generation(session, rows.model(session)), rows.generation(session, rows.model(session))
        for each in (used, other):
            calibrations.keep(session, each, sequence=1, people=2, faces=2, curves={"generation": each.id})

    told = []
    for turn in (used, other, used):
        with catalog.transaction() as session:
            generations.switch(session, turn)
            told.append(calibrations.current(session)[gallery.id].curves["generation"])

    assert told == [used.id, other.id, used.id]


def test_what_was_never_calibrated_has_none(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        generation = rows.generation(session, rows.model(session)).id

        assert calibrations.of(session, generation) is None
        assert calibrations.fitted_at(session, generation) is None
        assert calibrations.current(session) == {}


def test_the_vectors_of_a_collection_are_those_of_its_people_in_one_generation(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery, model, other = rows.gallery(session), rows.model(session), rows.model(session)
        generation = rows.generation(session, model)
        ana, ben = people.ensure(session, gallery.id, "Ana"), people.ensure(session, gallery.id, "Ben")
        for n, (person, by) in enumerate([(ana, model), (ben, model), (None, model), (ben, other), (ana, None)]):
            rows.face(session, rows.photo(session, f"p{n}"), person, embedded_by=by)

    found = vectors_of(catalog, gallery.id, generation.id)

    assert found.people.tolist() == [ana.id, ben.id]
    np.testing.assert_array_equal(found.vectors, np.array([[1, 0], [1, 0]], np.float32))
    assert found.sequence == 5


def test_a_generation_without_embeddings_cannot_be_read(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery, generation = rows.gallery(session), rows.generation(session, rows.model(session))
        rows.face(session, rows.photo(session, "p"), people.ensure(session, gallery.id, "Ana"))

    with pytest.raises(InvalidRequest, match="Nobody is enrolled in this collection under this model"):
        vectors_of(catalog, gallery.id, generation.id)

"""One calibration of each collection and model: the last."""

import time

import numpy as np
import pytest

from services.catalog import calibrations, people
from services.catalog.engine import Catalog
from services.catalog.schema import Calibration
from services.errors import InvalidRequest
from tests.integration.catalog import rows
from workers.enrolled import vectors_of


def test_a_calibration_takes_the_place_of_the_one_before(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery, model = rows.gallery(session).id, rows.model(session).id
        calibrations.keep(session, gallery, model, sequence=3, people=2, faces=5, curves={"first": True})
        first = calibrations.fitted_at(session, gallery, model)
    time.sleep(0.01)  # The catalog's clock has moved on.

    with catalog.transaction() as session:
        calibrations.keep(session, gallery, model, sequence=9, people=4, faces=7, curves={"first": False})

    with catalog.reading() as session:
        found = calibrations.of(session, gallery, model)
        assert found is not None
        assert (found.sequence, found.people, found.faces, found.curves) == (9, 4, 7, {"first": False})
        assert found.created_at == calibrations.fitted_at(session, gallery, model) != first
        assert session.query(Calibration).count() == 1


def test_a_collection_is_judged_under_the_model_that_it_uses(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery, used, other = rows.gallery(session), rows.model(session), rows.model(session)
        gallery.model_id = used.id
        for model in (used, other):
            calibrations.keep(session, gallery.id, model.id, sequence=1, people=2, faces=2, curves={"model": model.id})

    with catalog.transaction() as session:
        before = calibrations.current(session)[gallery.id].curves
        rows.gallery(session).model_id = other.id
        session.flush()
        after = calibrations.current(session)[gallery.id].curves

    assert (before, after) == ({"model": used.id}, {"model": other.id})


def test_what_was_never_calibrated_has_none(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery, model = rows.gallery(session).id, rows.model(session).id

        assert calibrations.of(session, gallery, model) is None
        assert calibrations.fitted_at(session, gallery, model) is None
        assert calibrations.current(session) == {}


def test_the_vectors_of_a_collection_are_those_of_its_people_under_one_model(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery, model, other = rows.gallery(session), rows.model(session), rows.model(session)
        ana, ben = people.ensure(session, gallery.id, "Ana"), people.ensure(session, gallery.id, "Ben")
        for n, (person, by) in enumerate([(ana, model), (ben, model), (None, model), (ben, other), (ana, None)]):
            rows.face(session, rows.photo(session, f"p{n}"), person, embedded_by=by)

    found = vectors_of(catalog, gallery.id, model.id)

    assert found.people.tolist() == [ana.id, ben.id]
    np.testing.assert_array_equal(found.vectors, np.array([[1, 0], [1, 0]], np.float32))
    assert found.sequence == 5


def test_a_collection_without_embeddings_of_a_model_cannot_be_read_under_it(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery, model = rows.gallery(session), rows.model(session)
        rows.face(session, rows.photo(session, "p"), people.ensure(session, gallery.id, "Ana"))

    with pytest.raises(InvalidRequest, match="Nobody is enrolled in this collection under this model"):
        vectors_of(catalog, gallery.id, model.id)

"""Models in the catalog, on both databases."""

import pytest

from services.catalog import collections, generations, models
from services.catalog.engine import Catalog
from services.catalog.schema import Model
from services.errors import Conflict, LicenceNotAccepted
from tests.integration.catalog import rows

UPLOAD = {"file": "net.onnx", "sha256": "5" * 64}


def taken(catalog: Catalog, name: str, digest: str, licence: str = "MIT") -> Model:
    with catalog.transaction() as session:
        return models.take_in(session, kind=models.EMBEDDER, name=name, digest=digest, licence=licence, upload=UPLOAD)


def admitted(catalog: Catalog, model: Model, digest: str) -> None:
    with catalog.transaction() as session:
        models.admit(
            session,
            models.by_id(session, model.id),
            digest=digest,
            dimension=128,
            licence=model.licence,
            details={"files": {"model.onnx": "0"}},
        )


def test_an_upload_stays_the_model_that_it_has_become(catalog: Catalog) -> None:
    first = taken(catalog, "net", "a" * 64)
    admitted(catalog, first, "b" * 64)

    again = taken(catalog, "net", "a" * 64)

    assert (again.id, again.state, again.digest) == (first.id, "candidate", "b" * 64)
    with catalog.reading() as session:
        assert models.files_of(session, "b" * 64) == {"model.onnx": "0"}
        assert models.files_of(session, "c" * 64) is None


def test_a_name_is_used_once_but_for_refused_models(catalog: Catalog) -> None:
    first = taken(catalog, "net", "a" * 64)
    with pytest.raises(Conflict, match="already"):
        taken(catalog, "net", "c" * 64)
    with catalog.transaction() as session:
        models.set_state(session, models.by_id(session, first.id), "refused", error="It is no model.")

    second = taken(catalog, "net", "c" * 64)

    with catalog.reading() as session:
        assert [model.id for model in models.all_of(session)] == [second.id]


def test_a_trained_model_gets_a_name_of_its_own(catalog: Catalog) -> None:
    admitted(catalog, taken(catalog, "net-tuned", "a" * 64), "b" * 64)
    admitted(catalog, taken(catalog, "net-tuned-2", "c" * 64), "d" * 64)

    with catalog.reading() as session:
        assert models.free_name(session, "net-tuned", "e" * 64) == "net-tuned-3"
        assert models.free_name(session, "net-tuned", "b" * 64) == "net-tuned"
        assert models.free_name(session, "other", "e" * 64) == "other"


def test_the_same_content_is_not_two_models(catalog: Catalog) -> None:
    first, second = taken(catalog, "one", "a" * 64), taken(catalog, "two", "c" * 64)
    admitted(catalog, first, "b" * 64)

    with pytest.raises(Conflict, match="It is the model one"):
        admitted(catalog, second, "b" * 64)


def test_an_acceptance_is_of_one_licence(catalog: Catalog) -> None:
    """Under other terms it has to be accepted again."""
    model = taken(catalog, "net", "a" * 64, "For research")
    with catalog.transaction() as session:
        row = models.by_id(session, model.id)
        with pytest.raises(LicenceNotAccepted, match="For research"):
            models.require_licence(row)
        models.accept_licence(session, row, by="ana")
        models.accept_licence(session, row, by="ben")

    with catalog.transaction() as session:
        row = models.by_id(session, model.id)
        models.require_licence(row)
        accepted = models.accepted(row)
        assert accepted is not None
        assert (accepted["by"], accepted["at"] > 1e9) == ("ana", True)
        row.licence = "For research, not in space"
        with pytest.raises(LicenceNotAccepted):
            models.require_licence(row)


def test_what_uses_a_model_is_told(catalog: Catalog) -> None:
    model = taken(catalog, "net", "a" * 64)
    with catalog.transaction() as session:
        assert models.uses(session, model) == []
        staff = collections.create(session, "staff")
        generation = generations.first(session, staff, model.id, None)
        assert models.uses(session, model) == ["collection staff"]
        generation.state = generations.DROPPED

    with catalog.reading() as session:
        assert models.uses(session, model) == []


def test_what_is_activated_is_used_by_collections_without_photos_and_by_no_other(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        one, two = rows.model(session), rows.model(session)
        detector = models.register(session, kind=models.DETECTOR, name="yunet", digest="e" * 64, state="candidate")
        models.activate(session, one)
        collections.create(session, "empty")
        rows.photo(session, "in the default collection")
        models.activate(session, detector)
        models.activate(session, two)

    with catalog.reading() as session:
        used = {c.name: (c.model_id, c.detector_id) for c in collections.all_of(session)}
        assert used == {"default": (one.id, None), "empty": (two.id, detector.id)}
        for collection in collections.all_of(session):
            assert [g.model_id for g in generations.live_of(session, collection.id)] == [collection.model_id]

"""Requests that are sent twice: done once, and done again where whoever was at it is gone."""

import pytest

from services.catalog import keys, requests
from services.catalog.engine import Catalog
from services.errors import Conflict

pytestmark = pytest.mark.slow


@pytest.fixture
def key(catalog: Catalog) -> int:
    """The number of an API key."""
    with catalog.transaction() as session:
        return keys.issue(session, "test", ["enrol"])[0].id


def test_what_was_done_is_answered_alike(catalog: Catalog, key: int) -> None:
    with catalog.transaction() as session:
        assert requests.begin(session, key, "once", "print", by="here:1:5") is None
        requests.finish(session, key, "once", 202, {"job": "job_1"})

    with catalog.transaction() as session:
        before = requests.begin(session, key, "once", "print", by="here:2:6")

    assert before is not None
    assert (before.status, before.answer) == (202, {"job": "job_1"})


def test_what_is_being_worked_on_is_refused_and_what_nobody_is_at_is_done(catalog: Catalog, key: int) -> None:
    with catalog.transaction() as session:
        requests.begin(session, key, "once", "print", by="here:1:5")

    with catalog.transaction() as session, pytest.raises(Conflict, match="being worked on"):
        requests.begin(session, key, "once", "print", by="here:2:6", is_at_it=lambda process: process == "here:1:5")
    with catalog.transaction() as session:
        assert requests.begin(session, key, "once", "print", by="here:2:6", is_at_it=lambda _: False) is None
    with catalog.transaction() as session, pytest.raises(Conflict, match="being worked on"):
        requests.begin(session, key, "once", "print", by="here:3:7", is_at_it=lambda process: process == "here:2:6")


def test_another_request_under_the_same_key_is_refused(catalog: Catalog, key: int) -> None:
    with catalog.transaction() as session:
        requests.begin(session, key, "once", "print", by="here:1:5")

    with catalog.transaction() as session, pytest.raises(Conflict, match="another request"):
        requests.begin(session, key, "once", "other", by="here:1:5", is_at_it=lambda _: False)

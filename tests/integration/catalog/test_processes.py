"""Leases and who runs, by a clock that may be set back."""

import pytest
from sqlalchemy import update

from services.catalog.engine import Catalog
from services.catalog.running import processes
from services.catalog.schema import now
from services.catalog.tables.process import Lease, Process

pytestmark = pytest.mark.slow


def test_a_lease_is_one_holders_until_it_expires(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        assert processes.acquire(session, "sweep", "a", 60)
        assert processes.acquire(session, "sweep", "a", 60)
        assert not processes.acquire(session, "sweep", "b", 60)

        session.execute(update(Lease).values(expires_at=now() - 1))

        assert processes.acquire(session, "sweep", "b", 60)


def test_a_lease_of_before_the_clock_was_set_back_binds_nobody(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        processes.acquire(session, "sweep", "a", 60)
        session.execute(update(Lease).values(expires_at=now() + 7200))

        assert processes.acquire(session, "sweep", "b", 60)


@pytest.mark.parametrize(("seen_s_ago", "runs"), [(0.0, True), (60.0, False), (-7200.0, False)])
def test_a_process_runs_that_was_seen_lately(catalog: Catalog, seen_s_ago: float, runs: bool) -> None:
    with catalog.transaction() as session:
        processes.beat(session, "searcher@here:1", kind="searcher", host="here", pid=1, details={})
        session.execute(update(Process).values(seen_at=now() - seen_s_ago))

    with catalog.reading() as session:
        assert bool(processes.running(session)) is runs

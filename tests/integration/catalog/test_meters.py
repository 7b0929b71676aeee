"""What processes count adds up: over all of them, and when they end."""

import threading

import pytest

from services import meters as counted
from services.catalog.engine import Catalog
from services.catalog.running import meters, observed
from services.meters import Meters

pytestmark = pytest.mark.slow


def test_what_several_processes_count_at_once_adds_up(catalog: Catalog) -> None:
    def count() -> None:
        mine = Meters()
        for _ in range(5):
            mine.count(counted.PHOTOS, "done", 2)
            mine.observe(counted.COMMITTED_S, 0.7)
            with catalog.transaction() as session:
                meters.add(session, mine.taken())

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with catalog.reading() as session:
        every = meters.every(session)
    assert every[counted.PHOTOS, "done"] == 40
    assert every[counted.COMMITTED_S, "1"] == 20
    assert every[counted.COMMITTED_S, counted.SUM] == pytest.approx(14)


def test_what_could_not_be_written_is_written_next_time() -> None:
    mine = Meters()
    mine.count(counted.FACES, by=3)
    mine.give_back(mine.taken())
    mine.count(counted.FACES)

    assert mine.taken() == {(counted.FACES, ""): 4}
    assert mine.taken() == {}


def test_of_an_empty_catalog_there_is_nothing_to_watch(catalog: Catalog) -> None:
    with catalog.reading() as session:
        assert observed.waiting(session) == []
        assert observed.erasures(session) == (0, 0)
        assert observed.backup_age_s(session) is None
        assert (observed.sessions(session), observed.removals(session), observed.rebuilds(session)) == (0, 0, {})

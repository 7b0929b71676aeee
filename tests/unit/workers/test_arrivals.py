"""How long photos take until they are found is timed where they are found, once, and nothing is kept that is of no use."""

import pytest

from services import meters
from services.broker.waking import News
from services.meters import ANY, Meters
from workers import arrivals
from workers.arrivals import Arrivals


def _counted(counted: Meters) -> float:
    bounds = [f"{bound:g}" for bound in meters.BUCKETS_S]
    taken = counted.taken()
    return sum(taken.get((meters.FINDABLE_S, bound), 0.0) for bound in [*bounds, ANY])


def test_what_is_found_by_every_replica_is_timed_once() -> None:
    seen, counted = Arrivals(), Meters()
    seen.note([News(1, 10, (0.5, 3.0)), News(2, 5, (1.0,))])

    seen.settle([(1, 9), (1, 10), (2, 4)], counted)
    assert _counted(counted) == 0

    seen.settle([(1, 10), (1, 12), (2, 4)], counted)
    seen.settle([(1, 12)], counted)
    assert _counted(counted) == 2


def test_the_age_at_the_commit_counts() -> None:
    seen, counted = Arrivals(), Meters()
    seen.note([News(1, 1, (100.0,))])

    seen.settle([(1, 1)], counted)

    assert counted.taken()[meters.FINDABLE_S, meters.SUM] >= 100


def test_of_collections_that_are_not_here_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "_FORGOTTEN_S", 0.0)
    seen, counted = Arrivals(), Meters()
    seen.note([News(7, 1, (1.0,))])

    seen.settle([], counted)
    seen.settle([(7, 1)], counted)

    assert _counted(counted) == 0


def test_who_tells_nothing_is_not_kept() -> None:
    seen, counted = Arrivals(), Meters()
    seen.note([News()])

    seen.settle([(0, 0)], counted)

    assert _counted(counted) == 0

"""How long a result about who looks alike serves."""

import time
from pathlib import Path

import pytest

from index.attributes import Attributes
from index.engine.home import EngineHome
from index.engine.sealing import SealingHere
from index.owners import Owners
from index.replica import Replica
from services.broker.joins import Join, JoinAsk
from services.errors import Refused
from tests.unit.index.arrays import D
from workers.joining import Kept


@pytest.fixture
def replica(tmp_path: Path) -> Replica:
    """A collection at sequence number 9."""
    replica = EngineHome(D, tmp_path, SealingHere()).empty("first")
    replica.restored(Owners(), Attributes(), sequence=9)
    return replica


def _kept(*, sequence: int = 9, epoch: str = "first", age_s: float = 1000.0) -> Kept:
    return Kept(epoch, sequence, time.monotonic() - age_s, 2.0, Refused("too many"))


def _asked(*, after: int | None = None, place: tuple[float, ...] | None = None) -> JoinAsk:
    return JoinAsk("a", time.time() + 5, Join("faces", 1, 1, 0.5, 20, after=after, place=place))


def test_it_serves_while_the_collection_stays_as_it_was(replica: Replica) -> None:
    assert _kept().serves(_asked(after=9), replica)
    assert not _kept(sequence=8).serves(_asked(), replica)


def test_of_a_collection_that_changes_all_the_time_it_serves_ten_times_as_long_as_it_took(replica: Replica) -> None:
    assert _kept(sequence=8, age_s=19.0).serves(_asked(), replica)
    assert not _kept(sequence=8, age_s=21.0).serves(_asked(), replica)
    assert not _kept(sequence=8, age_s=19.0).serves(_asked(after=9), replica)


def test_a_further_page_is_served_by_what_the_first_came_from(replica: Replica) -> None:
    assert _kept(sequence=3).serves(_asked(place=(4.0, 7.0)), replica)


def test_another_history_is_never_served(replica: Replica) -> None:
    assert not _kept(epoch="before the restore").serves(_asked(place=(4.0, 7.0)), replica)

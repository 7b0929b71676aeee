"""What is due every so often is sent every so often, by the steady clock."""

import time
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery

from workers.tasks.beating import Steady


class Sending(Steady):
    """A scheduler that notes what it sends instead of sending it."""

    def setup_schedule(self) -> None:
        self.sent: list[str] = []
        super().setup_schedule()

    def apply_entry(self, entry: Any, producer: object = None) -> None:
        del producer
        self.sent.append(entry.name)

    producer = None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The steady clock and the time of day, both in the test's hands."""
    clock = {"steady": 1000.0, "day": 1.8e9}
    monkeypatch.setattr(time, "monotonic", lambda: clock["steady"])
    monkeypatch.setattr(time, "time", lambda: clock["day"])
    return clock


@pytest.fixture
def scheduler(clock: dict[str, float]) -> Sending:
    """Something every three seconds, and something every thirty."""
    del clock
    app = Celery("test", set_as_current=False)
    app.conf.beat_schedule = {
        "often": {"task": "often", "schedule": 3.0},
        "seldom": {"task": "seldom", "schedule": timedelta(seconds=30)},
    }
    return Sending(app=app)


def test_each_is_sent_at_its_interval(scheduler: Sending, clock: dict[str, float]) -> None:
    for _ in range(60):
        wait_s = scheduler.tick()
        clock["steady"] += max(wait_s, 0.001)

    assert scheduler.sent.count("often") == pytest.approx(10 * scheduler.sent.count("seldom"), abs=10)
    assert scheduler.sent.count("seldom") >= 4


@pytest.mark.parametrize("jump_s", [-7200.0, 7200.0])
def test_the_time_of_day_changes_nothing(scheduler: Sending, clock: dict[str, float], jump_s: float) -> None:
    scheduler.tick()
    clock["day"] += jump_s

    clock["steady"] += 3.0
    scheduler.tick()

    assert scheduler.sent == ["often"]


def test_what_was_missed_is_sent_once(scheduler: Sending, clock: dict[str, float]) -> None:
    scheduler.tick()
    clock["steady"] += 100.0

    wait_s = scheduler.tick()

    assert sorted(scheduler.sent) == ["often", "seldom"]
    assert wait_s == pytest.approx(3.0)

"""How long things take: CPU and wall, median and p99, contenders taking turns."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from benchmarks.machine import Row

WARM_UPS, BURSTS = 10, 20


@dataclass(slots=True)
class Times:
    """Of calls, in milliseconds. CPU counts all threads of this process, or what the callee says it used."""

    cpu_ms: list[float] = field(default_factory=list)
    wall_ms: list[float] = field(default_factory=list)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Time one call."""
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.wall_ms.append(1000 * (time.perf_counter() - wall))
        self.cpu_ms.append(1000 * (time.process_time() - cpu))

    @property
    def cpu(self) -> float:
        """Median CPU milliseconds."""
        return float(np.median(self.cpu_ms))

    @property
    def wall(self) -> float:
        """Median wall milliseconds."""
        return float(np.median(self.wall_ms))

    @property
    def wall_p99(self) -> float:
        """99 of 100 calls took no longer."""
        return float(np.percentile(self.wall_ms, 99))

    def rows(self, case: str, what: str) -> list[Row]:
        """Median and p99 of both, as the tables have them."""
        return [
            Row(case, f"{what}, CPU ms, median", self.cpu),
            Row(case, f"{what}, CPU ms, p99", float(np.percentile(self.cpu_ms, 99))),
            Row(case, f"{what}, wall ms, median", self.wall),
            Row(case, f"{what}, wall ms, p99", self.wall_p99),
        ]


def in_turn(contenders: Mapping[str, Callable[[int], object]], calls: Mapping[str, int]) -> dict[str, Times]:
    """Time each contender's calls 0, 1, 2, …, a burst of each after a burst of the other.

    What else the machine does hits all alike; within a burst each has the caches to itself, as it would alone.

    Args:
        contenders: What is called with the number of the call.
        calls: How many of each are timed.
    """
    times = {name: Times() for name in contenders}
    for name, call in contenders.items():
        for n in range(min(WARM_UPS, calls[name])):
            call(n)
    for burst in range(BURSTS):
        for name, call in contenders.items():
            for n in range(burst * calls[name] // BURSTS, (burst + 1) * calls[name] // BURSTS):
                with times[name].one():
                    call(n)
    return times


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU and wall seconds of one long piece of work."""

    cpu_s: float
    wall_s: float


def spent(work: Callable[[], object]) -> Spent:
    """Do *work* and say what it took."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Spent(time.process_time() - cpu, time.perf_counter() - wall)

"""A run: faults one after another while traffic goes on, then the verdict."""

import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from services.cli.service import Document
from tests.faults import faults, verdicts
from tests.faults.faults import Fault
from tests.faults.traffic import Ledger, Traffic
from tests.faults.verdicts import Verdict
from tests.faults.world import World

_TOLD_WITHIN_S, _WELL_WITHIN_S = 30.0, 120.0


@dataclass(frozen=True, slots=True)
class Result:
    """What was done, and what became of it."""

    faults: Sequence[str]
    recovery_s: Sequence[float]
    """From the end of each fault until health said that all is well."""
    ledger: Ledger
    verdict: Verdict
    took_s: float


def run(
    folder: Path,
    newcomers: Sequence[Path],
    *,
    seed: int,
    count: int,
    longest_s: float,
    postgresql: bool,
    first: int = 8,
    searchers: int = 2,
    say: Callable[[str], None] = lambda _: None,
) -> Result:
    """Start everything below *folder*, have *count* faults happen to it, and see what is left.

    Args:
        folder: Empty; everything lies below it.
        newcomers: Photos of one face each, no two of the same person alike: whom to enrol.
        seed: Of everything that is drawn.
        count: How many faults.
        longest_s: How long the longest lasts.
        postgresql: Whether the catalog is PostgreSQL; else SQLite.
        first: How many are enrolled before the first fault.
        searchers: Clients that search without a pause.
        say: Told of each fault.
    """
    began, done, recoveries, health = time.monotonic(), [], [], []
    with World(folder, seed=seed, postgresql=postgresql) as world:
        chance = random.Random(seed)
        traffic = Traffic(world.service, newcomers, searchers=searchers, seed=seed)
        traffic.enrol_first(first)
        with traffic:
            for fault in faults.drawn(
                chance, count, longest_s=longest_s, postgresql=postgresql, small_disk=world.has_small_disk
            ):
                say(fault.name)
                health += _happen(world, fault)
                over = time.monotonic()
                if not _becomes(world, lambda found: found.get("status") == "ok", _WELL_WITHIN_S):
                    health.append(f"{fault.name}: still {world.service.health()} {_WELL_WITHIN_S:.0f} s after its end")
                recoveries.append(time.monotonic() - over)
                done.append(fault.name)
        verdict = verdicts.reach(world.service, traffic.ledger)
    verdict.health += health
    return Result(done, recoveries, traffic.ledger, verdict, time.monotonic() - began)


def _happen(world: World, fault: Fault) -> list[str]:
    """Have *fault* happen for as long as it lasts. Returns what health should have said and did not."""
    with ExitStack() as block:
        block.enter_context(fault.block(world))
        until = time.monotonic() + fault.lasts_s
        told = fault.seen is None or _becomes(world, fault.seen, max(_TOLD_WITHIN_S, fault.lasts_s))
        time.sleep(max(until - time.monotonic(), 0.0))
    return [] if told else [f"{fault.name}: health did not tell"]


def _becomes(world: World, holds: Callable[[Document], bool], within_s: float) -> bool:
    give_up_at = time.monotonic() + within_s
    while not holds(world.service.health()):
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.1)
    return True

"""What can go wrong, each as a block within which it does, and what health must say meanwhile."""

import contextlib
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from services.cli.service import Document
from services.local.processes import wait_ready
from tests.faults.world import World
from tests.pausing import pause

PARTS = ["gunicorn", "workers.searcher", "-Q interactive", "-Q enrol,bulk,rebuild", "-Q maintenance", "-Q training"]
"""Gateway, searcher and workers: what their command lines have in them."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong for a while."""

    name: str
    block: Callable[[World], AbstractContextManager[None]]
    lasts_s: float
    seen: Callable[[Document], bool] | None = None
    """Whether health tells of it; None: it need not, since it is over in a moment."""


def drawn(chance: random.Random, count: int, *, longest_s: float, postgresql: bool, small_disk: bool) -> list[Fault]:
    """*count* faults of all kinds in turn, in a random order, each with a random part and strength.

    Args:
        chance: Decides; the same seed gives the same faults.
        count: How many.
        longest_s: How long a process is paused, and at most how long anything else lasts.
        postgresql: Whether the catalog is a server, which can fail.
        small_disk: Whether the disk can be filled.
    """
    kinds = [*_KINDS, *(_OF_POSTGRESQL if postgresql else []), *([_full_disk] if small_disk else [])]
    chosen: list[Fault] = []
    while len(chosen) < count:
        chosen += [kind(chance, longest_s) for kind in chance.sample(kinds, len(kinds))]
    return chosen[:count]


def _killed(chance: random.Random, longest_s: float) -> Fault:
    del longest_s
    part, lot = chance.choice(PARTS), chance.random()

    @contextlib.contextmanager
    def block(world: World) -> Iterator[None]:
        running = sorted(world.service.processes(part))
        with contextlib.suppress(ProcessLookupError):
            os.kill(running[int(lot * len(running))], signal.SIGKILL)
        yield

    return Fault(f"kill -9 {part}", block, 1.0)


def _paused(chance: random.Random, longest_s: float) -> Fault:
    part = chance.choice(PARTS)

    @contextlib.contextmanager
    def block(world: World) -> Iterator[None]:
        held = world.service.processes(part)
        try:
            for pid in held:
                with contextlib.suppress(ProcessLookupError):
                    pause(pid)
            yield
        finally:
            for pid in held:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    long_enough = longest_s > 25  # A process that was not seen for 15 s is taken for gone.
    check = {"workers.searcher": "searcher", "-Q interactive": "interactive", "-Q enrol,bulk,rebuild": "bulk"}.get(part)
    seen = None if check is None or not long_enough else _away(check)
    return Fault(f"SIGSTOP {part}", block, longest_s, seen)


def _broker_emptied(chance: random.Random, longest_s: float) -> Fault:
    del chance
    return _server_killed("broker", "broker restarted, empty", longest_s, "broker")


def _store_restarted(chance: random.Random, longest_s: float) -> Fault:
    del chance
    return _server_killed("store", "photo store kill -9", longest_s, "photos")


def _server_killed(server: str, name: str, longest_s: float, check: str) -> Fault:
    @contextlib.contextmanager
    def block(world: World) -> Iterator[None]:
        child = world.servers.children[server]
        child.kill()
        try:
            yield
        finally:
            child.start()
            wait_ready([child])

    return Fault(name, block, longest_s / 4, _away(check))


def _store_errors(chance: random.Random, longest_s: float) -> Fault:
    share = chance.choice([0.2, 0.5, 0.8])
    return Fault(
        f"photo store answers 503 to {share:.0%}", lambda world: world.store.misbehaving(errors=share), longest_s / 2
    )


def _store_late(chance: random.Random, longest_s: float) -> Fault:
    late_s = chance.choice([0.1, 0.4])
    return Fault(f"photo store {late_s} s late", lambda world: world.store.misbehaving(late_s=late_s), longest_s / 2)


def _store_silent(chance: random.Random, longest_s: float) -> Fault:
    del chance
    return Fault(
        "photo store silent", lambda world: world.store.misbehaving(silent=True), longest_s / 2, _away("photos")
    )


def _catalog_restarted(chance: random.Random, longest_s: float) -> Fault:
    del chance

    @contextlib.contextmanager
    def block(world: World) -> Iterator[None]:
        world.servers.postgres().kill()
        try:
            yield
        finally:
            world.servers.postgres().start()

    return Fault("PostgreSQL kill -9", block, longest_s / 4, _away("catalog"))


def _catalog_cut(chance: random.Random, longest_s: float) -> Fault:
    del chance
    return Fault(
        "PostgreSQL's connections refused", lambda world: world.catalog.misbehaving(refuses=True), longest_s / 4,
        _away("catalog"),
    )  # fmt: skip


def _cut_now_and_then(chance: random.Random, longest_s: float) -> Fault:
    return _cutting(chance.choice(["broker", "store"]), chance, longest_s)


def _catalog_cut_now_and_then(chance: random.Random, longest_s: float) -> Fault:
    return _cutting("catalog", chance, longest_s)


def _cutting(server: str, chance: random.Random, longest_s: float) -> Fault:
    share = chance.choice([0.005, 0.02])

    def block(world: World) -> AbstractContextManager[None]:
        proxies = {"broker": world.broker, "store": world.store}
        return (world.catalog if server == "catalog" else proxies[server]).misbehaving(cuts=share)

    return Fault(f"connections to the {server} cut after {share:.1%} of pieces", block, longest_s / 2)


def _broker_late(chance: random.Random, longest_s: float) -> Fault:
    late_s = chance.choice([0.02, 0.1])
    return Fault(f"broker {late_s} s late", lambda world: world.broker.misbehaving(late_s=late_s), longest_s / 2)


def _clock(chance: random.Random, longest_s: float) -> Fault:
    off_s = chance.choice([-7200, -120, 120, 7200])
    return Fault(f"clock {off_s:+d} s", lambda world: world.jumped_clock(off_s), longest_s / 3)


def _full_disk(chance: random.Random, longest_s: float) -> Fault:
    del chance
    return Fault("disk full", lambda world: world.full_disk(), longest_s / 3)


_KINDS = [
    _killed,
    _paused,
    _broker_emptied,
    _store_restarted,
    _store_errors,
    _store_late,
    _store_silent,
    _cut_now_and_then,
    _broker_late,
    _clock,
]
_OF_POSTGRESQL = [_catalog_restarted, _catalog_cut, _catalog_cut_now_and_then]


def _away(check: str) -> Callable[[Document], bool]:
    return lambda health: health.get("checks", {}).get(check, "ok") != "ok"

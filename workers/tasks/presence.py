"""That a worker's child runs: said in the catalog every few seconds. A silent one is taken for gone."""

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services import heartbeat
from services.catalog.engine import Catalog
from services.catalog.running import meters, processes
from services.errors import ColegaError
from services.meters import Meters
from workers import vitals

_BEAT_EVERY_S = 5.0
_NICE = 10


@dataclass(frozen=True, slots=True)
class Me:
    """Who beats."""

    name: str
    kind: str
    """As :class:`services.catalog.tables.process.Process` has it."""
    data: Path
    """Folder of this machine's own files."""
    meters: Meters = field(default_factory=Meters)


def beat(
    catalog: Catalog,
    me: Me,
    described: Callable[[], Mapping[str, Any]],
    readied: Callable[[], bool] = lambda: False,
) -> None:
    """Say it until the process ends, but not while the parent is stopped: then nobody hands this one any work.

    Args:
        catalog: Where it is said, and where what was counted is added up.
        me: Who says it.
        described: Tells what there is to say beside.
        readied: Does what is to be done every few seconds, and tells whether there is something new to say.
    """
    _give_way()
    parent = os.getppid()
    while True:
        if not vitals.is_stopped(parent):
            _say(catalog, me, {**described(), **vitals.of_child(me.data, parent)})
        if not readied():
            time.sleep(_BEAT_EVERY_S)


def _say(catalog: Catalog, me: Me, details: Mapping[str, Any]) -> None:
    counts = me.meters.taken()
    try:
        with catalog.transaction() as session:
            told = {**details, "clock_off_s": processes.clock_off_s(session)}
            processes.beat(session, me.name, kind=me.kind, host=socket.gethostname(), pid=os.getpid(), details=told)
            meters.add(session, counts)
        heartbeat.note(me.data, me.kind, well=True)
    except ColegaError:
        me.meters.give_back(counts)  # The catalog is away; whoever asks sees that by itself.
        heartbeat.note(me.data, me.kind, well=False)


def _give_way() -> None:
    """Put this thread behind those that answer searches, for opening a model takes half a second of a core.

    On Linux a thread has a niceness of its own.
    """
    with suppress(OSError):
        is_now = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), max(is_now, _NICE))


def leave(catalog: Catalog, name: str, counted: Meters | None = None) -> None:
    """Say that the process ends, and what it has counted since it last said so."""
    try:
        with catalog.transaction() as session:
            processes.gone(session, name)
            meters.add(session, {} if counted is None else counted.taken())
    except ColegaError:
        pass  # It is forgotten when it was not seen for a while.

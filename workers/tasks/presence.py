"""That a worker's child runs: said in the catalog every few seconds. A silent one is taken for gone."""

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from services.catalog import processes
from services.catalog.engine import Catalog
from services.errors import ColegaError

_BEAT_EVERY_S = 5.0
_NICE = 10


def beat(
    catalog: Catalog,
    name: str,
    kind: str,
    described: Callable[[], Mapping[str, Any]],
    readied: Callable[[], bool] = lambda: False,
) -> None:
    """Say it until the process ends.

    Args:
        catalog: Where it is said.
        name: The process's.
        kind: As :class:`services.catalog.schema.Process` has it.
        described: Tells what there is to say beside.
        readied: Does what is to be done every few seconds, and tells whether there is something new to say.
    """
    _give_way()
    while True:
        try:
            with catalog.transaction() as session:
                processes.beat(
                    session, name, kind=kind, host=socket.gethostname(), pid=os.getpid(), details=described()
                )
        except ColegaError:
            pass  # The catalog is away; whoever asks sees that by itself.
        if not readied():
            time.sleep(_BEAT_EVERY_S)


def _give_way() -> None:
    """Put this thread behind those that answer searches, for opening a model takes half a second of a core.

    On Linux a thread has a niceness of its own.
    """
    with suppress(OSError):
        is_now = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), max(is_now, _NICE))


def leave(catalog: Catalog, name: str) -> None:
    """Say that the process ends."""
    try:
        with catalog.transaction() as session:
            processes.gone(session, name)
    except ColegaError:
        pass  # It is forgotten when it was not seen for a while.

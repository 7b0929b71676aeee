"""Holding a source: one command at a time brings it in step."""

import contextlib
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from services.cli import source_nouns
from services.cli.service import Service, ServiceError
from services.errors import ColegaError

_RENEWED_EVERY_S = 5.0


def new_holder() -> str:
    """What this run calls itself: host, process, and a random number."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(8)}"


@contextmanager
def held(client: Service, source: str, holder: str) -> Iterator[None]:
    """Bring a source in step alone for as long as this is open.

    Raises:
        Conflict: Somebody else does.
    """
    sources = source_nouns.Sources(client)
    try:
        sources.begin(source, holder)
    except ServiceError as error:
        held_by = next((each["held_by"] for each in sources.list() if each["id"] == source), None)
        if error.status != 409 or held_by is None or not _is_dead(held_by):
            raise
        sources.begin(source, holder, instead_of=held_by)
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(_RENEWED_EVERY_S):
            with contextlib.suppress(ColegaError):  # Whoever lost it is told by the next request.
                sources.begin(source, holder)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _is_dead(holder: str) -> bool:
    """Whether a holder was a process of this machine that runs no more."""
    host, _, rest = holder.partition(":")
    pid = rest.partition(":")[0]
    if host != socket.gethostname() or not pid.isdigit():
        return False
    if int(pid) == os.getpid():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False

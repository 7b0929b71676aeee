"""Whether a process of this host runs, and works: what a container's health check asks. Standard library only: it is asked often.

A process notes it in a file of its data folder as often as it tells the catalog. ``python -m services.heartbeat KIND`` ends with
0 when that was lately, and the catalog took it; with ``--live`` also when a server was away, for then nobody is to start the
process again.
"""

import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

WITHIN_S = 30.0
"""A process that has noted nothing for longer does not run, or is stuck."""

_WELL, _ALIVE = "well", "alive"


def note(data: Path, kind: str, *, well: bool) -> None:
    """Note that a process of *kind* runs here, and whether the servers it needs were there."""
    path = _path(data, kind)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError):  # A full disk is seen by the silence.
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft.write_text(_WELL if well else _ALIVE, "ascii")
        draft.replace(path)


def trouble(data: Path, kind: str, *, live: bool = False) -> str | None:
    """What is wrong with the process of *kind* on this host; None: nothing.

    With *live*, nothing is wrong with one that merely cannot reach catalog or broker.
    """
    path = _path(data, kind)
    try:
        said, age_s = path.read_text("ascii"), time.time() - path.stat().st_mtime
    except OSError:
        return f"No {kind} process has been seen here yet."
    if age_s > WITHIN_S:
        return f"The {kind} process was last seen {age_s:.0f} s ago."
    return None if live or said == _WELL else f"The {kind} process runs, and cannot reach catalog or broker."


def main() -> None:
    """The command."""
    words = sys.argv[1:]
    kinds = [word for word in words if word != "--live"]
    if len(kinds) != 1:
        sys.exit("Say: python -m services.heartbeat interactive|bulk|searcher|maintenance|training [--live]")
    sys.exit(trouble(Path(os.environ.get("COLEGA_DATA", "data")), kinds[0], live="--live" in words))


def _path(data: Path, kind: str) -> Path:
    return data / "heartbeats" / f"{socket.gethostname()}-{kind}"


if __name__ == "__main__":
    main()

"""The last one out: a small process that outlives a killed supervisor and sees that nothing else does.

Each child gets SIGTERM when the supervisor dies, but not what the child started, and a child may be deaf. This process
waits until the other end of its standard input is closed, gives the rest a few seconds, and kills whoever still holds
the lock. Standard library only; it runs as ``python -m services.local.sentinel LOCK``.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from services.local.lock import holders

GRACE_S = 5.0
_TRIES = 50
_POLL_S = 0.1


def watch(lock: Path, grace_s: float = GRACE_S) -> None:
    """Wait for the end of the supervisor, then for the end of all others; after *grace_s* seconds kill them."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    kill_at = time.monotonic() + grace_s
    for _ in range(_TRIES + int(grace_s / _POLL_S)):
        left = list(holders(lock))
        if not left:
            return
        if time.monotonic() > kill_at:
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
        time.sleep(_POLL_S)


def main() -> None:
    """Start watching; deaf to what ends the others."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watch(Path(sys.argv[1]))


if __name__ == "__main__":
    main()

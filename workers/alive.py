"""Who of those that claimed work on this machine still runs: what a dead one held is free at once."""

import os
from collections.abc import Sequence


def running(claimants: Sequence[str]) -> list[str]:
    """Those of *claimants*, each ``host:pid`` of this host, that are processes that run."""
    return [claimant for claimant in claimants if _runs(claimant)]


def _runs(claimant: str) -> bool:
    pid = claimant.rpartition(":")[2]
    return pid.isdigit() and os.path.exists(f"/proc/{pid}")  # noqa: PTH110 - a process, not a file.

"""Pausing a process: SIGSTOP, and waiting until it holds.

The kernel stops a process thread by thread, each when it next enters the kernel. On a busy machine one that was running
goes on for a while, and may answer a last question.
"""

import os
import signal
from pathlib import Path

from tests.waiting import eventually


def pause(pid: int) -> None:
    """Have process *pid* do nothing at all from now on, until it gets SIGCONT."""
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: all(_is_stopped(thread) for thread in Path(f"/proc/{pid}/task").iterdir()))


def _is_stopped(thread: Path) -> bool:
    try:
        state = (thread / "stat").read_text(encoding="utf-8").rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return True  # It ended meanwhile.
    return state in "TZX"

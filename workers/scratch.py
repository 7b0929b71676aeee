"""Scratch: temporary folders with photos in them, which do not outlive for long a process that is killed over them."""

import os
import shutil
import tempfile
from pathlib import Path

from services.process_starts import started_at

_PREFIX = "colega-scratch-"


def folder() -> "tempfile.TemporaryDirectory[str]":
    """A folder of this process for as long as the ``with`` block lasts."""
    return tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-{started_at(os.getpid())}-")


def drop_left() -> int:
    """Remove what processes of this machine that have died have left. Returns how many folders that were."""
    dropped = 0
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*-*"):
        pid, began, _ = left.name.removeprefix(_PREFIX).split("-", 2)
        if pid.isdecimal() and started_at(int(pid)) != began:  # A container has the same numbers each time it starts.
            shutil.rmtree(left, ignore_errors=True)
            dropped += 1
    return dropped

"""What a process tells of itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.pausing import pause
from workers import vitals


def test_a_process_that_is_stopped_is_seen_to_be() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert not vitals.is_stopped(child.pid)
        pause(child.pid)
        assert vitals.is_stopped(child.pid)
        os.kill(child.pid, signal.SIGCONT)
    finally:
        child.kill()
        child.wait()

    assert not vitals.is_stopped(child.pid)
    assert vitals.resident_bytes(child.pid) == 0


def test_memory_and_disk_are_told_in_bytes(tmp_path: Path) -> None:
    told = vitals.of_child(tmp_path, os.getppid())

    assert told["resident_bytes"] > 2**20
    assert told["parent"][0] == os.getppid()
    assert 0 < told["disk"]["free_bytes"] <= told["disk"]["total_bytes"]


def test_what_the_driver_says_of_a_gpu_is_read() -> None:
    assert vitals._row("1, 2048, 81559") == {"gpu": 1, "used_bytes": 2048 * 2**20, "total_bytes": 81559 * 2**20}

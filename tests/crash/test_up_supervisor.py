"""Whatever ends a supervisor, nothing of it stays: no process, and no lock that stops the next start."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.local.lock import Lock, holders
from tests.waiting import eventually


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """One over three children, all of them started."""
    command = [sys.executable, "-m", "tests.crash.supervised", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        eventually(lambda: len(list(holders(tmp_path / "lock"))) >= 5)  # Itself, sentinel, polite, twice deaf.
        yield process
        process.kill()


def test_a_killed_supervisor_leaves_no_process_and_no_lock(supervisor: "subprocess.Popen[str]", tmp_path: Path) -> None:
    """SIGKILL: the kernel asks the children, and the sentinel ends the deaf and what they have started."""
    supervisor.kill()
    supervisor.wait()

    lock = Lock.take(tmp_path)

    assert list(holders(tmp_path / "lock")) == []
    assert lock.died_at is not None
    lock.release()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_supervisor_that_is_asked_ends_all_and_itself(
    supervisor: "subprocess.Popen[str]", tmp_path: Path, number: int
) -> None:
    """In order, and the next start knows that nothing was cut short."""
    supervisor.send_signal(number)
    assert supervisor.wait(30) == 0

    assert list(holders(tmp_path / "lock")) == []
    lock = Lock.take(tmp_path, leftovers_within_s=0)
    assert lock.died_at is None
    lock.release()


def test_a_child_that_ends_is_started_again_ever_more_slowly(
    supervisor: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    """And it is said each time, with the place of its log."""
    assert supervisor.stdout is not None
    lines = [supervisor.stdout.readline() for _ in range(2)]

    assert all(line.startswith("ending has ended (0) and is started again") for line in lines)
    assert str(tmp_path / "logs" / "ending.log") in lines[0]


def test_children_that_are_killed_behind_its_back_come_back(
    supervisor: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    """SIGKILL to all but the supervisor and its sentinel."""
    before = {process.pid for process in holders(tmp_path / "lock") if "sentinel" not in process.command}
    for pid in before - {supervisor.pid}:
        with contextlib.suppress(ProcessLookupError):  # A child of one that was killed before it has gone with it.
            os.kill(pid, signal.SIGKILL)

    def back() -> bool:
        now = [process for process in holders(tmp_path / "lock") if process.pid not in before]
        return len([process for process in now if "sleep(600)" in process.command]) == 3

    eventually(back)

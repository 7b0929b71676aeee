"""One service a folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.errors import CannotStart
from services.local.lock import Lock, holders

HOLD = """
import sys; from pathlib import Path; from services.local.lock import Lock
lock = Lock.take(Path(sys.argv[1])); print("held", flush=True); sys.stdin.read()
"""
HOLD_AND_LEAVE = """
import os, subprocess, sys; from pathlib import Path; from services.local.lock import Lock
lock = Lock.take(Path(sys.argv[1]))
child = subprocess.Popen(["sleep", "60"], pass_fds=(lock.descriptor,), stdout=subprocess.DEVNULL)
print(child.pid, flush=True); sys.stdin.read(); os._exit(9)
"""


def _run(code: str, data: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_a_second_start_is_refused_with_the_process_id_of_the_first(tmp_path: Path) -> None:
    """At once, not after waiting for leftovers."""
    with _run(HOLD, tmp_path) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"

        with pytest.raises(CannotStart, match=f"process id {first.pid}"):
            Lock.take(tmp_path, leftovers_within_s=600)
        first.kill()


def test_leftovers_of_a_killed_one_are_named(tmp_path: Path) -> None:
    """And the folder is free as soon as they are gone."""
    with _run(HOLD_AND_LEAVE, tmp_path) as first:
        assert first.stdout is not None
        left = int(first.stdout.readline())
        first.communicate()

    with pytest.raises(CannotStart, match=f"{left} \\(sleep 60\\)"):
        Lock.take(tmp_path, leftovers_within_s=0.0)
    assert [process.pid for process in holders(tmp_path / "lock")] == [left]

    os.kill(left, 9)
    lock = Lock.take(tmp_path)
    assert lock.died_at is not None
    lock.release()


def test_an_orderly_end_is_told_from_a_sudden_one(tmp_path: Path) -> None:
    """The first start, one after an orderly end, one after none."""
    first = Lock.take(tmp_path)
    assert first.died_at is None
    first.release()

    second = Lock.take(tmp_path)
    assert second.died_at is None
    second.beat()
    os.close(second.descriptor)

    third = Lock.take(tmp_path)
    assert third.died_at == pytest.approx((tmp_path / "lock").stat().st_mtime, abs=60)
    third.release()


def test_a_sudden_end_is_told_until_somebody_has_seen_to_it(tmp_path: Path) -> None:
    """Whoever holds the folder in between, as a check without a service does, leaves that to the next start."""
    killed = Lock.take(tmp_path)
    os.utime(killed.descriptor, (1_700_000_000, 1_700_000_000))
    os.close(killed.descriptor)
    between = Lock.take(tmp_path)
    between.beat()
    between.release()

    started = Lock.take(tmp_path)
    assert started.died_at == pytest.approx(1_700_000_000)
    started.settled()
    started.release()

    after = Lock.take(tmp_path)
    assert after.died_at is None
    after.release()


def test_two_folders_do_not_know_each_other(tmp_path: Path) -> None:
    """Side by side."""
    locks = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        locks.append(Lock.take(tmp_path / name))
    for lock in locks:
        lock.release()

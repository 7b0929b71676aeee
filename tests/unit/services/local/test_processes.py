"""Processes started, watched and ended."""

import os
import sys
from pathlib import Path

import pytest

from services.errors import CannotStart
from services.local import processes
from services.local.processes import Child, Program, end, wait_ready
from tests.waiting import eventually

ENVIRONMENT = {"PATH": os.defpath}


def _python(name: str, code: str, tmp_path: Path, **more: object) -> Child:
    return Child(Program(name, [sys.executable, "-c", code], ENVIRONMENT, **more), tmp_path / "logs")  # type: ignore[arg-type]


def test_it_is_ready_when_it_works_and_not_before(tmp_path: Path) -> None:
    """Readiness is an operation, not a pause."""
    made = tmp_path / "made"
    child = _python("maker", f"open({str(made)!r}, 'w'); import time; time.sleep(60)", tmp_path, is_ready=made.exists)
    child.start()

    wait_ready([child])

    assert made.exists()
    end([child])
    assert not child.is_running


def test_one_that_ends_instead_of_getting_ready_is_quoted(tmp_path: Path) -> None:
    """The end of its log is the reason."""
    child = _python("failing", "import sys; sys.exit('no such disk')", tmp_path, is_ready=lambda: False)
    child.start()

    with pytest.raises(CannotStart, match="no such disk"):
        wait_ready([child])


def test_one_that_never_gets_ready_is_given_up(tmp_path: Path) -> None:
    """With the place of its log."""
    child = _python("idle", "import time; time.sleep(60)", tmp_path, is_ready=lambda: False, ready_within_s=0.1)
    child.start()

    with pytest.raises(CannotStart, match=r"idle\.log"):
        wait_ready([child])
    end([child])


def test_a_program_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    """By its name."""
    child = Child(Program("absent", [tmp_path / "absent"], ENVIRONMENT), tmp_path / "logs")

    with pytest.raises(CannotStart, match="absent cannot be started"):
        child.start()


def _is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has reaped has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_the_deaf_are_killed_with_all_that_they_started(tmp_path: Path) -> None:
    """SIGTERM, then SIGKILL to the whole group."""
    code = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); pid = os.fork();"
        f"pid and open({str(tmp_path / 'pid')!r}, 'w').write(str(pid)) and None; time.sleep(60)"
    )
    written = tmp_path / "pid"
    child = _python(
        "deaf", code, tmp_path, is_ready=lambda: written.exists() and written.read_text() != "", end_within_s=0.1
    )
    child.start()
    wait_ready([child])

    end([child])

    assert child.exit_status == -9
    grandchild = int(written.read_text())
    eventually(lambda: _is_gone(grandchild), within_s=5)  # It was killed; it ends when it gets a processor next.


def test_it_knows_nothing_of_our_environment_and_is_as_nice_as_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not given is not there."""
    monkeypatch.setenv("COLEGA_SECRET_OF_OURS", "secret")
    child = _python("telling", "import os; print(sorted(os.environ), os.nice(0))", tmp_path, nice=3)
    child.start()
    end_of(child)

    said = child.log.read_text()

    assert "COLEGA_SECRET_OF_OURS" not in said
    assert said.split()[-1] == str(os.nice(0) + 3)


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel does not group by session")
def test_its_session_gives_way_too(tmp_path: Path) -> None:
    """By half as much: a niceness alone counts within a session, and each child leads one. Several at once: all of them."""
    code = "print(open('/proc/self/autogroup').read())"
    children = [_python(f"told-{nice}", code, tmp_path, nice=nice) for nice in (0, 10, 19)]
    for child in children:
        child.start()
    for child in children:
        end_of(child)

    assert [child.log.read_text().split()[-1] for child in children] == ["0", "5", "9"]


def test_a_large_log_is_put_aside_at_the_next_start(tmp_path: Path) -> None:
    """Three older ones are kept."""
    child = _python("writing", "print('new')", tmp_path)
    child.logs.mkdir()
    for number in range(5):
        with child.log.open("wb") as log:
            log.write(str(number).encode())
            log.truncate(10_000_001)
        child.start()
        end_of(child)

    assert child.log.read_text() == "new\n"
    assert sorted(path.name for path in child.logs.iterdir()) == [
        "writing.log", "writing.log.1", "writing.log.2", "writing.log.3",
    ]  # fmt: skip
    assert [child.log.with_name(f"writing.log.{n}").read_bytes()[:1] for n in (1, 2, 3)] == [b"4", b"3", b"2"]


def end_of(child: Child) -> None:
    """Wait for the end of one that ends by itself."""
    assert child._process is not None
    child._process.wait(10)


def test_a_log_that_is_being_written_is_put_aside(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    with processes._log_file(log) as writer:
        for n in range(5):
            writer.write(f"before {n}\n".encode())
            writer.flush()
            processes.put_aside(log)
        writer.write(b"after\n")

    assert log.read_text() == "after\n"
    kept = [log.with_name(f"part.log.{n}").read_text() for n in (1, 2, 3)]
    assert kept == ["before 4\n", "before 3\n", "before 2\n"]
    assert len(list(tmp_path.iterdir())) == 4

"""What a container's health check asks."""

import os
import subprocess
import sys
import time
from pathlib import Path

from services import heartbeat


def test_a_process_that_has_noted_nothing_is_not_seen(tmp_path: Path) -> None:
    assert heartbeat.trouble(tmp_path, "bulk") == "No bulk process has been seen here yet."


def test_a_process_that_works_has_no_trouble_and_is_not_another(tmp_path: Path) -> None:
    heartbeat.note(tmp_path, "bulk", well=True)

    assert heartbeat.trouble(tmp_path, "bulk") is None
    assert heartbeat.trouble(tmp_path, "searcher") is not None


def test_a_server_that_is_away_is_trouble_but_no_reason_to_start_the_process_again(tmp_path: Path) -> None:
    heartbeat.note(tmp_path, "bulk", well=False)

    assert "cannot reach" in (heartbeat.trouble(tmp_path, "bulk") or "")
    assert heartbeat.trouble(tmp_path, "bulk", live=True) is None


def test_a_process_that_fell_silent_is_in_trouble(tmp_path: Path) -> None:
    heartbeat.note(tmp_path, "bulk", well=True)
    [path] = (tmp_path / "heartbeats").iterdir()
    long_ago = time.time() - 2 * heartbeat.WITHIN_S
    os.utime(path, (long_ago, long_ago))

    assert "last seen" in (heartbeat.trouble(tmp_path, "bulk", live=True) or "")


def test_the_command_imports_nothing_but_the_standard_library(tmp_path: Path) -> None:
    """It is run every half minute in every container."""
    heartbeat.note(tmp_path, "bulk", well=True)
    command = [sys.executable, "-X", "importtime", "-m", "services.heartbeat", "bulk"]
    done = subprocess.run(command, env={"COLEGA_DATA": str(tmp_path)}, capture_output=True, text=True, check=False)

    imported = {
        line.split("|")[-1].strip().split(".")[0]
        for line in done.stderr.splitlines()
        if line.startswith("import time:")
    }
    assert done.returncode == 0
    assert not imported & {"sqlalchemy", "pydantic", "celery", "flask", "structlog"}

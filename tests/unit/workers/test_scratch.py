"""What a killed worker leaves of photos in the temporary folder goes when the next one starts."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from workers import scratch

_DIES = "import os; from workers import scratch; kept = scratch.folder(); print(kept.name, flush=True); os._exit(1)"


def test_folders_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    environment = {"TMPDIR": str(tmp_path), "PATH": "/usr/bin"}
    died = subprocess.run([sys.executable, "-c", _DIES], env=environment, capture_output=True, text=True, check=False)
    with scratch.folder() as mine:
        (tmp_path / f"colega-scratch-{os.getpid()}-1-x").mkdir()  # Of one who had our number.
        assert Path(died.stdout.strip()).exists()

        assert scratch.drop_left() == 2

        assert [str(each) for each in tmp_path.iterdir()] == [mine]

"""A searcher's folder is its own, and keeps nothing that it does not use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.serving import folders
from workers.serving.folders import OwnFolder


def test_a_second_process_takes_the_next_folder(tmp_path: Path) -> None:
    mine = OwnFolder(tmp_path)
    command = f"from pathlib import Path; from workers.serving.folders import OwnFolder; print(OwnFolder(Path({str(tmp_path)!r})).path.name)"

    theirs = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout

    assert (mine.path.name, theirs.strip()) == ("0", "1")


def test_what_lies_there_of_a_generation_that_is_gone_is_removed(tmp_path: Path) -> None:
    mine = OwnFolder(tmp_path)
    for generation in (1, 2, 3):
        (mine.of(1, generation) / "segments").mkdir(parents=True)

    mine.sweep({(1, 1)}, {(1, 1), (1, 2)})

    assert sorted(folder.name for folder in mine.path.iterdir()) == ["1-g1", "1-g2"]


def test_a_folder_with_the_number_of_a_model_is_no_generations(tmp_path: Path) -> None:
    mine = OwnFolder(tmp_path)
    for name in ("1-1", "1-g1", "else"):
        (mine.path / name).mkdir()

    mine.sweep({(1, 1)}, {(1, 1)})

    assert sorted(folder.name for folder in mine.path.iterdir()) == ["1-g1", "else"]


def test_what_nobody_asked_for_in_an_hour_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = OwnFolder(tmp_path)
    for name in ("1-g1", "2-g2"):
        (mine.path / name).mkdir()
        os.utime(mine.path / name, (0, 0))
    mine.sweep({(1, 1)}, {(1, 1), (2, 2)})
    assert (mine.path / "2-g2").exists()  # The process has just begun: somebody may still ask for it.

    monkeypatch.setattr(folders, "_UNUSED_S", -1.0)
    mine.sweep({(1, 1)}, {(1, 1), (2, 2)})

    assert sorted(folder.name for folder in mine.path.iterdir()) == ["1-g1"]


def test_what_is_erased_leaves_the_folders_of_those_that_are_gone_and_of_no_living_one(tmp_path: Path) -> None:
    mine = OwnFolder(tmp_path)
    for folder in (mine.of(1, 1), mine.of(1, 2), mine.of(2, 3), tmp_path / "1" / "1-g1", tmp_path / "1" / "2-g3"):
        folder.mkdir(parents=True)
    living = OwnFolder(tmp_path)  # Takes folder 1, as another process would.

    assert mine.forget(1, {(1, 1)}) == 1
    assert living.of(1, 1).exists()
    os.close(living._handle)
    assert mine.forget(1, {(1, 1)}) == 1

    left = {str(folder.relative_to(tmp_path)) for folder in tmp_path.glob("*/*")}
    assert left == {"0/1-g1", "0/2-g3", "1/2-g3"}


def test_what_is_found_there_is_its_owners_alone_from_then_on(tmp_path: Path) -> None:
    file = tmp_path / "0" / "1-g1" / "a.vectors"
    file.parent.mkdir(parents=True, mode=0o755)
    file.write_bytes(b"vectors")
    file.chmod(0o644)

    mine = OwnFolder(tmp_path)

    assert [path.stat().st_mode & 0o777 for path in (file.parent, file)] == [0o700, 0o600]
    assert mine.path == tmp_path / "0"

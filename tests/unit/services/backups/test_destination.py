"""Files of a place for backups: whole or not there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.backups.destination import Folder
from services.errors import BackupDamaged, BackupUnavailable, Conflict


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    place = Folder(tmp_path)

    def broken() -> Iterator[bytes]:
        yield b"half of it"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        place.write("objects/a", broken())
    assert list(place.names()) == []

    written = place.write("objects/a", [b"all ", b"of it"])
    assert (place.size("objects/a"), written.size_bytes) == (9, 9)
    with pytest.raises(RuntimeError):
        place.write("objects/a", broken())
    assert b"".join(place.read("objects/a")) == b"all of it"


def test_files_are_read_by_their_owner_alone(tmp_path: Path) -> None:
    place = Folder(tmp_path / "new" / "place")
    place.write("objects/photos/a", [b"a"])

    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "new").rglob("*")}
    assert modes <= {0o700, 0o600}


def test_one_writes_at_a_time(tmp_path: Path) -> None:
    with Folder(tmp_path).alone(), pytest.raises(Conflict, match="Another backup"), Folder(tmp_path).alone():
        pass
    with Folder(tmp_path).alone():
        pass


def test_what_is_removed_takes_its_empty_folders_along(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    place.write("a/b/c", [b""])
    place.write("a/d", [b""])

    place.remove(["a/b/c", "a/b/not-there"])
    place.settle()

    assert list(place.names()) == ["a/d"]
    assert not (tmp_path / "a" / "b").exists()


def test_what_is_missing_or_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BackupDamaged, match="has no objects/a"):
        list(Folder(tmp_path).read("objects/a"))
    with pytest.raises(BackupUnavailable, match="cannot be written"):
        Folder(tmp_path / "file" / "place").write("a", [b""])

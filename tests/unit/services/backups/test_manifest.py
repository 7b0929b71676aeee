"""Lines that are compressed, cut short, or not as they were written; and which objects are of whom."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.backups import manifest, pruning
from services.backups.destination import Folder
from services.backups.manifest import Table
from services.errors import BackupDamaged

LINES = st.lists(st.binary(max_size=200).map(lambda line: line.replace(b"\n", b" ")))


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    """As a file gives them."""
    return (data[at : at + size] for at in range(0, len(data), size))


@given(LINES, st.integers(1, 50))
def test_lines_come_back_whatever_the_pieces(lines: list[bytes], size: int) -> None:
    packed = b"".join(manifest.compressed(line + b"\n" for line in lines))

    assert list(manifest.lines(in_pieces(packed, size), "it")) == lines


def test_what_is_cut_short_is_found() -> None:
    packed = b"".join(manifest.compressed([b"a line of some length\n"] * 9))

    for end in range(len(packed)):
        with pytest.raises(BackupDamaged):
            list(manifest.lines([packed[:end]], "it"))


def test_a_checksum_is_known_at_the_end_only() -> None:
    expected = Table(1, 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")

    assert b"".join(manifest.checked([b"a", b"bc"], expected, "it")) == b"abc"
    for other in ([b"abd"], [b"ab"], [b"abc", b"d"]):
        with pytest.raises(BackupDamaged, match="it is not as it was written"):
            _read(manifest.checked(other, expected, "it"))


@pytest.mark.parametrize(
    ("key", "erased"),
    [
        ("photos/1/pho_a", True),
        ("chips/1/fac_b.2", True),
        ("photos/1/pho_ab", False),
        ("models/pho_a/model.onnx", False),
    ],
)
def test_objects_of_who_was_erased_are_known_by_name(key: str, *, erased: bool) -> None:
    assert pruning.is_erased(key, {"pho_a", "fac_b"}) is erased
    assert manifest.key_of(manifest.file(key, sealed=True)) == key


def _read(pieces: Iterable[bytes]) -> None:
    for _ in pieces:
        pass


@pytest.mark.parametrize("later_s", [0.0, 0.0004, -7200.0])
def test_a_later_backup_is_the_newer_one_whatever_the_clock_says(tmp_path: Path, later_s: float) -> None:
    place = Folder(tmp_path)
    place.write(manifest.MARK, [b"{}"])
    names = []
    for number in range(5):
        names.append(manifest.new_name(place, 1_800_000_000.5 + number * later_s))
        place.write(f"catalogs/{names[-1]}/manifest.json", [b"{}"])

    assert manifest.all_of(place) == names

"""An archive made to fill memory, disk or hours ends with a reason, and at once."""

import gzip
import io
import lzma
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from services.errors import PhotoRefused
from services.rejections import Rejection
from services.sources.entries import Limits, opened
from services.sources.inflating import Inflated

BOUNDS = Limits(entries=100, entry_bytes=2**20, total_bytes=4 * 2**20)


def _outcomes(path: Path, limits: Limits = BOUNDS) -> dict[str, Rejection | int]:
    """Of each entry its size or why it is refused; of the whole archive under no name."""
    found: dict[str, Rejection | int] = {}
    try:
        with opened(path, limits) as entries:
            for entry in list(entries):
                try:
                    found[entry.path] = entry.refused.reason if entry.refused else len(entry.read())
                except PhotoRefused as refused:
                    found[entry.path] = refused.reason
    except PhotoRefused as refused:
        found[""] = refused.reason
    return found


def _tar(members: dict[str, int], packed: Callable[[bytes], bytes]) -> bytes:
    """A tar of zeros, packed."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, size in members.items():
            info = tarfile.TarInfo(name)
            info.size = size
            archive.addfile(info, io.BytesIO(bytes(size)))
    return packed(out.getvalue())


@pytest.mark.parametrize("packed", [gzip.compress, lzma.compress], ids=["gz", "xz"])
def test_what_is_only_passed_over_counts_too(tmp_path: Path, packed: Callable[[bytes], bytes]) -> None:
    (tmp_path / "a").write_bytes(_tar({"zeros.bin": 8 * 2**20, "Ana/1.jpg": 10}, packed))

    assert _outcomes(tmp_path / "a") == {"": Rejection.BAD_ARCHIVE}


def test_an_archive_may_not_unpack_to_more_than_so_many_times_its_size(tmp_path: Path) -> None:
    members = {f"Ana/{n}.bmp": 2**20 for n in range(80)}
    (tmp_path / "a").write_bytes(_tar(members, lambda data: gzip.compress(data, 1)))
    generous = Limits(entries=100, entry_bytes=2**20, total_bytes=2**40, ratio=100)

    assert (tmp_path / "a").stat().st_size * generous.ratio < 80 * 2**20
    assert _outcomes(tmp_path / "a", generous) == {"": Rejection.BAD_ARCHIVE}
    assert set(_outcomes(tmp_path / "a", Limits(100, 2**20, 2**40, ratio=5000)).values()) == {2**20}


def test_a_header_that_claims_gigabytes_is_not_read_into_memory(tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 300 * 2**20
    (tmp_path / "a").write_bytes(gzip.compress(header.tobuf() + bytes(1024)))

    with (
        pytest.raises(PhotoRefused, match="claims more than any honest one"),
        opened(tmp_path / "a", BOUNDS) as entries,
    ):
        list(entries)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=["bzip2", "lzma"])
def test_a_method_that_unpacks_all_at_once_is_not_taken(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w", method) as archive:
        archive.writestr("Ana/1.jpg", bytes(1000))

    assert _outcomes(tmp_path / "a") == {"Ana/1.jpg": Rejection.BAD_ARCHIVE}


def test_an_entry_that_was_too_large_has_used_up_its_share(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(6):
            archive.writestr(f"Ana/{n}.jpg", bytes(2**20 + 1))
        archive.writestr("Ben/1.jpg", b"small")

    assert set(_outcomes(tmp_path / "a").values()) == {Rejection.TOO_LARGE}


def test_a_directory_of_a_zip_longer_than_its_entries_may_need_is_not_read(tmp_path: Path) -> None:
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    directory = entry * 50_000
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 50_000, 50_000, len(directory), 0, 0)
    (tmp_path / "a").write_bytes(directory + end)

    assert _outcomes(tmp_path / "a") == {"": Rejection.BAD_ARCHIVE}


def test_folders_without_end_are_too_many_entries(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a", "w") as archive:
        for n in range(BOUNDS.entries * 4 + 4):
            info = tarfile.TarInfo(f"d{n}")
            info.type = tarfile.DIRTYPE
            archive.addfile(info)

    assert _outcomes(tmp_path / "a") == {"": Rejection.TOO_MANY_ENTRIES}


def test_a_sparse_entry_is_no_plain_file(tmp_path: Path) -> None:
    info = tarfile.TarInfo("Ana/1.jpg")
    info.type = tarfile.GNUTYPE_SPARSE
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[386:410] = b"00000000000\0" + b"00000000000\0"
    block[483:495] = b"77777777777\0"  # 8 GB, of which nothing is there.
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    (tmp_path / "a").write_bytes(bytes(block) + bytes(1024))

    assert _outcomes(tmp_path / "a") == {"Ana/1.jpg": Rejection.UNSAFE_PATH}


def test_an_xz_that_wants_a_gigabyte_of_dictionary_gets_none(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**30, "mode": lzma.MODE_FAST, "nice_len": 4, "mf": lzma.MF_HC3}]
    small = lzma.compress(_tar({"a.jpg": 10}, bytes), filters=[{**filters[0], "dict_size": 2**16}])
    # The size of the dictionary is one byte of the block's header, whose checksum follows.
    at = small.index(b"\x21\x01", 12) + 2
    block = bytearray(small)
    block[at] = 36
    start, size = 12, (block[12] + 1) * 4
    block[start + size - 4 : start + size] = struct.pack("<I", zlib.crc32(block[start : start + size - 4]))
    (tmp_path / "a").write_bytes(bytes(block))

    assert _outcomes(tmp_path / "a") == {"": Rejection.BAD_ARCHIVE}


@pytest.mark.parametrize("packed", [gzip.compress, lzma.compress], ids=["gz", "xz"])
def test_what_is_unpacked_can_be_sought_in_and_is_the_same(tmp_path: Path, packed: Callable[[bytes], bytes]) -> None:
    whole = bytes(range(256)) * 4000
    (tmp_path / "a").write_bytes(packed(whole[:500_000]) + packed(whole[500_000:]) + bytes(512))
    with Inflated(tmp_path / "a", 2**30, 2**20) as file:
        file.seek(700_000)
        late = file.read(1000)
        file.seek(3)
        early = file.read(1000)
        file.seek(0)
        again = b"".join(iter(lambda: file.read(4096), b""))

    assert (late, early) == (whole[700_000:701_000], whole[3:1003])
    assert again == whole


@pytest.mark.parametrize("packed", [gzip.compress, lzma.compress], ids=["gz", "xz"])
def test_a_packed_archive_that_is_damaged_inside_is_refused_and_nothing_else_happens(
    tmp_path: Path, packed: Callable[[bytes], bytes]
) -> None:
    """Found by fuzzing: what zlib and lzma raise while a tar is passed over was nobody's to catch."""
    whole = bytearray(_tar({"Ana/1.bin": 0}, bytes) + random.Random(1).randbytes(20_000))
    damaged = bytearray(packed(bytes(whole)))
    for place in range(len(damaged) // 3, len(damaged), 997):
        damaged[place] ^= 0xFF
        (tmp_path / "a").write_bytes(damaged)

        assert set(_outcomes(tmp_path / "a").values()) <= {Rejection.BAD_ARCHIVE, 0}

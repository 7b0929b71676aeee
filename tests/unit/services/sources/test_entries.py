"""Whatever an archive claims, nothing is read beyond its limits and nothing is written anywhere."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import PhotoRefused
from services.rejections import Rejection
from services.sources.entries import Limits, judged, opened

SMALL = Limits(entries=10, entry_bytes=1000, total_bytes=2500)


def _zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def _read(path: Path, limits: Limits = SMALL) -> dict[str, bytes | Rejection]:
    found: dict[str, bytes | Rejection] = {}
    with opened(path, limits) as entries:
        for entry in list(entries):
            try:
                found[entry.path] = entry.refused.reason if entry.refused is not None else entry.read()
            except PhotoRefused as refused:
                found[entry.path] = refused.reason
    return found


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz", "directory"])
def test_every_kind_of_source_gives_the_same_entries(tmp_path: Path, kind: str) -> None:
    files = {"Ana/1.jpg": b"a", "José/2.jpg": b"b", ".hidden": b"c"}
    source = tmp_path / f"source.{kind}"
    if kind == "zip":
        _zip(source, files)
    elif kind == "directory":
        for name, data in files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(data)
    else:
        with tarfile.open(source, f"w:{kind.partition('.')[2]}") as archive:  # type: ignore[call-overload]
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))

    assert _read(source) == {"Ana/1.jpg": b"a", "José/2.jpg": b"b", ".hidden": Rejection.HIDDEN_OR_SYSTEM_FILE}


def test_what_is_read_counts_and_not_what_is_claimed(tmp_path: Path) -> None:
    bomb = _zip(tmp_path / "bomb.zip", {"a/1.jpg": bytes(10**7), **{f"a/{n}.jpg": bytes(900) for n in range(2, 6)}})

    found = _read(bomb)

    assert found["a/1.jpg"] is Rejection.TOO_LARGE
    assert [found[f"a/{n}.jpg"] for n in (4, 5)] == [Rejection.TOO_LARGE] * 2  # All in all it is too much.


def test_an_archive_of_too_many_entries_is_refused_whole(tmp_path: Path) -> None:
    with pytest.raises(PhotoRefused) as refused:
        _read(_zip(tmp_path / "many.zip", {f"{n}.jpg": b"" for n in range(11)}))

    assert refused.value.reason is Rejection.TOO_MANY_ENTRIES


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut"])
def test_what_is_no_archive_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)

    with pytest.raises(PhotoRefused) as refused:
        _read(tmp_path / "a.zip")
    assert refused.value.reason is Rejection.BAD_ARCHIVE


def test_links_lead_nowhere(tmp_path: Path) -> None:
    archive = tmp_path / "links.tar"
    with tarfile.open(archive, "w") as made:
        for name, kind in {
            "a/link.jpg": tarfile.SYMTYPE,
            "a/hard.jpg": tarfile.LNKTYPE,
            "a/fifo.jpg": tarfile.FIFOTYPE,
        }.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            made.addfile(info)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.jpg").symlink_to("/etc/passwd")

    assert set(_read(archive).values()) == {Rejection.UNSAFE_PATH}
    assert set(_read(folder).values()) == {Rejection.UNSAFE_PATH}


def test_links_in_a_circle_are_refused_and_the_others_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to(tmp_path / "b.jpg")
    (tmp_path / "b.jpg").symlink_to(tmp_path / "a.jpg")
    (tmp_path / "c.jpg").write_bytes(b"a photo")

    assert {name: found for name, found in _read(tmp_path).items() if found != b"a photo"}.keys() == {"a.jpg", "b.jpg"}


@pytest.mark.parametrize(
    "path",
    ["../a.jpg", "/etc/a.jpg", "a/../../b.jpg", "C:\\a.jpg", "..\\a.jpg", "~/a.jpg", "a\0.jpg", "", "x/" * 40 + "a"],
)
def test_a_name_that_leads_out_is_refused(path: str) -> None:
    refused = judged(path)

    assert refused is not None
    assert refused.reason is Rejection.UNSAFE_PATH


@given(st.text(max_size=60))
def test_a_name_that_is_taken_stays_inside(path: str) -> None:
    if judged(path) is None:
        assert (Path("/target") / path).resolve().is_relative_to("/target")


@pytest.mark.slow
def test_each_shared_archive_ends_without_harm(shared: Path) -> None:
    limits = Limits(entries=10_000, entry_bytes=20 * 2**20, total_bytes=2**30)
    good = {"good.zip", "good.tar", "good.tar.gz", "good.tar.xz"}
    for path in sorted((shared / "data" / "archives").iterdir()):
        if path.suffix in {".md", ".csv"}:
            continue
        try:
            found = _read(path, limits)
        except PhotoRefused:
            found = {}
        photos = sum(isinstance(data, bytes) for data in found.values())
        assert photos == 6 or path.name not in good, path.name

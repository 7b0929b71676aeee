"""What a file is, by its first bytes."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from services import formats
from services.errors import PhotoRefused
from services.rejections import Rejection

NOT_TAKEN = {
    ".ico",
    ".jp2",
    ".ppm",
    ".qoi",
    ".pdf",
    ".svg",
    ".jxl",
    ".psd",
    ".eps",
    ".dds",
    ".cr2",
    ".cur",
    ".icns",
    ".wmf",
}


def _encoded(name: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(file, name, **options)
    return file.getvalue()


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_what_pillow_writes_is_known_and_taken(name: str) -> None:
    """Each format has one name here, and a media type."""
    found = formats.require("photo", _encoded(name)[: formats.HEAD_BYTES])

    assert found == name.lower()
    assert formats.MEDIA_TYPES[found].startswith("image/")


@pytest.mark.parametrize(("name", "known"), [("PDF", "PDF"), ("ICO", "ICO"), ("PPM", "Netpbm"), ("JPEG2000", "JPEG 2000"), ("PCX", "PCX"), ("EPS", "PostScript"), ("QOI", "QOI")])  # fmt: skip
def test_other_formats_are_refused_by_their_names(name: str, known: str) -> None:
    """So that a person knows what to convert."""
    with pytest.raises(PhotoRefused, match=known) as refused:
        formats.require("photo.jpg", _encoded(name)[: formats.HEAD_BYTES])

    assert refused.value.reason is Rejection.UNSUPPORTED_FORMAT


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"", Rejection.EMPTY),
        (b"\x00", Rejection.NOT_AN_IMAGE),
        (b"BM is how a letter may begin, and some do", Rejection.NOT_AN_IMAGE),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42", Rejection.NOT_AN_IMAGE),
        (b"\x00\x00\x00\x10ftypavif\x00\x00\x00\x00", None),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", None),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1avif", None),
        (b"\x00\x00\x00\x00ftypheic", Rejection.NOT_AN_IMAGE),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", Rejection.NOT_AN_IMAGE),
        (b"PK\x03\x04", Rejection.NOT_AN_IMAGE),
        (b"\x80\x04\x95", Rejection.NOT_AN_IMAGE),
        (b"\x00" * 4096, Rejection.NOT_AN_IMAGE),
        (b"\xef\xbb\xbf <?xml version='1.0'?><svg/>", Rejection.UNSUPPORTED_FORMAT),
        (b"<?xml version='1.0'?><note/>", Rejection.NOT_AN_IMAGE),
    ],
)
def test_each_refusal_has_its_reason(head: bytes, reason: Rejection | None) -> None:
    """Empty, known but not taken, or no image at all."""
    if reason is None:
        assert formats.require("photo", head) in formats.MEDIA_TYPES
        return
    with pytest.raises(PhotoRefused) as refused:
        formats.require("photo", head)

    assert refused.value.reason is reason


@given(st.binary(max_size=200))
def test_no_bytes_confuse_it(head: bytes) -> None:
    """Whatever comes, there is one answer, and no format is both taken and refused."""
    if formats.sniff(head) is None:
        with pytest.raises(PhotoRefused):
            formats.require("photo", head)
    else:
        assert formats.recognise(head) is None


def test_odd_files_with_a_face_are_let_through_and_no_document_is(shared: Path) -> None:
    """Of the 276 odd files: all that must give a face are taken, nothing that is no image is."""
    folder = shared / "data" / "odd_files"
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 200
    for row in rows:
        found = formats.sniff((folder / row["file"]).read_bytes()[: formats.HEAD_BYTES])
        suffix = Path(row["file"]).suffix.lower()
        if row["expect"] == "face":
            assert found, row
        elif (row["kind"] == "not_image" and row["expect"] == "reject") or (
            suffix in NOT_TAKEN and row["kind"] != "wrong_extension"
        ):
            assert found is None, row

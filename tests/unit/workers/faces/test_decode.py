"""Whatever a photo is kept as, it becomes the same upright RGB pixels, or a reason."""

import csv
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from services.errors import PhotoRefused
from services.rejections import Rejection
from workers.faces.decode import decode
from workers.faces.values import Decoded, Pixels

MAX_PIXELS = 50_000_000


@pytest.fixture(scope="session")
def portrait(examples: Path) -> Image.Image:
    """A small colour photo that is not square."""
    with Image.open(examples / "people" / "Grace Hopper" / "1.jpg") as opened:
        return opened.convert("RGB").resize((256, 300))


def _read(data: bytes, want_px: int = 640, max_pixels: int = MAX_PIXELS) -> Decoded:
    return decode(data, max_pixels=max_pixels, want_px=want_px)


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def _alike(pixels: Pixels, expected: Pixels, tolerance: float = 12.0) -> bool:
    return (
        pixels.shape == expected.shape and float(np.abs(pixels.astype(int) - expected.astype(int)).mean()) < tolerance
    )


def _heic(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    pillow_heif.from_pillow(picture).save(out, quality=92)
    return out.getvalue()


FORMATS: dict[str, Callable[[Image.Image], bytes]] = {
    "jpeg": lambda p: _saved(p, "JPEG", quality=92),
    "png": lambda p: _saved(p, "PNG"),
    "webp": lambda p: _saved(p, "WEBP", quality=92),
    "bmp": lambda p: _saved(p, "BMP"),
    "tiff": lambda p: _saved(p, "TIFF", compression="tiff_lzw"),
    "gif": lambda p: _saved(p.quantize(256), "GIF"),
    "avif": lambda p: _saved(p, "AVIF", quality=92),
    "heic": _heic,
}


@pytest.mark.parametrize("kind", list(FORMATS))
def test_every_format_that_is_taken_gives_the_same_picture(portrait: Image.Image, kind: str) -> None:
    decoded = _read(FORMATS[kind](portrait))

    assert (decoded.format, decoded.width, decoded.height) == (kind, 256, 300)
    assert _alike(decoded.pixels, np.asarray(portrait))


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "RGBA", "LA", "1", "I;16"])
def test_every_kind_of_pixel_becomes_eight_bit_rgb(portrait: Image.Image, mode: str) -> None:
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(portrait.convert("L")).astype(np.uint16) * 257)
    else:
        picture = portrait.convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    expected = np.asarray((portrait.convert("1") if mode == "1" else portrait.convert("L")).convert("RGB"))
    if mode in {"CMYK", "P", "RGBA"}:
        expected = np.asarray(portrait)

    assert _alike(_read(_saved(picture, kind)).pixels, expected, tolerance=20)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_every_orientation_is_turned_upright_once(portrait: Image.Image, orientation: int, kind: str) -> None:
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose that undoes each.
    stored = portrait if orientation == 1 else portrait.transpose(Image.Transpose(back[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation

    decoded = _read(_saved(stored, kind, exif=exif.tobytes()))

    assert (decoded.width, decoded.height) == portrait.size
    assert _alike(decoded.pixels, np.asarray(portrait))


def test_a_large_jpeg_is_decoded_at_a_fraction_and_knows_its_size(portrait: Image.Image) -> None:
    decoded = _read(_saved(portrait.resize((2560, 3000)), "JPEG"), want_px=640)

    assert max(decoded.pixels.shape) >= 640
    assert decoded.pixels.nbytes < 2560 * 3000
    assert (decoded.width, decoded.height) == (2560, 3000)


def test_what_is_transparent_shows_paper_and_not_what_lies_under_it(portrait: Image.Image) -> None:
    hidden = portrait.copy()
    hidden.putalpha(0)

    pixels = _read(_saved(hidden, "PNG")).pixels
    assert (pixels.min(), pixels.max()) == (127, 127)


def test_a_colour_profile_is_applied(portrait: Image.Image) -> None:
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ"))  # Of no use for RGB: passed over.
    plain = _read(_saved(portrait, "PNG")).pixels

    assert _alike(_read(_saved(portrait, "PNG", icc_profile=swapped.tobytes())).pixels, plain, 1)
    assert _alike(_read(_saved(portrait, "PNG", icc_profile=b"garbage" * 40)).pixels, plain, 1)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda _: b"", Rejection.EMPTY),
        (lambda _: b"hello", Rejection.NOT_AN_IMAGE),
        (lambda p: _saved(p, "JPEG")[:4000], Rejection.TRUNCATED),
        (lambda p: _saved(p, "PPM"), Rejection.NOT_AN_IMAGE),
        (lambda p: _saved(p.resize((19, 200)), "PNG"), Rejection.TOO_SMALL),
        (lambda _: _saved(Image.new("1", (30_000, 30_000)), "PNG"), Rejection.TOO_MANY_PIXELS),
    ],
    ids=["empty", "text", "cut short", "another format", "a strip", "30,000 by 30,000"],
)
def test_what_cannot_be_used_says_why(
    portrait: Image.Image, make: Callable[[Image.Image], bytes], reason: Rejection
) -> None:
    with pytest.raises(PhotoRefused) as refused:
        _read(make(portrait))

    assert refused.value.reason is reason


_READ_ALL = """
import csv, resource, sys
from pathlib import Path
from services.errors import PhotoRefused
from workers.faces.decode import decode
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
out = csv.writer(sys.stdout)
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        decode(path.read_bytes(), max_pixels=50_000_000, want_px=640); out.writerow([path.name, ""])
    except PhotoRefused as refused:
        out.writerow([path.name, refused.reason])
"""


def test_each_odd_file_is_decoded_or_refused_as_it_must_be(shared: Path) -> None:
    folder = shared / "data" / "odd_files"
    command = [sys.executable, "-c", _READ_ALL, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    ends = dict(csv.reader(io.StringIO(done.stdout)))
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        expected = {row["file"]: row["expect"] for row in csv.DictReader(file)}

    wrong = {
        name: (expect, ends[name])
        for name, expect in expected.items()
        if (expect == "reject" and not ends[name])
        or (expect == "face" and ends[name])
        or (expect == "no_face" and ends[name] not in {"", "too_small"})
    }
    assert not wrong
    assert len(expected) > 250

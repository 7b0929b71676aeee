"""What is fuzzed: the decoder of photos and the reader of archives, and what both promise whatever they are given."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

from services.errors import PhotoRefused
from services.sources import entries
from workers.faces.decode import decode

MAX_PIXELS = 4_000_000
_LARGEST_SEED_BYTES = 200_000
_WANT_PX = 640
BOUNDS = entries.Limits(entries=50, entry_bytes=200_000, total_bytes=1_000_000)


def photos(examples: Path, odd: Path | None = None) -> list[bytes]:
    """Small files of every format that is taken, and of *odd* what is small enough."""
    with Image.open(examples / "people" / "Grace Hopper" / "1.jpg") as opened:
        picture = opened.convert("RGB").resize((96, 112))
    found = []
    for kind, options in (
        ("JPEG", {"quality": 90, "progressive": True}),
        ("JPEG", {"quality": 60}),
        ("PNG", {}),
        ("WEBP", {"quality": 80}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "jpeg"}),
        ("GIF", {}),
        ("AVIF", {"quality": 70}),
    ):
        out = io.BytesIO()
        picture.save(out, kind, **options)
        found.append(out.getvalue())
    out = io.BytesIO()
    pillow_heif.from_pillow(picture).save(out, quality=80)
    found.append(out.getvalue())
    if odd is not None:
        small = (path for path in sorted(odd.iterdir()) if path.is_file() and path.stat().st_size < _LARGEST_SEED_BYTES)
        found += [data for path in small if (data := path.read_bytes())]
    return found


def archives(odd: Path | None = None) -> list[bytes]:
    """Small archives of every kind, and of *odd* what is small enough."""
    files = {
        "Ana/1.jpg": b"\xff\xd8\xff" + bytes(200),
        "Ben/2.png": bytes(range(256)),
        "manifest.csv": b"path,person\n",
    }
    found = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        found.append(out.getvalue())
    for packed in ("", "gz", "xz", "bz2"):
        for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode=f"w:{packed}", format=form) as tar:  # type: ignore[call-overload]
                for name, data in {**files, ("n" * 90 + "/") + "é" * 40: b"long"}.items():
                    info = tarfile.TarInfo(name if form != tarfile.USTAR_FORMAT else name[:90])
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
            found.append(out.getvalue())
    if odd is not None:
        small = (
            path for path in sorted(odd.rglob("*")) if path.is_file() and path.stat().st_size < _LARGEST_SEED_BYTES
        )
        found += [data for path in small if (data := path.read_bytes())]
    return found


def decode_is_sound(data: bytes) -> bool:
    """Decode *data*: upright RGB pixels of the size that is promised, or a reason. Whether there were pixels."""
    try:
        decoded = decode(data, max_pixels=MAX_PIXELS, want_px=_WANT_PX)
    except PhotoRefused:
        return False
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.ndim == 3
    assert decoded.pixels.shape[2] == 3
    assert decoded.width * decoded.height <= MAX_PIXELS
    return True


def archive_is_sound(data: bytes, scratch: Path) -> bool:
    """Read *data* as an archive: entries within the limits, or reasons. Whether any entry could be read."""
    scratch.write_bytes(data)
    read_bytes, is_read = 0, False
    try:
        with entries.opened(scratch, BOUNDS) as found:
            for entry in list(found):
                assert entry.refused is not None or ".." not in entry.path.split("/")
                if entry.refused is not None:
                    continue
                try:
                    content = entry.read()
                except PhotoRefused:
                    continue
                read_bytes, is_read = read_bytes + len(content), True
                assert len(content) <= BOUNDS.entry_bytes
    except PhotoRefused:
        pass
    assert read_bytes <= BOUNDS.total_bytes
    return is_read

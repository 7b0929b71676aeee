"""What a file is, by its first bytes: the photo formats taken, those known but not taken, and everything else.

Names and extensions lie; nothing here looks at them. Standard library only, and nothing is decoded: whether the rest
of the file is whole is for the worker to find out.
"""

from collections.abc import Mapping
from types import MappingProxyType

from services.errors import PhotoRefused
from services.rejections import Rejection

HEAD_BYTES = 4096
"""So many first bytes are enough for every function here."""

MEDIA_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "jpeg": "image/jpeg",
        "png": "image/png",
        "webp": "image/webp",
        "gif": "image/gif",
        "bmp": "image/bmp",
        "tiff": "image/tiff",
        "heic": "image/heic",
        "avif": "image/avif",
    }
)
"""The photo formats taken, with the media type of each. HEIF in its other brands counts as ``heic``."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),  # BigTIFF.
    (b"MM\x00+", "tiff"),
)
_BMP_HEADER_BYTES = {12, 16, 40, 52, 56, 64, 108, 124}  # Of every BMP version there is; "BM" alone begins many texts.
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2"}
_AVIF_BRANDS = {b"avif", b"avis"}

_NOT_TAKEN = (
    (b"%PDF-", "PDF"),
    (b"8BPS", "Photoshop"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"\x00\x00\x02\x00", "CUR"),
    (b"icns", "ICNS"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"SIMPLE  =", "FITS"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", ""),  # Ten NULs are nothing, whatever follows.
    (b"FORM", "IFF"),
    (b"\x59\xa6\x6a\x95", "Sun raster"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"gimp xcf", "GIMP"),
    (b"FLIF", "FLIF"),
    (b"BPG\xfb", "BPG"),
    (b"\x01\xda", "SGI"),
    (b"IIU\x00", "Panasonic raw"),
    (b"IIRO", "Olympus raw"),
    (b"FUJIFILMCCD-RAW", "Fujifilm raw"),
    (b"\xd7\xcd\xc6\x9a", "WMF"),
)
_NETPBM = {b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"P7", b"Pf", b"PF"}


def sniff(head: bytes) -> str | None:
    """The format of a photo that is taken, one of :data:`MEDIA_TYPES`; None for everything else.

    Args:
        head: The first bytes of the file, :data:`HEAD_BYTES` or all if it has fewer.
    """
    if head[8:10] == b"CR" and head[:4] == b"II*\x00":
        return None  # A Canon raw file, in a TIFF's clothes.
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and len(head) >= 18 and int.from_bytes(head[14:18], "little") in _BMP_HEADER_BYTES:
        return "bmp"
    if (brands := _brands(head)) & _AVIF_BRANDS:
        return "avif"
    return "heic" if brands & _HEIC_BRANDS else None


def recognise(head: bytes) -> str | None:
    """What a picture or document is that is known here but not taken, as people call it; None: not an image at all."""
    for signature, name in _NOT_TAKEN:
        if head.startswith(signature):
            return name or None
    if head[:2] in _NETPBM and head[2:3].isspace():
        return "Netpbm"
    text = head[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<svg", b"<?xml")) and b"<svg" in head.lower():
        return "SVG"
    if _is_pcx(head):
        return "PCX"
    if _brands(head) & {b"crx "} or head[8:10] == b"CR":
        return "Canon raw"
    return None


def require(name: str, head: bytes) -> str:
    """The format of a photo that is taken.

    Args:
        name: What to call the file in the refusal.
        head: Its first bytes, as for :func:`sniff`.

    Raises:
        PhotoRefused: The file is empty, of a format that is not taken, or not an image.
    """
    if not head:
        raise PhotoRefused(Rejection.EMPTY, f"{name} is empty.")
    if found := sniff(head):
        return found
    taken = "JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC and AVIF are taken"
    if known := recognise(head):
        raise PhotoRefused(Rejection.UNSUPPORTED_FORMAT, f"{name} is {known}; {taken}. Convert it first.")
    raise PhotoRefused(Rejection.NOT_AN_IMAGE, f"{name} is not an image; {taken}.")


def _brands(head: bytes) -> set[bytes]:
    """The brands in the file type box that HEIF, AVIF and videos begin with; empty where there is none."""
    size = int.from_bytes(head[:4], "big")
    if head[4:8] != b"ftyp" or not 16 <= size <= HEAD_BYTES:
        return set()
    box = head[8:size]
    return {box[:4], *(box[at : at + 4] for at in range(8, len(box) - 3, 4))}


def _is_pcx(head: bytes) -> bool:
    return len(head) >= 128 and head[0] == 0x0A and head[1] in {0, 2, 3, 4, 5} and head[2] == 1 and head[64] == 0

"""Decode: bytes of a photo to upright 8-bit RGB pixels, or the reason why not.

Only formats on the list are ever handed to a decoder. Whatever a decoder raises becomes a reason; memory and time are
limited by the process that calls this (``workers.tasks.process``).
"""

import io
import math
import warnings
from functools import cache, lru_cache

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, ImageCms, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

from services.errors import PhotoRefused
from services.rejections import Rejection
from workers.faces.values import Decoded, Pixels

FORMATS = {
    "JPEG": "jpeg",
    "MPO": "jpeg",  # A JPEG with further pictures behind the first.
    "PNG": "png",
    "WEBP": "webp",
    "GIF": "gif",
    "BMP": "bmp",
    "TIFF": "tiff",
    "HEIF": "heic",
    "AVIF": "avif",
}
"""What Pillow may try, and what we call it."""

_OPENED = tuple(name for name in FORMATS if name != "MPO")
_REGISTERED_BY_IMPORT = (AvifImagePlugin, TiffImagePlugin, WebPImagePlugin)

LEAST_SIDE_PX = 20
"""Detectors that build a pyramid find nothing in less, and some fail on it."""

_ORIENTATION = 0x0112
_LARGEST_PROFILE_BYTES = 4_000_000
_PAPER = (127, 127, 127)
"""What shows through where a picture is transparent: a grey in which neither light nor dark faces drown."""


def decode(data: bytes, *, max_pixels: int, want_px: int) -> Decoded:
    """The first picture in *data*.

    Args:
        data: A whole file of one of :data:`FORMATS`.
        max_pixels: Pictures that claim more are refused before anything is decoded.
        want_px: The long side may be reduced to no less than this; a large JPEG is then decoded at a fraction of its
            resolution, which costs a fraction.

    Returns:
        Upright by EXIF orientation, in sRGB as far as its profile says, opaque.

    Raises:
        PhotoRefused: ``empty``, ``not_an_image``, ``truncated``, ``too_many_pixels`` or ``too_small``.
    """
    if not data:
        raise PhotoRefused(Rejection.EMPTY, "The photo has no bytes.")
    _teach_heic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of what is refused below, and of much that is harmless.
            with Image.open(io.BytesIO(data), formats=_OPENED) as picture:
                return _decoded(picture, max_pixels, want_px)
    except (PhotoRefused, ImportError):
        raise
    except (Image.DecompressionBombError, MemoryError):
        raise PhotoRefused(Rejection.TOO_MANY_PIXELS, "The photo claims more pixels than can be decoded.") from None
    except UnidentifiedImageError:
        raise PhotoRefused(Rejection.NOT_AN_IMAGE, "The file is no picture that can be read.") from None
    except Exception as error:  # noqa: BLE001 - Pillow raises OSError, ValueError, TypeError, SyntaxError and more.
        detail = f"The photo is cut short or damaged: {type(error).__name__} while decoding."
        raise PhotoRefused(Rejection.TRUNCATED, detail) from None


def _decoded(picture: Image.Image, max_pixels: int, want_px: int) -> Decoded:
    width, height = picture.size
    if width * height > max_pixels:
        detail = f"The photo has {width}x{height} pixels; {max_pixels:,} in all are taken. Scale it down first."
        raise PhotoRefused(Rejection.TOO_MANY_PIXELS, detail)
    if min(width, height) < LEAST_SIDE_PX:
        detail = f"The photo has {width}x{height} pixels; each side needs {LEAST_SIDE_PX}."
        raise PhotoRefused(Rejection.TOO_SMALL, detail)
    name = FORMATS[picture.format or ""]
    reduction = max(width, height) / want_px
    if name == "jpeg" and reduction >= 2:
        picture.draft(None, (math.ceil(width / reduction), math.ceil(height / reduction)))
    turned_by_pillow = name == "tiff"
    picture.load()
    orientation = 1 if turned_by_pillow else _orientation(picture)
    if turned_by_pillow:
        width, height = picture.size
    if (whole := int(max(picture.size) / want_px)) >= 2 and picture.mode in {"RGB", "L", "CMYK", "RGBA", "LA"}:
        picture = picture.reduce(whole)
    pixels = _turn(np.asarray(_rgb(picture)), orientation)
    if orientation >= 5:
        width, height = height, width
    return Decoded(pixels, width, height, name)


def _orientation(picture: Image.Image) -> int:
    """EXIF orientation 1 to 8; 1 where there is none, or none that exists."""
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - A damaged EXIF block raises whatever its bytes provoke; the picture is whole.
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _turn(pixels: Pixels, orientation: int) -> Pixels:
    if orientation in {2, 3, 4}:
        pixels = {2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1]}[orientation]
    elif orientation >= 5:
        turned = pixels.transpose(1, 0, 2)
        pixels = {5: turned, 6: turned[:, ::-1], 7: turned[::-1, ::-1], 8: turned[::-1]}[orientation]
    return np.ascontiguousarray(pixels)


def _rgb(picture: Image.Image) -> Image.Image:
    """*picture* as 8-bit RGB: profile applied, deep pictures scaled, transparency on paper."""
    profile = picture.info.get("icc_profile")
    if picture.mode.startswith("I") or picture.mode == "F":
        return Image.fromarray(_eight_bits(np.asarray(picture))).convert("RGB")
    if picture.mode == "LAB":
        return ImageCms.profileToProfile(  # type: ignore[return-value]
            picture, ImageCms.createProfile("LAB"), _srgb(), outputMode="RGB"
        )
    if picture.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in picture.info:
        layered = picture.convert("RGBA")
        paper = Image.new("RGBA", layered.size, (*_PAPER, 255))
        picture = Image.alpha_composite(paper, layered).convert("RGB")
    if isinstance(profile, bytes) and len(profile) <= _LARGEST_PROFILE_BYTES and picture.mode in {"RGB", "L", "CMYK"}:
        transform = _to_srgb(profile, picture.mode)
        if transform is not None:
            picture = ImageCms.applyTransform(picture, transform) or picture
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _eight_bits(deep: NDArray[np.generic]) -> NDArray[np.uint8]:
    """A 16-bit, 32-bit or float picture as 8 bits: its own range where it is none of the usual ones."""
    values = np.nan_to_num(deep.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if deep.dtype.kind == "f":
        usual = 1.0 if high <= 1 else 255.0 if high <= 255 else 0.0
    else:
        usual = 65_535.0 if deep.dtype.itemsize == 2 or 255 < high <= 65_535 else 255.0 if high <= 255 else 0.0
    if low < 0 or not usual:
        values, usual = values - low, max(high - low, 1e-9)
    return np.round(values * (255 / usual)).clip(0, 255).astype(np.uint8)


@lru_cache(maxsize=8)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB; None where it is sRGB already, or no profile that can be used for *mode*."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if mode == "RGB" and "srgb" in ImageCms.getProfileDescription(source).lower():
            return None
        return ImageCms.buildTransform(source, _srgb(), mode, "RGB")
    except Exception:  # noqa: BLE001 - A profile that cannot be read is passed over, as every viewer does.
        return None


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@cache
def _teach_heic() -> None:
    """Teach Pillow HEIC, once a process. The other formats' modules are imported above, so that no others are."""
    pillow_heif.register_heif_opener(thumbnails=False)
    Image.preinit()

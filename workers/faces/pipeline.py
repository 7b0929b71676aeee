"""From a photo's bytes to chips, and from chips to vectors: decode, detect, cut, judge; embed."""

import io
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from services.errors import DegenerateBox, PhotoRefused
from workers.faces import chips, decode, detect, quality
from workers.faces.detect import Detector, Mode, Sighting
from workers.faces.embed import Embedder
from workers.faces.values import Box, Chip, Decoded, Detection, Face, Pixels, Points, Vectors

WANT_PX = {Mode.BALANCED: 640, Mode.THOROUGH: 1024, Mode.FRAME: 640}
"""Long side at least decoded: what the detectors look at."""

_ENOUGH_PX = 96
"""A face whose box has a mean side below this is cut from a finer decoding where the photo has one: from 94 pixels on more
resolution was not seen to help, at 72 half a point of TMR is lost (docs/evaluation.md, "Resolution")."""

_THUMBNAIL_QUALITY = 85


class Reading:
    """What is in one photo: its faces, each cut when it is asked for."""

    def __init__(self, data: bytes, decoded: Decoded, sighting: Sighting, max_pixels: int) -> None:
        self._data, self._max_pixels = data, max_pixels
        self._decoded, self._turned, self._quarter_turns = decoded, sighting.turned, sighting.quarter_turns
        self.width, self.height, self.format = decoded.width, decoded.height, decoded.format
        self.decode_s = self.detect_s = 0.0
        """How long the two steps took, in seconds of wall time."""
        found = sorted(sighting.detections, key=lambda detection: -detection.score)
        self._upright = tuple(_scaled(d, self._turned.scale_x, self._turned.scale_y) for d in found)
        self._back = _back(self._quarter_turns, self.width, self.height)
        self.detections: tuple[Detection, ...] = tuple(_moved(d, self._back) for d in self._upright)
        """Best score first, in full-resolution pixels of the upright photo as it was given."""

    def face(self, i: int) -> Face:
        """Cut and judge face *i* of ``detections``.

        A photo that was turned to find its faces is cut as turned, so every chip is upright; the chip's map leads from the
        photo as given.

        Raises:
            DegenerateBox: The face is smaller than a pixel.
        """
        upright = self._upright[i]
        chip, pixels = chips.cut(self._fine_enough(upright.box), upright)
        judged = quality.judge(upright, pixels, chip.landmarks)
        turn = np.linalg.inv(np.vstack([self._back, [0, 0, 1]]))
        return Face(self.detections[i], Chip(chip.jpeg, chip.map @ turn, chip.landmarks), judged)

    def thumbnail(self, long_side_px: int) -> bytes:
        """The whole photo as a JPEG of at most *long_side_px* on its long side, without metadata."""
        return thumbnail(self._decoded.pixels, long_side_px)

    def _fine_enough(self, box: Box) -> Decoded:
        """The turned photo at a resolution that shows *box* (full resolution) well, if it has one."""
        self._turned = _finer(self._data, self._turned, self._quarter_turns, box, self._max_pixels)
        return self._turned


A = TypeVar("A")
B = TypeVar("B")


class FacePipeline:
    """A detector and an embedder put to one use. Not to be shared by threads at one time."""

    def __init__(self, detector: Detector, embedder: Embedder, *, max_pixels: int) -> None:
        self.detector = detector
        self.embedder = embedder
        self.max_pixels = max_pixels

    def read(self, data: bytes, mode: Mode) -> Reading:
        """Find the faces in a photo.

        Args:
            data: The photo's bytes, of any format that is taken.
            mode: How hard to look.

        Returns:
            A reading; one without detections where no face was found.

        Raises:
            PhotoRefused: The bytes are no photo that can be used, with the reason.
        """
        return read(self.detector, data, mode, max_pixels=self.max_pixels)

    def read_all(self, photos: Sequence[bytes], mode: Mode) -> "list[Reading | PhotoRefused]":
        """As :meth:`read`, for many photos: a reading each, or why there is none."""
        return [self._read_or_not(data, mode) for data in photos]

    def each(self, work: Callable[[A], B], items: Iterable[A]) -> list[B]:
        """*work* done on each of *items*, in their order: here one after the other, where there are threads by them."""
        return [work(item) for item in items]

    def embed(self, stored: Sequence[Chip]) -> Vectors:
        """The vectors of *stored* chips, (n, dimension) float32 of norm 1, in their order; n may be 0.

        Raises:
            InvalidModel: One of *stored* is no chip.
        """
        return self.embedder.embed(self.each(self.embedder.crop, stored))

    def _read_or_not(self, data: bytes, mode: Mode) -> "Reading | PhotoRefused":
        try:
            return self.read(data, mode)
        except PhotoRefused as refused:
            return refused


def read(detector: Detector, data: bytes, mode: Mode, *, max_pixels: int) -> Reading:
    """Find the faces in a photo: what :meth:`FacePipeline.read` does, for those who have no model to embed them with.

    Raises:
        PhotoRefused: The bytes are no photo that can be used, with the reason.
    """
    started = time.perf_counter()
    decoded = decode.decode(data, max_pixels=max_pixels, want_px=WANT_PX[mode])
    between = time.perf_counter()
    reading = Reading(data, decoded, detect.look(detector, decoded, mode), max_pixels)
    reading.decode_s, reading.detect_s = between - started, time.perf_counter() - between
    return reading


def thumbnail(pixels: Pixels, long_side_px: int) -> bytes:
    """A photo's *pixels* as a JPEG of at most *long_side_px* on its long side, without metadata."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((long_side_px, long_side_px), Image.Resampling.BILINEAR, reducing_gap=2.0)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=_THUMBNAIL_QUALITY)
    return out.getvalue()


def recut(data: bytes, to_chip: NDArray[np.float64], landmarks: Points, *, max_pixels: int) -> Chip:
    """Cut a chip again as it was cut: the same pixels of the photo, the same way up.

    Args:
        data: The photo's bytes.
        to_chip: (2, 3), the map that is kept with the face, from full-resolution pixels of the photo to the chip's. A photo
            that was turned to find the face is turned again: the map says so.
        landmarks: In full-resolution pixels of the photo.
        max_pixels: Photos of more are refused.

    Raises:
        PhotoRefused: The bytes are no photo that can be used.
        DegenerateBox: The map is none that a chip was cut by.
    """
    decoded = decode.decode(data, max_pixels=max_pixels, want_px=WANT_PX[Mode.BALANCED])
    for quarter_turns in detect.TURNS:
        upright = to_chip @ np.vstack([_back(quarter_turns, decoded.width, decoded.height), [0, 0, 1]])
        (across, skew, _), (shear, down, _) = upright.tolist()
        if min(across, down) > 1e-9 and max(abs(skew), abs(shear)) < 1e-6 * min(across, down):
            break
    else:
        raise DegenerateBox("The map of the chip is none that chips are cut by.")
    side_x, side_y = chips.CHIP_PX / across, chips.CHIP_PX / down
    region = Box(-upright[0, 2] / across, -upright[1, 2] / down, side_x, side_y)
    box = chips.boxed(region)
    turned = detect.turned_by(decoded, quarter_turns)
    turned = _finer(data, turned, quarter_turns, box, max_pixels)
    place = Box(
        region.x / turned.scale_x, region.y / turned.scale_y, region.w / turned.scale_x, region.h / turned.scale_y
    )
    jpeg = chips.encode(chips.resample(turned.pixels, place, chips.CHIP_PX))
    return Chip(jpeg, to_chip, chips.mapped(to_chip, landmarks))


def _finer(data: bytes, turned: Decoded, quarter_turns: int, box: Box, max_pixels: int) -> Decoded:
    """*turned*, or the photo decoded finer and turned so, where *box* (full resolution, turned) is small and that helps."""
    side_px = np.sqrt(box.area / (turned.scale_x * turned.scale_y))
    if side_px >= _ENOUGH_PX or min(turned.scale_x, turned.scale_y) <= 1.05:
        return turned
    want_px = int(np.ceil(max(turned.pixels.shape) * _ENOUGH_PX / max(side_px, 1.0)))
    finer = decode.decode(data, max_pixels=max_pixels, want_px=want_px)
    pixels = np.ascontiguousarray(np.rot90(finer.pixels, quarter_turns))
    return Decoded(pixels, turned.width, turned.height, finer.format)


def _back(quarter_turns: int, width: int, height: int) -> NDArray[np.float64]:
    """The (2, 3) map from a photo after ``np.rot90(photo, quarter_turns)`` back to the photo, *width* by *height*."""
    maps = {
        0: [[1, 0, 0], [0, 1, 0]],
        1: [[0, -1, width], [1, 0, 0]],
        2: [[-1, 0, width], [0, -1, height]],
        3: [[0, 1, 0], [-1, 0, height]],
    }
    return np.array(maps[quarter_turns % 4], np.float64)


def _scaled(detection: Detection, x: float, y: float) -> Detection:
    return _moved(detection, np.array([[x, 0, 0], [0, y, 0]]))


def _moved(detection: Detection, by: NDArray[np.float64]) -> Detection:
    """*detection* under a (2, 3) map that keeps boxes upright."""
    box = detection.box
    corners = np.array([[box.x, box.y], [box.x + box.w, box.y + box.h]]) @ by[:, :2].T + by[:, 2]
    (x, y), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
    landmarks: Points = chips.mapped(by, detection.landmarks)
    return Detection(Box(x, y, right - x, bottom - y), landmarks, detection.score)

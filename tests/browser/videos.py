"""Videos for a camera that plays one: people cut out of photos who move, come closer and cross, written as Motion JPEG.

Chromium plays such a file in a loop at 30 frames a second (``--use-file-for-fake-video-capture``). Frames may bear their
number as a row of black and white squares in a corner, so that a page can be asked what it drew on which.
"""

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

WIDTH, HEIGHT, FPS = 640, 480, 30
BITS, SQUARE_PX = 12, 8
"""Of the number in the upper left corner, the lowest bit first."""

_BESIDE, _ABOVE = 0.5, 0.6
"""How much of the photo beside, above and below a face is cut out with it, in sides of the face's box."""
_JPEG_QUALITY = 88

Box = tuple[float, float, float, float]
"""x, y, width, height, in pixels."""
Path2 = Callable[[float], tuple[float, float, float]]
"""Where a face is at a share of the loop, in [0, 1): its centre's x and y, and the width of its box, in pixels of the video."""

EXAMPLES: dict[str, Box] = {
    "people/Barack Obama/1.jpg": (240, 53, 147, 210),
    "people/Barack Obama/2.jpg": (116, 139, 167, 243),
    "people/Eileen Collins/1.jpg": (177, 58, 91, 115),
    "people/Grace Hopper/1.jpg": (172, 114, 180, 216),
    "people/Joe Biden/1.jpg": (136, 51, 95, 133),
    "queries/one.jpg": (196, 81, 84, 105),
}
"""Where the face is in the photos of ``examples/``, as the detector finds it."""
IN_GROUP: dict[str, Box] = {
    "Barack Obama": (172, 84, 132, 170),
    "Joe Biden": (636, 85, 157, 219),
    "Eileen Collins": (1038, 72, 107, 135),
}
"""Where each face is in ``examples/queries/group.jpg``."""
IN_LFW: Box = (80, 66, 90, 118)
"""Where a face is in a photo of LFW: they are all cut alike, 250 by 250."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody in a video."""

    cut: Image.Image
    """RGBA, the face in its middle; what is around it fades out."""
    tall: float
    """Height of the face's box as a share of its width."""
    path: Path2

    def box(self, share: float) -> Box:
        """Where the face is at *share* of the loop."""
        x, y, width = self.path(share)
        return (x - width / 2, y - width * self.tall / 2, width, width * self.tall)


def actor(photo: Path, face: Box, path: Path2) -> Actor:
    """Whoever is in *photo* at the box *face*, who will go along *path*."""
    x, y, w, h = face
    left, top = round(x - _BESIDE * w), round(y - _ABOVE * h)
    region = (left, top, round(x + (1 + _BESIDE) * w), round(y + (1 + _ABOVE) * h))
    with Image.open(photo) as picture:
        whole = picture.convert("RGB")
    cut = whole.crop(region)
    mask = Image.new("L", cut.size, 0)
    rim = round(0.06 * cut.width)
    inside = (max(-left, 0), max(-top, 0), min(whole.width - left, cut.width), min(whole.height - top, cut.height))
    mask.paste(255, (inside[0] + rim, inside[1] + rim, inside[2] - rim, inside[3] - rim))
    round_mask = Image.new("L", cut.size, 0)
    ImageDraw.Draw(round_mask).ellipse(
        (0.05 * cut.width, 0.04 * cut.height, 0.95 * cut.width, 0.96 * cut.height), fill=255
    )
    soft = ImageChops.multiply(mask, round_mask).filter(ImageFilter.GaussianBlur(0.03 * cut.width))
    cut.putalpha(soft)
    return Actor(cut, h / w, path)


def standing(x: float, y: float, width: float, sway: float = 12.0, turns: int = 2) -> Path2:
    """Stays about one place, swaying by *sway* pixels, *turns* times a loop."""

    def path(share: float) -> tuple[float, float, float]:
        angle = 2 * math.pi * turns * share
        return x + sway * math.sin(angle), y + 0.3 * sway * math.cos(2 * angle), width

    return path


def walking(left: float, right: float, y: float, width: float, begin: float = 0.0) -> Path2:
    """From *left* to *right* and back in one loop, at an even pace but for the turns; *begin* is where in the loop it starts."""

    def path(share: float) -> tuple[float, float, float]:
        way = (share + begin) % 1.0
        # A triangle with rounded tips: an even pace, and no jump at the turns.
        at = 0.5 - math.asin(0.98 * math.cos(2 * math.pi * way)) / (2 * math.asin(0.98))
        return left + (right - left) * at, y, width

    return path


def approaching(x: float, y: float, far: float, near: float) -> Path2:
    """Comes closer and goes back: its face is *far* to *near* pixels wide."""

    def path(share: float) -> tuple[float, float, float]:
        way = 0.5 - 0.5 * math.cos(2 * math.pi * share)
        return x + 20 * math.sin(4 * math.pi * share), y, far + (near - far) * way

    return path


def frames(actors: Sequence[Actor], seconds: float, *, numbered: bool = False) -> list[Image.Image]:
    """The loop's frames; who is named last in *actors* stands in front."""
    count = round(seconds * FPS)
    ground = _ground()
    made = []
    for number in range(count):
        frame = ground.copy()
        for one in actors:
            x, y, width = one.path(number / count)
            scale = width * (1 + 2 * _BESIDE) / one.cut.width
            size = (round(one.cut.width * scale), round(one.cut.height * scale))
            cut = one.cut.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
            frame.paste(cut, (round(x - size[0] / 2), round(y - size[1] / 2)), cut)
        if numbered:
            _number(frame, number)
        made.append(frame)
    return made


def write(file: Path, actors: Sequence[Actor], seconds: float, *, numbered: bool = False) -> Path:
    """Write the video of *actors*; the file to start Chromium with."""
    with file.open("wb") as out:
        for frame in frames(actors, seconds, numbered=numbered):
            packed = io.BytesIO()
            frame.save(packed, "JPEG", quality=_JPEG_QUALITY)
            out.write(packed.getvalue())
    return file


def camera(file: Path) -> list[str]:
    """What Chromium is started with so that its camera plays *file*."""
    return [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={file}",
    ]


def _ground() -> Image.Image:
    """A room of sorts: light from above, a wall with some grain. Nothing in it looks like a face."""
    shade = np.linspace(185, 120, HEIGHT)[:, None] + np.linspace(-12, 12, WIDTH)[None, :]
    grain = np.random.default_rng(7).normal(0, 2.5, (HEIGHT, WIDTH))
    wall = np.clip(shade + grain, 0, 255)[:, :, None] * np.array([0.97, 1.0, 1.03])
    return Image.fromarray(np.clip(wall, 0, 255).astype(np.uint8))


def _number(frame: Image.Image, number: int) -> None:
    draw = ImageDraw.Draw(frame)
    for bit in range(BITS):
        x = bit * SQUARE_PX
        draw.rectangle((x, 0, x + SQUARE_PX - 1, SQUARE_PX - 1), fill="white" if number >> bit & 1 else "black")

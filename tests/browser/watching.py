"""What the live page drew on which frame of the video, and how that lies to where the faces are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page

from tests.browser.videos import BITS, SQUARE_PX, Actor, Box

_WATCH = """
([bits, square, reading]) => {
  const [video, stage] = [document.getElementById("video"), document.getElementById("stage")];
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  context.canvas.width = bits * square; context.canvas.height = square;
  const seen = { frames: [], answers: [], redraws: [] };
  window.watched = seen;
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) seen.answers.push({ at: one.startTime, ms: one.duration, faces: one.detail.faces });
  }).observe({ type: "measure" });
  let moved = false;
  new MutationObserver(() => { moved = true; })
    .observe(document.getElementById("boxes"), { attributeFilter: ["style"], subtree: true });
  const counting = () => {
    video.requestVideoFrameCallback(counting);
    seen.redraws.push(moved);
    moved = false;
  };
  video.requestVideoFrameCallback(counting);
  if (!reading) return;
  const frame = (now) => {
    video.requestVideoFrameCallback(frame);
    context.drawImage(video, 0, 0, bits * square, square, 0, 0, bits * square, square);
    const pixels = context.getImageData(0, 0, bits * square, square).data;
    let number = 0;
    for (let bit = 0; bit < bits; bit++) {
      if (pixels[4 * ((square >> 1) * bits * square + bit * square + (square >> 1)) + 1] > 127) number |= 1 << bit;
    }
    requestAnimationFrame(() => {  // After the page has drawn this frame's boxes.
      const scale = stage.clientWidth / video.videoWidth, mirrored = stage.hasAttribute("data-mirrored");
      const boxes = [...document.querySelectorAll("#boxes .box")].map((box) => {
        const [x, y] = box.style.transform.match(/-?[\\d.]+/g).map((value) => value / scale);
        const [w, h] = [parseFloat(box.style.width) / scale, parseFloat(box.style.height) / scale];
        return { x: mirrored ? video.videoWidth - x - w : x, y, w, h, state: box.dataset.state, name: box.textContent };
      });
      seen.frames.push({ number, at: now, boxes });
    });
  };
  video.requestVideoFrameCallback(frame);
}
"""


_ON_THE_FACE = 0.5
"""Widths of a face from its middle."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A box as it stood on the screen while a frame was shown."""

    frame: int
    box: Box
    """In pixels of the video."""
    state: str
    name: str


def watch(page: Page, *, reading: bool = True) -> None:
    """Note from now on how long the answers of *page* take and when it redraws; if it is to be *reading*, every box, too.

    Reading costs the page some time in each frame.
    """
    page.evaluate(_WATCH, [BITS, SQUARE_PX, reading])


def answers(page: Page) -> list[dict[str, Any]]:
    """Of each answer when its frame was captured, the milliseconds until it was on the screen, and its faces."""
    found: list[dict[str, Any]] = page.evaluate("() => watched.answers")
    return found


def redraws(page: Page) -> list[bool]:
    """Of each frame that the camera's picture showed, whether boxes were drawn in another place since the one before."""
    found: list[bool] = page.evaluate("() => watched.redraws")
    return found


def drawn(page: Page) -> list[list[Drawn]]:
    """The boxes of each frame that was shown."""
    frames = page.evaluate("() => watched.frames")
    return [
        [
            Drawn(frame["number"], (box["x"], box["y"], box["w"], box["h"]), box["state"], box["name"])
            for box in frame["boxes"]
        ]
        for frame in frames
    ]


def whose(box: Box, share: float, actors: Sequence[Actor]) -> int | None:
    """On whose face of *actors* the middle of *box* lies at *share* of the loop; None on nobody's, and where two hide each other."""
    places = [actor.path(share) for actor in actors]
    middle = (box[0] + box[2] / 2, box[1] + box[3] / 2)
    near = sorted((math.dist(middle, place[:2]) / place[2], number) for number, place in enumerate(places))
    (away, first), *others = near
    if away > _ON_THE_FACE:
        return None
    for _, other in others:
        if math.dist(places[first][:2], places[other][:2]) < 1.2 * max(places[first][2], places[other][2]):
            return None
    return first

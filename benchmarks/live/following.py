"""How boxes are brought from the answer's frame to that on the screen: three ways, on the same frames and the same answers.

Every frame of a film is searched in first. Then the page's own modules play it: each answer comes some frames after its frame
was taken, and where the boxes stand by then is compared with where the faces of that very frame are found.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import numpy as np
from PIL import Image
from playwright.sync_api import Page

from benchmarks.live.films import LOOP_S, Film
from benchmarks.machine import Row
from tests.browser import videos

WAYS = {
    "hold": "left where the answer found them",
    "pace": "moved on at their pace",
    "follow": "followed by their pattern",
}
_REDUCED = (160, 120)
_QUALITY = 80

_PLAY = """
async ([how, late, frames, threshold]) => {
  const from = document.querySelector('script[type="module"]').src;
  const { Tracks } = await import(new URL("live/tracks.js", from));
  const { Frames } = await import(new URL("live/follow.js", from));
  const kept = how === "follow" ? new Frames() : null, tracks = new Tracks(kept), period = 1000 / 30;
  const grey = frames.map((frame) => Uint8Array.from(atob(frame.grey), (letter) => letter.charCodeAt(0)));
  let asked = null, spent = 0;
  const shown = [];
  for (let n = 0; n < 2 * frames.length; n++) {
    const time = (n + 1) * period, here = n % frames.length, started = performance.now();
    kept?.add({ time, data: grey[here], width: 160, height: 120, scale: 0.25 });
    if (how !== "hold") tracks.frame(time);
    if (asked && n >= asked.n + late) { tracks.answer(asked.time, asked.faces, threshold); asked = null; }
    asked ??= { n, time, faces: frames[here].faces };
    spent += performance.now() - started;
    if (n >= frames.length) shown.push(tracks.shown().map((one) => one.box));
  }
  return { shown, ms: spent / (2 * frames.length) };
}
"""


def compared(page: Page, client: httpx.Client, film: Film, *, quick: bool) -> list[Row]:
    """Mean IoU of shown and found boxes by way and lateness, and what each way costs in a frame."""
    pictures = videos.frames(film.actors, LOOP_S)[: 45 if quick else 120]
    frames = [_searched(client, picture) for picture in pictures]
    rows = []
    for late in (3,) if quick else (3, 6):
        for how, way in WAYS.items():
            played = page.evaluate(_PLAY, [how, late, frames, frames[0]["threshold"]])
            iou = np.mean(
                [
                    _best(face["box"], shown)
                    for f, shown in zip(frames, played["shown"], strict=True)
                    for face in f["faces"]
                ]
            )
            case = f"{film.name}, answers {round(late * 1000 / videos.FPS)} ms late"
            rows += [Row(case, f"{way}, mean IoU", float(iou)), Row(case, f"{way}, ms a frame", float(played["ms"]))]
    return rows


def _searched(client: httpx.Client, picture: Image.Image) -> dict[str, Any]:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=_QUALITY)
    answer = client.post("/v1/search", params={"mode": "frame", "k": 3}, files={"photo": out.getvalue()}).json()
    small = np.asarray(picture.resize(_REDUCED, Image.Resampling.BILINEAR)).astype(np.uint16)
    grey = ((small[..., 0] + 2 * small[..., 1] + small[..., 2]) >> 2).astype(np.uint8)
    faces = [
        {"box": face["box"], "matches": [{**m["person"], "similarity": m["similarity"]} for m in face["matches"]]}
        for face in answer["faces"]
    ]
    return {"grey": base64.b64encode(grey.tobytes()).decode(), "faces": faces, "threshold": answer["threshold"]}


def _best(box: Mapping[str, float], shown: Sequence[Mapping[str, float]]) -> float:
    """IoU of *box* and whichever of *shown* lies best on it."""
    return max((_iou(box, other) for other in shown), default=0.0)


def _iou(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    across = min(a["x"] + a["w"], b["x"] + b["w"]) - max(a["x"], b["x"])
    down = min(a["y"] + a["h"], b["y"] + b["h"]) - max(a["y"], b["y"])
    if across <= 0 or down <= 0:
        return 0.0
    return across * down / (a["w"] * a["h"] + b["w"] * b["h"] - across * down)

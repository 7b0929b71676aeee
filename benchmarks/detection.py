"""Faces found in annotated photos, and how long it takes, by detector and mode.

``wider_sample``: 537 boxes, found at an IoU of 0.35 or more; settings were chosen on the odd photos (by place in
``annotations.json``). ``compreface_samples``: 46 noses, found in a box. Times are means of one pass on one core, photos
decoded.
"""

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import chains, datasets
from benchmarks.machine import Row, describe, finish, parser, pin
from workers.faces.decode import decode
from workers.faces.detect import Mode
from workers.faces.overlap import Edges, iou

LEAST_IOU = 0.35
_PEER = """
import json, sys, time, numpy as np
from PIL import Image
import torch
from facenet_pytorch import MTCNN
torch.set_num_threads(1)
net, found, seconds = MTCNN(keep_all=True), [], []
for path in sys.stdin.read().splitlines():
    picture = Image.open(path).convert("RGB")
    started = time.process_time(); boxes, _ = net.detect(picture); seconds.append(time.process_time() - started)
    found.append([] if boxes is None else np.asarray(boxes, float).tolist())
json.dump({"found": found, "seconds": seconds}, sys.stdout)
"""


def main() -> None:
    """Every detector in both modes, and the peer where its Python is given."""
    made = parser(__doc__)
    made.add_argument("--peer-python", type=Path, metavar="PATH", help="Python with facenet-pytorch and torch")
    asked = made.parse_args()
    machine, rows = describe(), []
    pin()
    wider = _annotations("wider_sample")[: 6 if asked.quick else None]
    photos = [datasets.DATA / "wider_sample" / str(row["file"]) for row in wider]
    peer_ms = None
    if asked.peer_python:
        told = subprocess.run(
            [str(asked.peer_python), "-c", _PEER],
            input="\n".join(map(str, photos)),
            capture_output=True,
            text=True,
            check=True,
        )
        answer = json.loads(told.stdout)
        boxes = [np.array(found, np.float32).reshape(-1, 4) for found in answer["found"]]
        rows += _counts("facenet-pytorch MTCNN", wider, boxes)
        peer_ms = 1000 * float(np.mean(answer["seconds"]))
        rows.append(Row("facenet-pytorch MTCNN", "ms a photo", peer_ms))
    pixels = [np.asarray(Image.open(photo).convert("RGB")) for photo in photos]
    for name, detector in chains.every_detector().items():
        for mode in Mode:
            case = f"{name} {mode}"

            def find(picture: NDArray[np.uint8], mode: Mode = mode, detector: object = detector) -> Edges:
                boxes = [d.box for d in detector.find(picture, mode)]  # type: ignore[attr-defined]
                return np.array([[b.x, b.y, b.x + b.w, b.y + b.h] for b in boxes], np.float32).reshape(-1, 4)

            find(pixels[0])
            started = time.process_time()
            found = [find(picture) for picture in pixels]
            ms = 1000 * (time.process_time() - started) / len(pixels)
            rows += _counts(case, wider, found)
            ratio = None if peer_ms is None else peer_ms / ms
            rows.append(Row(case, "ms a photo", ms, "facenet-pytorch" if peer_ms else None, peer_ms, ratio))
            if not asked.quick:
                rows += _noses(case, find)
    finish(rows, asked.json, machine=machine)


def _counts(case: str, annotated: Sequence[dict[str, object]], found: Sequence[Edges]) -> list[Row]:
    matched = [_matched(row["boxes"], boxes) for row, boxes in zip(annotated, found, strict=True)]  # type: ignore[arg-type]
    rows = []
    for part, chosen in {"all": slice(None), "odd": slice(0, None, 2), "even": slice(1, None, 2)}.items():
        hits = sum(hit for hit, _ in matched[chosen])
        rows.append(Row(case, f"wider_sample {part}: faces found", hits))
        rows.append(Row(case, f"wider_sample {part}: boxes without a face", sum(extra for _, extra in matched[chosen])))
    return rows


def _matched(boxes: Sequence[Sequence[float]], found: Edges) -> tuple[int, int]:
    """How many annotated boxes were found, and how many found ones are not annotated; each counts once."""
    wanted = np.array([[x, y, x + w, y + h] for x, y, w, h in boxes], np.float32).reshape(-1, 4)
    overlap, hits = iou(wanted, found), 0
    while overlap.size and overlap.max() >= LEAST_IOU:
        i, j = np.unravel_index(int(overlap.argmax()), overlap.shape)
        overlap[i], overlap[:, j] = -1, -1
        hits += 1
    return hits, len(found) - hits


def _noses(case: str, find: Callable[[NDArray[np.uint8]], Edges]) -> list[Row]:
    hits = extra = 0
    for row in _annotations("compreface_samples"):
        data = (datasets.DATA / "compreface_samples" / str(row["file"])).read_bytes()
        decoded = decode(data, max_pixels=chains.MAX_PIXELS, want_px=640)
        left = [box.tolist() for box in find(decoded.pixels)]
        for x, y in row["noses"]:  # type: ignore[attr-defined]
            at = (x / decoded.scale_x, y / decoded.scale_y)
            inside = [box for box in left if box[0] <= at[0] <= box[2] and box[1] <= at[1] <= box[3]]
            if inside:
                left.remove(inside[0])
                hits += 1
        extra += len(left)
    return [
        Row(case, "compreface_samples: noses of 46", hits),
        Row(case, "compreface_samples: boxes without a nose", extra),
    ]


def _annotations(name: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((datasets.DATA / name / "annotations.json").read_text("utf-8"))
    return found


if __name__ == "__main__":
    main()

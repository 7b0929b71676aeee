"""The face pipeline alone, without a service around it: what a service can at best be as fast as."""

import multiprocessing
import os
import time
from collections.abc import Sequence
from pathlib import Path

from workers.faces.detect import Detector, Mode, largest_central
from workers.faces.pipeline import FacePipeline
from workers.models import casia_webface, detectors

MAX_PIXELS = 50_000_000


def pipeline(models: Path, yunet: Path | None = None) -> FacePipeline:
    """The pipeline as a worker has it, from the bundle in *models*, with MTCNN or with the YuNet file given."""
    detector: Detector = detectors.mtcnn() if yunet is None else detectors.yunet_file(yunet)
    return FacePipeline(detector, casia_webface.build(models / "casia-webface").embedder("auto"), max_pixels=MAX_PIXELS)


def enrol(faces: FacePipeline, photo: bytes) -> None:
    """What an import does with a photo that has one label: find, take the largest central face, cut, embed."""
    reading = faces.read(photo, Mode.BALANCED)
    if reading.detections:
        chosen = reading.face(largest_central(reading.detections, reading.width, reading.height))
        faces.embed([chosen.chip])
        reading.thumbnail(320)


def look(faces: FacePipeline, photo: bytes) -> None:
    """What a search does with a photo: find all faces and embed them."""
    reading = faces.read(photo, Mode.BALANCED)
    faces.embed([reading.face(i).chip for i in range(len(reading.detections))])


def photos_a_second(photos: Sequence[bytes], models: Path, *, processes: int, yunet: Path | None = None) -> float:
    """Photos a second of :func:`enrol` over *photos*, dealt to that many processes, each warmed up first."""
    context = multiprocessing.get_context("spawn")
    ready, go = context.Barrier(processes + 1), context.Event()
    shares = [list(photos[n::processes]) for n in range(processes)]
    workers = [context.Process(target=_share, args=(share, models, yunet, ready, go)) for share in shares]
    for worker in workers:
        worker.start()
    ready.wait()
    started = time.perf_counter()
    go.set()
    for worker in workers:
        worker.join()
    return len(photos) / (time.perf_counter() - started)


def _share(photos: Sequence[bytes], models: Path, yunet: Path | None, ready: object, go: object) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    faces = pipeline(models, yunet)
    for photo in photos[:4]:
        enrol(faces, photo)
    ready.wait()  # type: ignore[attr-defined]
    go.wait()  # type: ignore[attr-defined]
    for photo in photos:
        enrol(faces, photo)

"""The whole path: photos a second from bytes to vectors, whether it agrees with the processor's, and what it does without memory."""

import gc
import io
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.gpu_pipeline.bench import CROP, MAX_PIXELS, PEER, Bench, peer_package
from benchmarks.gpu_pipeline.network import least
from benchmarks.machine import Row
from services.errors import PhotoRefused
from workers.faces.batches import BatchPipeline
from workers.faces.detect import Mode, largest_central
from workers.faces.embed import Embedder
from workers.faces.pipeline import FacePipeline, Reading
from workers.faces.values import Chip, Vectors
from workers.models import detectors, torch_session
from workers.models.torch_mtcnn import TorchMtcnn
from workers.models.torch_session import Precision

CHUNK = 256
_PHOTOS, _PEER_PHOTOS = 1024, 64


def whole(bench: Bench) -> Iterator[Row]:
    """Photos a second, the largest face of each embedded: read in chunks by us, one by one or in batches by facenet-pytorch."""
    pipeline = batched(bench, bench.best)
    finder, network = _peers(bench)
    for kind, held in bench.photos.items():
        photos = _over_and_over(held, 8 if bench.quick else _PHOTOS)
        few = _over_and_over(held, 4 if bench.quick else _PEER_PHOTOS)
        _one_chunk(pipeline, photos[: CHUNK // 4])
        started = time.perf_counter()
        stages: dict[str, float] = {}
        faces = sum(_one_chunk(pipeline, photos[i : i + CHUNK], stages) for i in range(0, len(photos), CHUNK))
        yield Row(f"ours, {bench.best}, {kind}", "photos/s", len(photos) / (time.perf_counter() - started))
        yield Row(f"ours, {bench.best}, {kind}", "with a face, %", 100 * faces / len(photos))
        for stage, taken_s in stages.items():
            yield Row(f"ours, {bench.best}, {kind}", f"{stage}, ms/photo", 1000 * taken_s / len(photos))
        for name, chain in (("one by one", _one_by_one), ("batched", _in_batches)):
            try:
                chain(finder, network, few[:2])
                started = time.perf_counter()
                faces = chain(finder, network, few)
            except Exception as error:  # noqa: BLE001 - Its batches take photos of one size only, and some fail.
                print(f"  {PEER}, {name}, {kind}: {type(error).__name__}: {error}", file=sys.stderr)
                continue
            yield Row(f"{PEER}, {name}, {kind}", "photos/s", len(few) / (time.perf_counter() - started))
            yield Row(f"{PEER}, {name}, {kind}", "with a face, %", 100 * faces / len(few))


def batched(bench: Bench, precision: Precision) -> BatchPipeline:
    """Our path on the device."""
    detector = TorchMtcnn(bench.device, each=bench.threads.map)
    return BatchPipeline(detector, embedder(bench, precision), max_pixels=MAX_PIXELS, threads=bench.threads)


def embedder(bench: Bench, precision: Precision) -> Embedder:
    """Our model on the device."""
    run = torch_session.network(bench.weights, precision=precision, device=bench.device)
    return Embedder(run, digest="", variant=precision, dimension=512, crop=CROP, agreement=1.0, batch=256)


def _one_chunk(pipeline: BatchPipeline, photos: Sequence[bytes], stages: dict[str, float] | None = None) -> int:
    """Read, cut and embed the largest face of each photo; how many have one."""
    at = [time.perf_counter()]
    readings = [r for r in pipeline.read_all(photos, Mode.BALANCED) if isinstance(r, Reading) and r.detections]
    at.append(time.perf_counter())
    cut = pipeline.each(_largest, readings)
    at.append(time.perf_counter())
    crops = pipeline.each(CROP.cut, cut)
    at.append(time.perf_counter())
    pipeline.embedder.embed(crops)
    at.append(time.perf_counter())
    if stages is not None:
        for name, begun, ended in zip(("decode and detect", "cut", "crop", "embed"), at, at[1:], strict=False):
            stages[name] = stages.get(name, 0.0) + ended - begun
    return len(readings)


def _largest(reading: Reading) -> Chip:
    return reading.face(largest_central(reading.detections, reading.width, reading.height)).chip


def _peers(bench: Bench) -> tuple[Any, Any]:
    """MTCNN and InceptionResnetV1 as facenet-pytorch's README makes them."""
    return peer_package().MTCNN(image_size=160, margin=0, device=torch.device(bench.device)), bench.peer()


def _one_by_one(finder: Any, network: Any, photos: Sequence[bytes]) -> int:  # noqa: ANN401 - facenet-pytorch has no types.
    faces = 0
    with torch.no_grad():
        for data in photos:
            crop = finder(Image.open(io.BytesIO(data)).convert("RGB"))
            if crop is not None:
                network(crop.unsqueeze(0).to(finder.device)).cpu().numpy()
                faces += 1
    return faces


def _in_batches(finder: Any, network: Any, photos: Sequence[bytes]) -> int:  # noqa: ANN401 - facenet-pytorch has no types.
    with torch.no_grad():
        crops = finder([Image.open(io.BytesIO(data)).convert("RGB") for data in photos])
        found = [crop for crop in crops if crop is not None]
        if found:
            network(torch.stack(found).to(finder.device)).cpu().numpy()
    return len(found)


def same(bench: Bench) -> Iterator[Row]:
    """The batched path in float32 beside the processor's, photo by photo."""
    there = batched(bench, "fp32")
    run = torch_session.network(bench.weights, precision="fp32", device="cpu")
    reference = Embedder(run, digest="", variant="fp32", dimension=512, crop=CROP, agreement=1.0)
    here = FacePipeline(detectors.mtcnn(), reference, max_pixels=MAX_PIXELS)
    for kind, held in bench.photos.items():
        photos = held[:32]
        expected, found = here.read_all(photos, Mode.BALANCED), there.read_all(photos, Mode.BALANCED)
        pairs = [(a, b) for a, b in zip(expected, found, strict=True) if not isinstance(a, PhotoRefused)]
        counts = [(len(a.detections), len(b.detections)) for a, b in pairs if isinstance(b, Reading)]
        yield Row(kind, "faces found by both", float(sum(min(pair) for pair in counts)))
        yield Row(kind, "photos with another number of faces", float(sum(a != b for a, b in counts)))
        both = [(a, b) for a, b in pairs if isinstance(b, Reading) and len(a.detections) == len(b.detections)]
        yield Row(kind, "largest difference of a box, px", max(_apart(a, b) for a, b in both))
        ours, theirs = (
            _vectors(side, pipeline) for side, pipeline in zip(zip(*both, strict=True), (here, there), strict=True)
        )
        yield Row(kind, "1 - least cosine", 1 - least(theirs, ours))


def _apart(a: Reading, b: Reading) -> float:
    """The largest difference of two readings' boxes, in pixels; their faces are in the same order."""
    here, there = (
        np.array([(d.box.x, d.box.y, d.box.w, d.box.h) for d in reading.detections]).reshape(-1, 4)
        for reading in (a, b)
    )
    return float(np.abs(here - there).max(initial=0.0))


def _vectors(readings: Sequence[Reading], pipeline: FacePipeline) -> Vectors:
    cut = [reading.face(i).chip for reading in readings for i in range(len(reading.detections))]
    return pipeline.embed(cut)


def without_memory(bench: Bench) -> Iterator[Row]:
    """Batches shrink where memory ends, and the results stay: a quarter of what a batch of 256 takes is left."""
    if bench.device == "cpu":
        return
    crops = bench.repeated(512)
    expected = embedder(bench, "fp32").embed(crops)
    for spare_mb in (1024, 384, 192):
        tight = embedder(bench, "fp32")
        with _spare(spare_mb):
            found = tight.embed(crops)
        yield Row(f"{spare_mb} MB to spare", "faces at once", float(tight.batch))
        yield Row(f"{spare_mb} MB to spare", "1 - least cosine", 1 - least(found, expected))
        del tight
    detector = TorchMtcnn("cuda")
    photos = [
        np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for held in bench.photos.values() for data in held
    ][-64:]
    with _spare(192):
        found_there = detector.find_many(photos, Mode.BALANCED)
    yield Row("192 MB to spare", "photos at once", float(detector.photos_at_once))
    yield Row("192 MB to spare", "faces found", float(sum(len(found) for found in found_there)))


@contextmanager
def _spare(spare_mb: int) -> Iterator[None]:
    """Leave this process so much of the GPU beside what it has."""
    gc.collect()
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + spare_mb * 2**20) / whole)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def _over_and_over(photos: Sequence[bytes], count: int) -> list[bytes]:
    return [photos[i % len(photos)] for i in range(count)]

"""What benchmarks.finetuning works on: chips, weights and views of photos in files that travel to any machine with torch."""

import argparse
import itertools
import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from workers.evaluation.metrics import Labels
from workers.faces.values import Chip
from workers.models import facenet_state
from workers.models.facenet_graph import CROP_PX, Weights
from workers.training import datasets
from workers.training.augmentation import Variation

CHIPS, WEIGHTS, VIEWS = "chips.npz", "casia.safetensors", "views.npy"


@dataclass(frozen=True, slots=True)
class Set:
    """Chips with the person each shows."""

    chips: Sequence[Chip]
    people: Labels


def read(folder: Path, name: str, most: int | None = None) -> Set:
    """A set of ``chips.npz``, or its first photos."""
    with np.load(folder / CHIPS) as held:
        jpeg, ends, people = held[f"{name}_jpeg"].tobytes(), held[f"{name}_ends"].tolist(), held[f"{name}_people"]
    starts = [0, *ends[:-1]]
    found = [Chip(jpeg[a:b], _NO_MAP, _NO_POINTS) for a, b in zip(starts, ends, strict=True)][:most]
    return Set(found, people[: len(found)])


_NO_MAP = np.zeros((2, 3))
_NO_POINTS = np.zeros((5, 2), np.float32)


def prepare(folder: Path) -> None:
    """Write chips of ``lfw_dev`` and Georgia Tech, and casia-webface's weights as half floats, to *folder*."""
    from benchmarks import chains  # noqa: PLC0415 - needs the detector, which runs elsewhere do not
    from benchmarks import datasets as photos  # noqa: PLC0415
    from workers.faces.detect import Mode  # noqa: PLC0415
    from workers.faces.pipeline import FacePipeline  # noqa: PLC0415

    model = chains.bundle()
    pipeline = FacePipeline(chains.every_detector()["MTCNN"], model.embedder("fp32"), max_pixels=chains.MAX_PIXELS)
    lfw, gt = photos.lfw(), photos.georgia_tech()
    named = {"lfw": (lfw.photos, lfw.people), "gt": (gt, np.array([int(p.parent.name[1:]) for p in gt], np.int64))}
    arrays: dict[str, NDArray[Any]] = {}
    for name, (paths, people) in named.items():
        readings = [pipeline.read(path.read_bytes(), Mode.BALANCED) for path in paths]
        jpegs = [r.face(chains.chosen(r)).chip.jpeg for r in readings if r.detections]
        found = np.array([bool(r.detections) for r in readings])
        arrays |= packed(name, jpegs, np.asarray(people)[found])
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / CHIPS, **arrays)  # type: ignore[arg-type]
    state = facenet_state.state_of(model.weights())
    halves = {name: array.astype(np.float16) for name, array in state.items()}
    safetensors.numpy.save_file(halves, folder / WEIGHTS)


def packed(name: str, jpegs: Sequence[bytes], people: Labels) -> dict[str, NDArray[Any]]:
    """Chips as three arrays of an npz file."""
    ends = np.cumsum([len(jpeg) for jpeg in jpegs])
    blob = np.frombuffer(b"".join(jpegs), np.uint8)
    return {f"{name}_jpeg": blob, f"{name}_ends": ends, f"{name}_people": people.astype(np.int64)}


def weights_of(path: Path) -> Weights:
    """Folded weights from a state dict of facenet-pytorch in any float type."""
    state = safetensors.numpy.load_file(path)
    return dict(facenet_state.network_of({name: array.astype(np.float32) for name, array in state.items()}).weights)


def _some_views(job: tuple[Path, Path, int | None, int, int, int]) -> None:
    folder, target, most, start, end, views = job
    lfw, out = read(folder, "lfw", most), np.load(target, mmap_mode="r+")
    for row in range(start, end):
        for number in range(views):
            out[number, row] = datasets.one_view(row, lfw.chips[row], number, 0, Variation())


def make_views(options: argparse.Namespace) -> None:
    """The views of all photos, once, for every process."""
    options.scratch.mkdir(parents=True, exist_ok=True)
    target = options.scratch / VIEWS
    if target.is_file():
        return
    photos = len(read(options.folder, "lfw", options.most).people)
    shape = (options.views, photos, CROP_PX, CROP_PX, 3)
    scratch = target.with_name("part.npy")
    np.lib.format.open_memmap(scratch, "w+", np.uint8, shape).flush()
    count = os.cpu_count() or 1
    bounds = np.linspace(0, photos, 4 * count + 1).astype(int).tolist()
    jobs = [(options.folder, scratch, options.most, a, b, options.views) for a, b in itertools.pairwise(bounds)]
    with multiprocessing.get_context("spawn").Pool(count) as pool:
        pool.map(_some_views, jobs, chunksize=1)
    scratch.rename(target)

"""What a training sees: the people it learns from, those it is judged on, and the views of their photos.

Views are taken through the stages that stay as they are once, before the first step; every step then costs only the stages
that are trained.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.errors import DiskFull, InvalidTraining
from workers.evaluation.metrics import Labels
from workers.faces import chips
from workers.faces.values import Chip, Pixels
from workers.models.facenet_graph import CROP_PX
from workers.training.augmentation import Variation, view
from workers.training.networks import Facenet

Rows = NDArray[np.int64]
Told = Callable[[int, int], None]

LEAST_HELD_OUT = 5
"""People with two photos without whom validation would say nothing: with fewer nobody is held out."""
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Parts:
    """Rows of a gallery by what they are for; no person is in both."""

    learnt: Rows
    held_out: Rows
    """Empty where there are too few people to hold any out."""


def parts(people: Labels, share: float, seed: int) -> Parts:
    """Hold a *share* of the people out, of those with two photos and more as of those with one.

    Raises:
        InvalidTraining: There is one person only, or nobody has two photos.
    """
    ids, counts = np.unique(people, return_counts=True)
    several, single = ids[counts > 1], ids[counts == 1]
    if len(ids) < 2:
        raise InvalidTraining(
            f"A training needs at least two people, of whom one has two photos; people with a face that was found: {len(ids)}."
        )
    if not len(several):
        raise InvalidTraining(
            f"None of the {len(ids)} people has two photos in which a face was found, so there is no pair to learn from. "
            "Add photos of at least one of them."
        )
    random = np.random.default_rng([seed, len(ids)])
    several, single = random.permutation(several), random.permutation(single)
    held = round(share * len(several))
    chosen = np.concatenate([several[:held], single[: round(share * len(single))]])
    out = np.isin(people, chosen) if held >= LEAST_HELD_OUT else np.zeros(len(people), bool)
    return Parts(np.flatnonzero(~out), np.flatnonzero(out))


def drawn(people: Labels, most: int, seed: int) -> Rows:
    """The rows that are used where there are more than *most*: as many of each person as fit, but at least two, rising.

    With more people than fit even so, those with two photos and more come first.
    """
    if len(people) <= most:
        return np.arange(len(people))
    random = np.random.default_rng([seed, len(people)])
    rows = [random.permutation(np.flatnonzero(people == person)) for person in random.permutation(np.unique(people))]
    counts = np.array([len(mine) for mine in rows])
    each = max((n for n in range(2, int(counts.max()) + 1) if np.minimum(counts, n).sum() <= most), default=2)
    rows.sort(key=lambda mine: len(mine) == 1)
    return np.sort(np.concatenate([mine[:each] for mine in rows])[:most])


class Features:
    """Views of photos as they come to the first trained stage: (views, n, …)."""

    def __init__(self, held: NDArray[Any] | Tensor, device: torch.device) -> None:
        self._held, self._device = held, device
        self.views, self.photos = int(held.shape[0]), int(held.shape[1])

    def among(self, photos: Rows) -> "Features":
        """Those of some photos, in memory."""
        return Features(self._held[:, photos], self._device)

    def take(self, views: Rows, photos: Rows) -> Tensor:
        """(b, …) float32 on the device; of crops, uint8."""
        if isinstance(self._held, Tensor):
            where = torch.from_numpy(views).to(self._device), torch.from_numpy(photos).to(self._device)
            found = self._held[where]
        else:
            found = torch.from_numpy(self._held[views, photos]).to(self._device)
        return found if found.dtype == torch.uint8 else found.float()


def features(
    facenet: Facenet,
    faces: Sequence[Chip],
    *,
    views: int,
    seed: int,
    variation: Variation,
    folder: Path | None,
    told: Told,
) -> Features:
    """The views of *faces* through the stages of *facenet* that are not trained.

    View 0 is the crop as the model sees it, view 1 that mirrored, the others vary. On a CPU they are kept as half floats in a
    file of *folder*, which the same training finds again; on a GPU in its memory.

    Args:
        facenet: With its device.
        faces: (n) chips, n at least 1.
        views: Of each.
        seed: Of the varied views.
        variation: How far these go.
        folder: None keeps all in memory.
        told: Told how many views are done, of how many. May raise.

    Raises:
        DiskFull: There is no room for them.
    """
    kept = None if folder is None or facenet.device.type == "cuda" else folder
    key = [facenet.digest, facenet.first_trained, views, seed, asdict(variation), _digest(faces)]
    name = f"features-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}.npy"
    if kept is not None and (kept / name).is_file():
        return Features(np.load(kept / name, mmap_mode="r"), facenet.device)

    def work(batch: tuple[int, int]) -> NDArray[Any] | Tensor:
        number, start = batch
        some = faces[start : start + _AT_ONCE]
        made = [one_view(start + i, chip, number, seed, variation) for i, chip in enumerate(some)]
        return facenet.through(np.stack(made))

    held: NDArray[Any] | Tensor | None = None
    batches = [(number, start) for number in range(views) for start in range(0, len(faces), _AT_ONCE)]
    threads = ThreadPoolExecutor(os.cpu_count())
    try:
        for done, ((number, start), through) in enumerate(zip(batches, threads.map(work, batches), strict=True), 1):
            if held is None:
                held = _room(through, (views, len(faces), *through.shape[1:]), kept and kept / f"{name}.part")
            held[number, start : start + len(through)] = through
            told(done, len(batches))
    finally:
        threads.shutdown(cancel_futures=True)
    assert held is not None
    if kept is not None:
        (kept / f"{name}.part").rename(kept / name)
    return Features(held, facenet.device)


def crop(chip: Chip) -> Pixels:
    """(160, 160, 3) uint8, RGB: what FaceNet sees of *chip*."""
    return chips.central(chips.decode(chip.jpeg), CROP_PX)


def one_view(row: int, chip: Chip, number: int, seed: int, variation: Variation) -> Pixels:
    """View *number* of the photo *row*: 0 is the crop as the model sees it, 1 that mirrored, the others vary."""
    if number == 0:
        return crop(chip)
    if number == 1:
        return crop(chip)[:, ::-1]
    return view(chips.decode(chip.jpeg), CROP_PX, np.random.default_rng([seed, row, number]), variation)


def _room(like: NDArray[Any] | Tensor, shape: tuple[int, ...], target: Path | None) -> NDArray[Any] | Tensor:
    """Where all views go: on the device of *like*, in memory, or in the file *target*."""
    if isinstance(like, Tensor):
        return torch.empty(shape, dtype=like.dtype, device=like.device)
    if target is None:
        return np.empty(shape, like.dtype)
    target.parent.mkdir(parents=True, exist_ok=True)
    needed = int(np.prod(shape)) * like.dtype.itemsize
    if shutil.disk_usage(target.parent).free < needed:
        raise DiskFull(
            f"There is no room in {target.parent} for {needed:,} bytes of intermediate results. Free some, or train with "
            "fewer views or photos (views, most_photos)."
        )
    return np.lib.format.open_memmap(target, "w+", like.dtype, shape)


def _digest(faces: Sequence[Chip]) -> str:
    hashed = hashlib.sha256()
    for face in faces:
        hashed.update(hashlib.sha256(face.jpeg).digest())
    return hashed.hexdigest()

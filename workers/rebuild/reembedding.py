"""Re-embedding: what another model says of faces whose chips are stored. Nothing is detected, and no photo opened.

But where a chip is gone or damaged: it is cut from the raw photo as it was cut before, and stored again.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from services.catalog import models
from services.catalog.rebuilding import carrying, chunks, findings
from services.catalog.rebuilding.carrying import Chipped, NoLongerWanted, Vector
from services.catalog.rebuilding.chunks import Held
from services.catalog.schema import Generation
from services.catalog.tables.rebuild import Rebuild
from services.errors import DegenerateBox, InvalidModel, PhotoRefused
from services.logs import logger
from services.vault import Vault
from workers.faces import chips
from workers.faces.pipeline import FacePipeline, recut
from workers.faces.values import Chip, Pixels
from workers.ingestion import JPEG, Tools
from workers.serving.following import VECTOR

AT_ONCE = 16
"""Chips fetched while as many others are embedded; on a GPU, as many as it takes at once."""

A = TypeVar("A")
B = TypeVar("B")


@dataclass(slots=True)
class Embedded:
    """The vectors of faces under one model, and of whom there are none."""

    vectors: dict[int, Vector] = field(default_factory=dict)
    """By the face's number."""
    lost: list[tuple[Chipped, str]] = field(default_factory=list)
    """Faces whose chip is ``missing`` or ``unreadable``, and cannot be cut again."""


def reembed(held: Held, generation: Generation, tools: Tools) -> None:
    """Bring the faces of a chunk into *generation*. What it has already of them, or of whom it was deleted, is passed over.

    Raises:
        NoLongerWanted: The generation was dropped, or the chunk is somebody else's by now; nothing was written.
        Unavailable: Catalog or photo store are away; nothing was written.
    """
    with tools.catalog.reading() as session:
        wanted = carrying.lacking(session, held.rebuild_id, generation, held.first_id, held.last_id)
        digest = models.by_id(session, generation.model_id).digest
    made = (
        Embedded(lost=[(face, findings.CRASHED) for face in wanted])
        if held.crashed
        else of_stored(wanted, digest, tools)
    )
    tools.passed("embedded")
    with tools.catalog.transaction() as session:
        changes = carrying.embedded(session, generation, wanted, made.vectors)
        rebuild = session.get_one(Rebuild, held.rebuild_id)
        for face, kind in made.lost:
            findings.note(session, rebuild, kind, photo=face.photo_id, face=face.public_id, object_key=face.chip_key)
        carrying.logged(session, [generation], changes)
        if not chunks.finish(session, held, faces=len(changes)):
            raise NoLongerWanted
    tools.passed("committed")


def of_stored(wanted: Sequence[Chipped], digest: str, tools: Tools, *, restore: bool = True) -> Embedded:
    """What the model *digest* says of the stored chips of faces; with *restore* those that are lost are cut again.

    Raises:
        PhotoStoreUnavailable: The store does not answer.
    """
    pipeline, variant = tools.models.pipeline(digest, None), tools.models.embedder(digest).variant
    made = Embedded()
    size = max(AT_ONCE, pipeline.embedder.batch)
    first = min(size, pipeline.embedder.batch)  # So that it is not waited for long.
    parts = [wanted[:first], *(wanted[start : start + size] for start in range(first, len(wanted), size))]
    for part, stored in _ahead(lambda some: _stored(some, tools.store), parts):
        crops = pipeline.each(lambda one: _crop(pipeline, *one), zip(part, stored, strict=True))
        for n, (face, jpeg) in enumerate(zip(part, stored, strict=True)):
            if crops[n] is None and restore:
                crops[n] = _again(face, pipeline, tools.store)
            if crops[n] is None:
                made.lost.append((face, findings.MISSING if jpeg is None else findings.UNREADABLE))
        seen = [(face, crop) for face, crop in zip(part, crops, strict=True) if crop is not None]
        vectors = pipeline.embedder.embed([crop for _, crop in seen])
        for (face, _), vector in zip(seen, vectors.astype(VECTOR), strict=True):
            made.vectors[face.face_id] = Vector(vector.tobytes(), variant)
    return made


def _stored(faces: Sequence[Chipped], store: Vault) -> list[bytes | None]:
    return store.get_many([face.chip_key for face in faces], damaged=b"")


def _crop(pipeline: FacePipeline, face: Chipped, jpeg: bytes | None) -> Pixels | None:
    """What the model sees of a stored chip; None where it is missing or no chip."""
    if jpeg is None:
        return None
    to_chip = np.array(face.chip_map, np.float64)
    chip = Chip(jpeg, to_chip, chips.mapped(to_chip, np.array(face.landmarks, np.float32)))
    try:
        return pipeline.embedder.crop(chip)
    except (InvalidModel, OSError, SyntaxError, ValueError):  # What Pillow raises of bytes that are no picture.
        return None


def _again(face: Chipped, pipeline: FacePipeline, store: Vault) -> Pixels | None:
    """What the model sees of a chip that is cut anew from the raw photo, and stored; None where that cannot be done."""
    [photo] = store.get_many([face.photo_key])
    if photo is None:
        return None
    to_chip, landmarks = np.array(face.chip_map, np.float64), np.array(face.landmarks, np.float32)
    try:
        chip = recut(photo, to_chip, landmarks, max_pixels=pipeline.max_pixels)
    except (PhotoRefused, DegenerateBox) as error:
        logger().warning("chip.not_cut_again", face=face.public_id, reason=str(error))
        return None
    store.put(face.chip_key, chip.jpeg, content_type=JPEG)
    return pipeline.embedder.crop(chip)


def _ahead(work: Callable[[A], B], parts: Sequence[A]) -> Iterator[tuple[A, B]]:
    """Each of *parts* with what *work* makes of it, which is done for the next while the caller is busy with one."""
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        coming = [thread.submit(work, part) for part in parts[:1]]
        for n, part in enumerate(parts):
            ready = coming.pop().result()
            coming = [thread.submit(work, following) for following in parts[n + 1 : n + 2]]
            yield part, ready

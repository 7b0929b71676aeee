"""Preparing: what is to be written for each photo that was taken in. It reads and computes, and writes nothing."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from services.catalog import models, photos
from services.catalog.engine import Catalog
from services.catalog.importing.claims import Outcome, Work
from services.catalog.schema import Collection, Face, new_id
from services.errors import PhotoRefused
from services.rejections import Rejection
from services.vault import Vault
from workers.faces.detect import Mode, largest_central
from workers.faces.pipeline import FacePipeline, Reading
from workers.faces.values import Box
from workers.faces.values import Face as Cut
from workers.models.registry import Registry

LEAST_FACE_PX = 16.0
"""Mean side of a face's box below which there is nothing to recognise it by."""
LEAST_QUALITY = 0.02
_SAME_FACE = 0.5
_TRIED_AGAIN = {Rejection.NO_FACE, Rejection.LOW_QUALITY, Rejection.FACE_TOO_SMALL, Rejection.CRASHED_WORKER}

_Photo = tuple[Work, Face | None, bytes | None]
"""What is asked, the face that is there already and is to be found again, and the photo's bytes if the store has them."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen in a photo and what of it is kept."""

    reading: Reading
    rule: str
    """The detection rule."""
    chosen: int
    """Which detection is the labelled person's, or the one face that is kept."""
    cuts: dict[int, Cut]
    """Faces that get chip and embedding, by their place in the detections."""
    public_ids: dict[int, str]
    """The public ids of these faces, chosen before anything is stored under them."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An item and how it is to end."""

    work: Work
    outcome: Outcome
    look: Look | None = None
    existing: Face | None = None
    """A face that is there already and is to be the labelled person's."""
    reading: Reading | None = None
    """Of a photo that could be read and is rejected all the same: people are shown what it was."""
    waits: bool = field(default=False)
    """Another item of the same chunk has the same bytes."""


def prepare(work: Sequence[Work], catalog: Catalog, store: Vault, registry: Registry) -> list[Prepared]:
    """Read and look at every photo that needs it; the others are judged by what is known of them."""
    prepared: list[Prepared] = []
    under_way: list[tuple[Work, Face | None]] = []
    for mine in work:
        decided = _by_what_is_known(mine, catalog)
        if decided is not None and not _needs_a_look(decided):
            prepared.append(decided)
        elif any(mine.photo.id == other.photo.id for other, _ in under_way):
            prepared.append(Prepared(mine, Outcome("waiting"), waits=True))
        else:
            under_way.append((mine, decided.existing if decided is not None else None))
    stored = store.get_many([mine.photo.object_key for mine, _ in under_way])
    used_by = {
        c.id: _used_by(c, catalog) for c in {mine.collection.id: mine.collection for mine, _ in under_way}.values()
    }
    by_models: dict[tuple[str, str | None, Mode], list[_Photo]] = defaultdict(list)
    for (mine, existing), data in zip(under_way, stored, strict=True):
        mode = Mode.BALANCED if mine.item.box is None else Mode.THOROUGH
        by_models[(*used_by[mine.collection.id], mode)].append((mine, existing, data))
    for (model, detector, mode), photos_of in by_models.items():
        prepared += _look_at_all(photos_of, registry.pipeline(model, detector), mode)
    return prepared


def _needs_a_look(decided: Prepared) -> bool:
    return decided.existing is not None and decided.existing.chip_key is None


def _by_what_is_known(work: Work, catalog: Catalog) -> Prepared | None:
    """The end of an item whose photo was worked on before; None where the photo has to be looked at.

    A done photo under another name: an unassigned face is assigned when there is exactly one candidate (the one with a
    chip, where one has). A candidate that was kept as a box is worked like a new one.
    """
    if work.item.labelled and work.person is None:
        return Prepared(work, Outcome("rejected", Rejection.PERSON_ERASED, "The person was erased meanwhile."))
    photo = work.photo
    if photo.state == "rejected" and photo.reason not in _TRIED_AGAIN and not _is_asked_otherwise(work):
        return Prepared(work, Outcome("rejected", Rejection(photo.reason or ""), "The same bytes were refused before."))
    if photo.state != "done":
        return None
    with catalog.reading() as session:
        known = photos.faces_of(session, photo)
    if work.person is None or any(face.person_id == work.person.id for face in known):
        return Prepared(work, Outcome("duplicate", faces=len(known)))
    free = [face for face in known if face.person_id is None]
    if work.item.box is not None:
        meant = Box(*work.item.box)
        free = [face for face in free if _overlap(Box(*face.box), meant) >= _SAME_FACE]
    with_chip = [face for face in free if face.chip_key is not None]
    candidates = with_chip if len(with_chip) == 1 else free
    if len(candidates) != 1:
        detail = "The same photo was imported before, and its faces are somebody else's."
        return Prepared(work, Outcome("rejected", Rejection.OTHER_PERSON, detail))
    return Prepared(work, Outcome("done", faces=len(known)), existing=candidates[0])


def _is_asked_otherwise(work: Work) -> bool:
    """Whether a photo of several faces is told by now which of them is meant."""
    is_told = work.item.box is not None or work.job.faces != "reject"
    return work.photo.reason == Rejection.SEVERAL_FACES and is_told


def _used_by(collection: Collection, catalog: Catalog) -> tuple[str, str | None]:
    """Digests of a collection's active embedder and of its detector."""
    with catalog.reading() as session:
        assert collection.model_id is not None, "Collections have a model once `prepare` has run."
        model = models.by_id(session, collection.model_id).digest
        if collection.detector_id is None:
            return model, None
        return model, models.by_id(session, collection.detector_id).digest


def _look_at_all(photos_of: Sequence[_Photo], pipeline: FacePipeline, mode: Mode) -> list[Prepared]:
    """Find, choose and cut the faces of photos that are looked at with the same models."""
    readings = iter(pipeline.read_all([data for *_, data in photos_of if data is not None], mode))
    seen = [(work, existing, None if data is None else next(readings)) for work, existing, data in photos_of]
    return pipeline.each(lambda one: _look(*one, pipeline.detector.rule), seen)


def _look(work: Work, existing: Face | None, reading: Reading | PhotoRefused | None, rule: str) -> Prepared:
    """Choose and cut the faces of one photo."""
    if reading is None:
        detail = "The photo store does not have the photo's bytes. Import it again."
        return Prepared(work, Outcome("rejected", Rejection.MISSING_OBJECT, detail))
    try:
        if isinstance(reading, PhotoRefused):
            raise reading
        chosen = _choose(reading, work, existing)
        kept = range(len(reading.detections)) if work.job.faces == "all" and existing is None else [chosen]
        cuts = {i: reading.face(i) for i in kept}
        _judge(cuts[chosen])
    except PhotoRefused as error:
        seen = None if isinstance(reading, PhotoRefused) else reading
        return Prepared(work, Outcome("rejected", error.reason, str(error)), existing=existing, reading=seen)
    found = len(reading.detections)
    note = f"{found} faces; the largest central one was taken." if found > 1 and len(cuts) == 1 else None
    look = Look(reading, rule, chosen, cuts, {i: new_id("fac") for i in cuts})
    return Prepared(work, Outcome("done", detail=note, faces=found), look, existing)


def _choose(reading: Reading, work: Work, existing: Face | None) -> int:
    found = reading.detections
    if not found:
        raise PhotoRefused(Rejection.NO_FACE, "No face was found, upright or turned.")
    if existing is not None or work.item.box is not None:
        meant = Box(*(work.item.box or []) if existing is None else existing.box)
        overlaps = [_overlap(detection.box, meant) for detection in found]
        if max(overlaps) >= _SAME_FACE:
            return int(np.argmax(overlaps))
        if existing is None:
            raise PhotoRefused(Rejection.NO_FACE, "No face was found in the box that was given.")
        raise PhotoRefused(Rejection.OTHER_PERSON, "The face that is not somebody else's was not found again.")
    if len(found) > 1 and work.job.faces == "reject":
        raise PhotoRefused(Rejection.SEVERAL_FACES, f"{len(found)} faces were found, and one was asked for.")
    return largest_central(found, reading.width, reading.height)


def _judge(cut: Cut) -> None:
    box = cut.detection.box
    if (side_px := (box.area) ** 0.5) < LEAST_FACE_PX:
        raise PhotoRefused(Rejection.FACE_TOO_SMALL, f"The face has {side_px:.0f} pixels a side; use a closer photo.")
    if cut.quality.value < LEAST_QUALITY:
        raise PhotoRefused(Rejection.LOW_QUALITY, "The face is too blurred, dark or turned away to be recognised by.")


def _overlap(a: Box, b: Box) -> float:
    across = min(a.x + a.w, b.x + b.w) - max(a.x, b.x)
    down = min(a.y + a.h, b.y + b.h) - max(a.y, b.y)
    shared = max(across, 0.0) * max(down, 0.0)
    return shared / (a.area + b.area - shared)

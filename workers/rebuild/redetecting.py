"""Looking again at photos with another detector: the faces of before are found again by overlap, and stay who they are.

A photo's faces get rows in the new round, beside those that are searched. A face that is found again continues there under its
public id, with its person and a chip of its own; one that is not, or not for certain, is kept as it was and listed. What is
new becomes a box, or a face of nobody where every face of the photo was kept.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from services.catalog import faces, generations, models
from services.catalog.engine import Catalog
from services.catalog.rebuilding import carrying, chunks, findings
from services.catalog.rebuilding.carrying import Chipped, NoLongerWanted, Vector
from services.catalog.rebuilding.chunks import Held
from services.catalog.schema import Collection, Face, Generation, Photo
from services.catalog.tables.rebuild import Rebuild
from services.errors import DegenerateBox, PhotoRefused
from services.logs import logger
from services.photos import keys
from workers.faces.detect import Mode
from workers.faces.pipeline import Reading
from workers.faces.refinding import overlap, refind
from workers.faces.values import Box
from workers.ingestion import JPEG, Tools
from workers.rebuild import redetected, reembedding
from workers.rebuild.redetected import Before, Made, Seen, Whole
from workers.serving.following import VECTOR

_THE_SAME = 0.95
"""IoU of two looks at one face by the same detector, or more."""


class _Changed(Exception):
    """A face of these photos was changed by somebody else, or another generation became live: look again."""


@dataclass(slots=True)
class _Read:
    """A chunk's photos and what is known of their faces, as of one moment."""

    photos: Sequence[Photo]
    before: dict[int, Before]
    """By photo."""
    live: Sequence[Generation]
    digests: dict[int, str]
    """Of the models of all that are live, and of the detector."""
    all_whole: set[int]
    """Photos every face of which gets a chip."""


def redetect(held: Held, generation: Generation, tools: Tools) -> None:
    """Bring the faces of a chunk of photos into the round of *generation*. A photo that is there already stays as it is.

    Raises:
        NoLongerWanted: The generation was dropped, or the chunk is somebody else's by now; nothing was written.
        Unavailable: Catalog or photo store are away; nothing was written.
    """
    while True:
        try:
            _redetect(held, generation, tools)
        except _Changed:
            logger().info("photos.changed_meanwhile", rebuild=held.rebuild_id, chunk=held.chunk_id)
            continue
        tools.passed("committed")
        return


def _redetect(held: Held, generation: Generation, tools: Tools) -> None:
    read = _read(held, generation, tools.catalog)
    seen = _seen(held, generation, read, tools)
    made = _embedded(seen, generation, read, tools)
    tools.passed("embedded")
    photos = {whole.chip_key: one.photo.id for one in seen for whole in one.wholes}
    store = [(whole.chip_key, whole.cut.chip.jpeg) for one in seen for whole in one.wholes]
    tools.store.put_many(store, photos=photos, content_type=JPEG)
    tools.passed("chips stored")
    mine = [each for each in read.live if each.round == generation.round]
    with tools.catalog.transaction() as session:
        now = carrying.rows_of(session, list(read.before), locked=True)
        rebuild = session.get_one(Rebuild, held.rebuild_id)
        changes, count = [], 0
        for one in seen:
            rows = now.get(one.photo.id)
            if rows is None:
                continue  # The photo was deleted.
            if not one.before.is_as(rows):
                raise _Changed
            written = redetected.write(session, one, rows, [each.model_id for each in mine], made)
            redetected.note(session, rebuild, one, made)
            changes += written.changes
            count += written.faces
        if set(carrying.logged(session, mine or [generation], changes)) != {each.id for each in read.live}:
            raise _Changed
        if not chunks.finish(session, held, faces=count):
            raise NoLongerWanted


def _read(held: Held, generation: Generation, catalog: Catalog) -> _Read:
    with catalog.reading() as session:
        photos = carrying.photos(session, generation.collection_id, held.first_id, held.last_id)
        active = session.get_one(Collection, generation.collection_id).round
        noted = findings.kept_faces(session, held.rebuild_id, [photo.public_id for photo in photos])
        rows = carrying.rows_of(session, [photo.id for photo in photos])
        live = generations.live_of(session, generation.collection_id)
        numbers = {number for each in live for number in (each.model_id, each.detector_id) if number is not None}
        return _Read(
            photos=photos,
            before={n: Before.of(found, active, generation.round, noted) for n, found in rows.items()},
            live=live,
            digests={number: models.by_id(session, number).digest for number in numbers},
            all_whole=carrying.taken_whole(session, list(rows)),
        )


def _seen(held: Held, generation: Generation, read: _Read, tools: Tools) -> list[Seen]:
    """Look at the photos that have faces to be found again."""
    wanted = [photo for photo in read.photos if photo.id in read.before and read.before[photo.id].old]
    seen = [Seen(photo, read.before[photo.id]) for photo in wanted]
    if held.crashed:
        return [_as_it_was(one, findings.CRASHED) for one in seen]
    detector = None if generation.detector_id is None else read.digests.get(generation.detector_id)
    pipeline = tools.models.pipeline(read.digests[generation.model_id], detector)
    stored = tools.store.get_many([photo.object_key for photo in wanted])
    readings = iter(pipeline.read_all([data for data in stored if data is not None], Mode.BALANCED))
    there = [None if data is None else next(readings) for data in stored]
    rule = pipeline.detector.rule

    def looked(one: Seen, reading: Reading | PhotoRefused | None) -> Seen:
        if reading is None:
            return _as_it_was(one, findings.MISSING)
        if isinstance(reading, PhotoRefused):
            return _as_it_was(one, findings.UNREADABLE)
        one.rule = rule
        return _found(one, reading, generation, all_whole=one.photo.id in read.all_whole)

    return pipeline.each(lambda pair: looked(*pair), zip(seen, there, strict=True))


def _as_it_was(one: Seen, trouble: str) -> Seen:
    """Keep every face of a photo that cannot be looked at."""
    one.trouble, one.kept = trouble, list(one.before.old)
    return one


def _found(one: Seen, reading: Reading, generation: Generation, *, all_whole: bool) -> Seen:
    """Say which detection is which face of before, and cut those that get a chip."""
    done = {n for n, detection in enumerate(reading.detections) if _is_any_of(detection.box, one.before.done)}
    free = [n for n in range(len(reading.detections)) if n not in done]
    old = one.before.old
    refound = refind(
        [Box(*face.box) for face in old],
        [face.chip_key is not None for face in old],
        [reading.detections[n].box for n in free],
    )
    for place, face in enumerate(old):
        if place not in refound.found:
            one.kept.append(face)
        elif face.chip_key is None:
            one.boxes.append((face, reading.detections[free[refound.found[place]]]))
        else:
            _continue(one, face, reading, free[refound.found[place]], generation)
    public_ids = {n: faces.new_public_id() for candidates in refound.ambiguous.values() for n in candidates}
    for n in range(len(free)):
        if n not in refound.taken or n in public_ids:
            _add(one, reading, free[n], public_ids.get(n), generation, is_whole=all_whole or n in public_ids)
    cut = {whole.public_id for whole in one.wholes}
    for place, candidates in refound.ambiguous.items():
        one.ambiguous[old[place].public_id] = [public_ids[n] for n in candidates if public_ids[n] in cut]
    return one


def _continue(one: Seen, face: Face, reading: Reading, n: int, generation: Generation) -> None:
    try:
        cut = reading.face(n)
    except DegenerateBox:
        one.kept.append(face)
        return
    # The number of a generation is never used twice, so nobody is about to remove a chip of this name.
    key = keys.chip(generation.collection_id, f"{face.public_id}.{generation.id}")
    one.wholes.append(Whole(face.public_id, key, cut, face))


def _add(one: Seen, reading: Reading, n: int, public_id: str | None, generation: Generation, *, is_whole: bool) -> None:
    """A new face: whole where it is asked for and can be cut, else a box."""
    if is_whole:
        with suppress(DegenerateBox):
            public_id = public_id or faces.new_public_id()
            one.wholes.append(Whole(public_id, keys.chip(generation.collection_id, public_id), reading.face(n), None))
            return
    one.boxes.append((None, reading.detections[n]))


def _is_any_of(box: Box, rows: Sequence[Face]) -> bool:
    """Whether a detection is one that has its row already."""
    return bool(rows) and float(overlap([box], [Box(*row.box) for row in rows]).max()) > _THE_SAME


def _embedded(seen: Sequence[Seen], generation: Generation, read: _Read, tools: Tools) -> Made:
    """What the models of the round say of every chip that is written, and of new faces the other live ones too."""
    made = Made()
    mine = {each.model_id for each in read.live if each.round == generation.round}
    wholes = [whole for one in seen for whole in one.wholes]
    for model_id in sorted({each.model_id for each in read.live}):
        some = [whole for whole in wholes if model_id in mine or whole.old is None]
        pipeline = tools.models.pipeline(read.digests[model_id], None)
        for whole, vector in zip(some, pipeline.embed([whole.cut.chip for whole in some]), strict=True):
            said = Vector(vector.astype(VECTOR).tobytes(), pipeline.embedder.variant)
            made.vectors[whole.chip_key, model_id] = said
    kept = [(one.photo, face) for one in seen for face in one.kept if not one.before.is_there(face)]
    for model_id in sorted(mine):
        _say_of_kept(kept, model_id, read.digests[model_id], made, tools)
    return made


def _say_of_kept(kept: Sequence[tuple[Photo, Face]], model_id: int, digest: str, made: Made, tools: Tools) -> None:
    """What a model says of faces that are kept: as it is known where it is, else of the stored chip."""
    whole = [(photo, face) for photo, face in kept if face.chip_key is not None]
    with tools.catalog.reading() as session:
        known = carrying.vectors(session, [face.id for _, face in whole], model_id)
    unknown = [_chipped(photo, face) for photo, face in whole if face.id not in known]
    new = reembedding.of_stored(unknown, digest, tools)
    for _, face in whole:
        said = known.get(face.id) or new.vectors.get(face.id)
        if said is not None:
            made.vectors[face.chip_key or "", model_id] = said
    made.lost |= {face.chip_key: kind for face, kind in new.lost}


def _chipped(photo: Photo, face: Face) -> Chipped:
    return Chipped(
        face.id,
        face.public_id,
        face.chip_key or "",
        face.chip_map or [],
        face.landmarks or [],
        photo.public_id,
        photo.object_key,
    )

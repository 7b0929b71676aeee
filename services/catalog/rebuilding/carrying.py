"""Carrying: what a rebuild reads of faces that are to be in its generation, and how it writes them there."""

from collections.abc import Collection as Some
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import and_, exists, select
from sqlalchemy.orm import Session, aliased

from services.catalog import generations, log
from services.catalog.engine import upsert
from services.catalog.rebuilding import chunks
from services.catalog.schema import Collection, Embedding, Face, Generation, Item, Job, Photo


class Chipped(NamedTuple):
    """A face with a chip, and what a model's crop, or the chip itself, is cut by."""

    face_id: int
    public_id: str
    chip_key: str
    chip_map: list[list[float]]
    landmarks: list[list[float]]
    """In full-resolution pixels of the photo, as ``chip_map`` takes them."""
    photo_id: str
    """Public id."""
    photo_key: str


@dataclass(frozen=True, slots=True)
class Vector:
    """What a model says of a face, as it is kept."""

    vector: bytes
    """float16, little endian."""
    variant: str


class NoLongerWanted(Exception):
    """The generation was dropped, or the chunk is somebody else's: undo what was written."""


_FACE, _PHOTO = Face.__table__.c, Photo.__table__.c
_CHIPPED = select(
    _FACE.id,
    _FACE.public_id,
    _FACE.chip_key,
    _FACE.chip_map,
    _FACE.landmarks,
    _PHOTO.public_id,
    _PHOTO.object_key,
).join(Photo.__table__, _PHOTO.id == _FACE.photo_id)


def lacking(session: Session, rebuild_id: int, generation: Generation, first_id: int, last_id: int) -> list[Chipped]:
    """The faces from *first_id* to *last_id* that should have an embedding in *generation* and have none, by number.

    Those that a finding of the rebuild leaves out are passed over.
    """
    within = (Face.collection_id == generation.collection_id, Face.id >= first_id, Face.id <= last_id)
    lacks = chunks.faces_lacking(rebuild_id, generation)
    rows = session.execute(_CHIPPED.where(*within, lacks).order_by(Face.id))
    return [Chipped(*row) for row in rows]


def some(session: Session, collection: Collection, count: int) -> list[Chipped]:
    """At most *count* faces with a chip of the active round, the first ones."""
    mine = _CHIPPED.where(
        Face.collection_id == collection.id, Face.round == collection.round, Face.chip_key.is_not(None)
    )
    return [Chipped(*row) for row in session.execute(mine.order_by(Face.id).limit(count))]


def embedded(
    session: Session, generation: Generation, wanted: Sequence[Chipped], vectors: Mapping[int, Vector]
) -> list[log.Change]:
    """Write the embeddings of faces that are still as they were when *wanted* was read, and have none yet.

    Args:
        session: A writing transaction.
        generation: Whose model said the vectors.
        wanted: By number.
        vectors: By face number; a face without one is passed over.

    Returns:
        What is to be logged where the generation is prepared, a change for each face that was written.
    """
    mine = [face for face in wanted if face.face_id in vectors]
    locked = (
        select(Face.id, Face.chip_key, Face.person_id)
        .where(Face.id.in_([face.face_id for face in mine]))
        .order_by(Face.id)
        .with_for_update(read=True, key_share=True)
    )
    there = {row.id: row for row in session.execute(locked)}
    rows = [
        {
            "face_id": face.face_id,
            "model_id": generation.model_id,
            "vector": vectors[face.face_id].vector,
            "variant": vectors[face.face_id].variant,
        }
        for face in mine
        if face.face_id in there and there[face.face_id].chip_key == face.chip_key
    ]
    if not rows:
        return []
    written = upsert(session, Embedding).on_conflict_do_nothing().returning(Embedding.face_id)
    return [log.Change("add", face_id, there[face_id].person_id) for face_id in session.scalars(written, rows)]


def logged(session: Session, written: Sequence[Generation], changes: Sequence[log.Change]) -> tuple[int, ...]:
    """Log what was written into generations if searchers hold one of them; the last statements of a transaction but the commit.

    While they are being built nobody follows them: they will be read from rows, and the log stays short.

    Args:
        session: A writing transaction.
        written: One or more, of one collection.
        changes: What was written.

    Returns:
        The generations that are live now.

    Raises:
        NoLongerWanted: One of them was dropped meanwhile.
    """
    collection_id, numbers = written[0].collection_id, {generation.id for generation in written}
    live = log.append(session, collection_id, []).live  # Takes the lock; nobody prepares or drops one now.
    if not numbers <= set(live):
        raise NoLongerWanted
    states = set(session.scalars(select(Generation.state).where(Generation.id.in_(numbers))))
    if changes and generations.PREPARED in states:
        log.append(session, collection_id, changes)
    return live


def photos(session: Session, collection_id: int, first_id: int, last_id: int) -> Sequence[Photo]:
    """The photos of a collection in a range of numbers whose faces are known, by number."""
    within = (Photo.collection_id == collection_id, Photo.id >= first_id, Photo.id <= last_id, Photo.state == "done")
    return session.scalars(select(Photo).where(*within).order_by(Photo.id)).all()


def rows_of(session: Session, photo_ids: Some[int], *, locked: bool = False) -> dict[int, list[Face]]:
    """The rows of the faces of photos, in all rounds, by photo; *locked* until the transaction ends, and the photos with them.

    A photo that is gone is left out.
    """
    there = select(Photo.id).where(Photo.id.in_(photo_ids)).order_by(Photo.id)
    mine = select(Face).order_by(Face.id)
    if locked:
        there, mine = there.with_for_update(), mine.with_for_update()
    found: dict[int, list[Face]] = {photo_id: [] for photo_id in session.scalars(there)}
    for face in session.scalars(mine.where(Face.photo_id.in_(found)).execution_options(populate_existing=True)):
        found[face.photo_id].append(face)
    return found


def taken_whole(session: Session, photo_ids: Some[int]) -> set[int]:
    """Those of the photos that came in by a job that keeps every face of a photo whole."""
    kept = select(Item.photo_id).join(Job, Job.id == Item.job_id).where(Item.photo_id.in_(photo_ids))
    found = session.scalars(kept.where(Item.state == "done", Job.faces == "all").distinct())
    return {photo_id for photo_id in found if photo_id is not None}


def vectors(session: Session, face_ids: Some[int], model_id: int) -> dict[int, Vector]:
    """What is kept of faces under a model, by face; those without are left out."""
    mine = select(Embedding.face_id, Embedding.vector, Embedding.variant)
    rows = session.execute(mine.where(Embedding.face_id.in_(face_ids), Embedding.model_id == model_id))
    return {row.face_id: Vector(row.vector, row.variant) for row in rows}


def switch_to(session: Session, generation: Generation) -> int:
    """Have searches look in *generation*: :func:`generations.switch`, losing nobody on the way back to an older detection.

    Returns:
        The collection's new head.

    Raises:
        Conflict: It was dropped, was never prepared, or is not complete.
    """
    _bring_along(session, generation)
    return generations.switch(session, generation)


def _bring_along(session: Session, generation: Generation) -> None:
    """Write into an older generation the faces of people that only the detection searched now has found.

    Its model has seen their chips when they were found.
    """
    log.append(session, generation.collection_id, [])  # Takes the lock.
    active = session.scalar(select(Collection.round).where(Collection.id == generation.collection_id))
    if active is None or generation.round >= active:
        return
    there, said = aliased(Face), and_(Embedding.face_id == Face.id, Embedding.model_id == generation.model_id)
    paired = exists().where(there.public_id == Face.public_id, there.round == generation.round)
    alone = (
        select(Face, Embedding)
        .join(Embedding, said)
        .where(Face.collection_id == generation.collection_id, Face.round == active, ~paired)
        .where(Face.person_id.is_not(None), Face.chip_key.is_not(None))
        .order_by(Face.id)
        .with_for_update(of=Face, skip_locked=True)
    )
    copies = [(copied(face, generation.round), embedding) for face, embedding in session.execute(alone).all()]
    session.add_all(face for face, _ in copies)
    session.flush()
    session.add_all(
        Embedding(face_id=face.id, model_id=said.model_id, vector=said.vector, variant=said.variant)
        for face, said in copies
    )
    session.flush()
    log.append(session, generation.collection_id, [log.Change("add", face.id, face.person_id) for face, _ in copies])


def copied(face: Face, round_: int) -> Face:
    """A new row of the same face in another round, as it is."""
    columns = (column.key for column in Face.__table__.columns)
    kept = {name: getattr(face, name) for name in columns if name not in {"id", "round"}}
    return Face(**kept, round=round_)

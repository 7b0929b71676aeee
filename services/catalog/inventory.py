"""Inventory: what rows say should be in the photo store and in each generation, a page at a time.

Pages go by number, so that memory does not grow with the collection.
"""

from collections.abc import Collection as Some
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Row, and_, exists, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from services.catalog import generations
from services.catalog.generations import PREPARED
from services.catalog.schema import Collection, Embedding, Face, Generation, Job, Model, Photo, Removal

PHOTO, CHIP, THUMBNAIL = "photo", "chip", "thumbnail"
_KEY_OF: dict[str, InstrumentedAttribute[str] | InstrumentedAttribute[str | None]] = {
    PHOTO: Photo.object_key,
    CHIP: Face.chip_key,
    THUMBNAIL: Photo.thumbnail_key,
}


class PhotoRow(NamedTuple):
    """A photo and its objects."""

    id: int
    public_id: str
    object_key: str
    thumbnail_key: str | None
    size_bytes: int
    sha256: str


class ChipRow(NamedTuple):
    """A face with a chip, in one round."""

    id: int
    public_id: str
    chip_key: str
    """Empty of a face that is kept as box and score."""


class VectorRow(NamedTuple):
    """What is stored of a face in a generation."""

    face_id: int
    public_id: str
    vector: bytes
    """Float16, little endian."""


class SampledRow(NamedTuple):
    """A face with what its embedding in a generation can be held against."""

    face_id: int
    public_id: str
    chip_key: str
    chip_map: list[list[float]] | None
    landmarks: list[list[float]] | None
    vector: bytes
    variant: str


_PHOTO = (Photo.id, Photo.public_id, Photo.object_key, Photo.thumbnail_key, Photo.size_bytes, Photo.sha256)


def photos(session: Session, collection_id: int, *, after: int, limit: int) -> list[PhotoRow]:
    """Photos of a collection, by number."""
    wanted = select(*_PHOTO).where(Photo.collection_id == collection_id, Photo.id > after)
    return [PhotoRow(*row) for row in session.execute(wanted.order_by(Photo.id).limit(limit))]


def photos_by_id(session: Session, numbers: Some[int]) -> list[PhotoRow]:
    """Those of the photos of these numbers that are still there."""
    return [PhotoRow(*row) for row in session.execute(select(*_PHOTO).where(Photo.id.in_(numbers)))]


def chips(session: Session, collection_id: int, *, after: int, limit: int) -> list[ChipRow]:
    """Faces of a collection that have a chip, of all rounds, by number. Rows of one face may share a chip."""
    wanted = select(Face.id, Face.public_id, Face.chip_key).where(
        Face.collection_id == collection_id, Face.chip_key.is_not(None), Face.id > after
    )
    return [_chip_row(row) for row in session.execute(wanted.order_by(Face.id).limit(limit))]


def chips_by_id(session: Session, numbers: Some[int]) -> list[ChipRow]:
    """Those of the faces of these numbers that still have a chip."""
    wanted = select(Face.id, Face.public_id, Face.chip_key).where(Face.id.in_(numbers), Face.chip_key.is_not(None))
    return [_chip_row(row) for row in session.execute(wanted)]


def named(session: Session, kind: str, object_keys: Some[str]) -> set[str]:
    """Which of the keys a row names, or upkeep is going to remove: those that are no strangers."""
    column = _KEY_OF[kind]
    by_row = session.scalars(select(column).where(column.in_(object_keys)))
    return {key for key in by_row if key is not None} | leaving(session, object_keys)


def leaving(session: Session, object_keys: Some[str]) -> set[str]:
    """Which of the keys upkeep is going to remove."""
    return set(session.scalars(select(Removal.object_key).where(Removal.object_key.in_(object_keys))))


def jobs(session: Session, public_ids: Some[str]) -> set[str]:
    """Which of the jobs there are."""
    return set(session.scalars(select(Job.public_id).where(Job.public_id.in_(public_ids))))


def digests(session: Session, wanted: Some[str]) -> set[str]:
    """Which of the digests are a model's."""
    return set(session.scalars(select(Model.digest).where(Model.digest.in_(wanted))))


def ready(session: Session, collection_id: int) -> Sequence[Generation]:
    """The generations of a collection that must be complete: prepared, and not dropped since."""
    wanted = select(Generation).where(Generation.collection_id == collection_id, Generation.state == PREPARED)
    return session.scalars(wanted.order_by(Generation.id)).all()


def vectors(session: Session, generation: Generation, *, after: int, limit: int) -> list[VectorRow]:
    """What a generation has of each face, by the face's number."""
    found = session.connection().execute(
        select(Face.id, Face.public_id, Embedding.vector)
        .join(Embedding, and_(Embedding.face_id == Face.id, Embedding.model_id == generation.model_id))
        .where(Face.collection_id == generation.collection_id, Face.round == generation.round, Face.id > after)
        .order_by(Face.id)
        .limit(limit)
    )
    return [VectorRow(*row) for row in found]


def sampled(session: Session, generation: Generation, face_ids: Some[int]) -> list[SampledRow]:
    """Those of the faces of these numbers that have a chip and an embedding in that generation."""
    found = session.execute(
        select(
            Face.id,
            Face.public_id,
            Face.chip_key,
            Face.chip_map,
            Face.landmarks,
            Embedding.vector,
            Embedding.variant,
        )
        .join(Embedding, and_(Embedding.face_id == Face.id, Embedding.model_id == generation.model_id))
        .where(Face.id.in_(face_ids), Face.chip_key.is_not(None))
        .order_by(Face.id)
    )
    return [
        SampledRow(number, public_id, chip_key or "", chip_map, landmarks, vector, variant)
        for number, public_id, chip_key, chip_map, landmarks, vector, variant in found
    ]


def unembedded(session: Session, generation: Generation, *, after: int, limit: int) -> list[tuple[ChipRow, bool]]:
    """Faces with a chip that a generation lacks, and whether its rebuild may go on without them (``--skip-missing``)."""
    has = exists().where(Embedding.face_id == Face.id, Embedding.model_id == generation.model_id)
    rows = _of_generation(session, generation, and_(Face.chip_key.is_not(None), ~has), after, limit)
    accepted = generations.is_left_out(session, generation)
    allowed = set(session.scalars(select(Face.id).where(Face.id.in_([row.id for row in rows]), accepted)))
    return [(row, row.id in allowed) for row in rows]


def embedded_boxes(session: Session, generation: Generation, *, after: int, limit: int) -> list[ChipRow]:
    """Faces kept as box and score that a generation has an embedding of all the same; without a key."""
    has = exists().where(Embedding.face_id == Face.id, Embedding.model_id == generation.model_id)
    return _of_generation(session, generation, and_(Face.chip_key.is_(None), has), after, limit)


def left_out(session: Session, generation: Generation, *, after: int, limit: int) -> list[ChipRow]:
    """Faces with a chip of the round that is searched, which have none in a newer round of *generation* and should."""
    active = session.scalar(select(Collection.round).where(Collection.id == generation.collection_id))
    if active is None or generation.round <= active:
        return []
    other = aliased(Face)
    there = exists().where(
        other.public_id == Face.public_id, other.round == generation.round, other.chip_key.is_not(None)
    )
    found = session.execute(
        select(Face.id, Face.public_id, Face.chip_key)
        .where(
            Face.collection_id == generation.collection_id,
            Face.round == active,
            Face.chip_key.is_not(None),
            ~there,
            ~generations.is_left_out(session, generation),
            Face.id > after,
        )
        .order_by(Face.id)
        .limit(limit)
    )
    return [_chip_row(row) for row in found]


def sharing(
    session: Session, collection_id: int, public_id: str, chip_key: str, *, lock: bool = False
) -> Sequence[Face]:
    """The rows of a face that have that chip, of all rounds; with *lock* nobody else changes them until the transaction ends."""
    mine = (Face.public_id == public_id, Face.collection_id == collection_id, Face.chip_key == chip_key)
    wanted = select(Face).where(*mine).order_by(Face.id).execution_options(populate_existing=True)
    return session.scalars(wanted.with_for_update() if lock else wanted).all()


def models_in_use(session: Session, collection_id: int) -> set[int]:
    """Numbers of the embedders and detectors of a collection's live generations."""
    wanted = select(Generation.model_id, Generation.detector_id).where(
        Generation.collection_id == collection_id, or_(Generation.state == PREPARED, Generation.state == "building")
    )
    return {number for row in session.execute(wanted) for number in row if number is not None}


def _of_generation(
    session: Session, generation: Generation, condition: ColumnElement[bool], after: int, limit: int
) -> list[ChipRow]:
    wanted = select(Face.id, Face.public_id, Face.chip_key).where(
        Face.collection_id == generation.collection_id, Face.round == generation.round, Face.id > after, condition
    )
    return [_chip_row(row) for row in session.execute(wanted.order_by(Face.id).limit(limit))]


def _chip_row(row: Row[int, str, str | None]) -> ChipRow:
    number, public_id, chip_key = row
    return ChipRow(number, public_id, chip_key or "")

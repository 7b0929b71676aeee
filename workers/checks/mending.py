"""Mending: what a check found wrong is made again from what is right, and nothing is overwritten by something worse.

Bytes are made and stored outside any transaction; then one transaction locks the rows, sees that they are still as they were
looked at, and writes. What was deleted meanwhile stays deleted: an object that was put back for it is noted for removal by
the same transaction. Killed anywhere and run again, it ends the same.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from services.catalog import generations, inventory, log, models
from services.catalog.engine import Catalog, upsert
from services.catalog.erasing import removals
from services.catalog.inventory import PhotoRow
from services.catalog.schema import Collection, Embedding, Face, Generation, Person, Photo
from services.errors import DamagedObject, DegenerateBox, InvalidModel, MissingObject, PhotoRefused
from services.vault import Vault
from workers.checks.ledger import GONE, MENDED, Outcome, State
from workers.faces import chips, decode, pipeline
from workers.faces.detect import Mode
from workers.faces.values import Chip
from workers.ingestion import JPEG, THUMBNAIL_PX
from workers.models.registry import Registry
from workers.serving.following import VECTOR

_NO_PHOTO = "The raw photo is missing too. Import it again, or: colega restore DEST --only objects."
_ALTERED = "The raw photo is not as it was imported. Run: colega restore DEST --only objects; or delete it and import it again."


class _LiveChanged(Exception):
    """A generation became live or was dropped: write for those that are live now."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a check looks at, and with what."""

    catalog: Catalog
    store: Vault
    models: Registry
    collection_id: int
    max_pixels: int
    repair: bool
    tell: Callable[[Mapping[str, object]], None]
    """Takes how far it is; raises Cancelled."""


def chip_of(face: Face | inventory.SampledRow, jpeg: bytes) -> Chip:
    """A face's chip from its bytes. One without landmarks has all of them in a corner, which says nothing."""
    to_chip = np.eye(2, 3) if face.chip_map is None else np.array(face.chip_map, np.float64)
    points = np.zeros((5, 2), np.float32) if face.landmarks is None else np.array(face.landmarks, np.float32)
    return Chip(jpeg, to_chip, chips.mapped(to_chip, points))


UNREADABLE = (InvalidModel, OSError, ValueError, SyntaxError)
"""What decoding bytes that are no chip may raise."""


def trouble_of(jpeg: bytes) -> str | None:
    """Why these bytes are no chip; None where they are one."""
    try:
        chips.decode(jpeg)
    except UNREADABLE as error:
        return f"The chip cannot be read: {error}"
    return None


def recut(place: Place, public_id: str, chip_key: str) -> Chip | Outcome:
    """The chip of a face cut anew from its raw photo, or why there is none."""
    with place.catalog.reading() as session:
        rows = inventory.sharing(session, place.collection_id, public_id, chip_key)
        photo = session.get(Photo, rows[0].photo_id) if rows else None
    if not rows or photo is None:
        return GONE
    if rows[0].chip_map is None or rows[0].landmarks is None:
        return Outcome(State.LEFT, "It is not known how the chip was cut. Import the photo again.")
    data = _raw(place, photo.object_key, photo.sha256)
    if isinstance(data, Outcome):
        return data
    to_chip, points = np.array(rows[0].chip_map, np.float64), np.array(rows[0].landmarks, np.float32)
    try:
        return pipeline.recut(data, to_chip, points, max_pixels=place.max_pixels)
    except (PhotoRefused, DegenerateBox) as error:
        return Outcome(State.LEFT, str(error))


def chip(place: Place, public_id: str, chip_key: str) -> Outcome:
    """Cut a chip again from the raw photo and embed the face anew in every live generation, for replicas to take over."""
    made = recut(place, public_id, chip_key)
    if isinstance(made, Outcome):
        return made
    place.store.put(chip_key, made.jpeg, content_type=JPEG)
    return embed(place, public_id, chip_key, made)


def embed(
    place: Place,
    public_id: str,
    chip_key: str,
    made: Chip,
    *,
    only: Generation | None = None,
    seen: bytes | None = None,
) -> Outcome:
    """Write what the models say of a chip.

    Args:
        place: Where.
        public_id: Of the face.
        chip_key: Of its chip; rows of the face that have another one by now are left alone.
        made: What that key holds.
        only: The one generation whose embedding is written; else every live one.
        seen: The embedding to be replaced; one that is another by now stays.
    """
    while True:
        with place.catalog.reading() as session:
            live = generations.live_of(session, place.collection_id)
        try:
            vectors = _vectors(place, made, {g.model_id for g in live if only is None or g.id == only.id})
        except InvalidModel as error:
            return Outcome(State.LEFT, str(error))
        try:
            with place.catalog.transaction() as session:
                rows = inventory.sharing(session, place.collection_id, public_id, chip_key, lock=True)
                if not rows:
                    removals.note(session, chip_key)
                    return GONE
                if only is not None and not _is_as_seen(session, rows, only, seen):
                    return GONE
                wanted = live if only is None else [g for g in live if g.id == only.id]
                _write(session, rows, wanted, vectors)
                _log(session, place.collection_id, rows, live)
                return MENDED
        except _LiveChanged:
            continue


def thumbnail(place: Place, photo: PhotoRow) -> Outcome:
    """Make a thumbnail again from the raw photo."""
    assert photo.thumbnail_key is not None
    data = _raw(place, photo.object_key, photo.sha256)
    if isinstance(data, Outcome):
        return data
    try:
        decoded = decode.decode(data, max_pixels=place.max_pixels, want_px=pipeline.WANT_PX[Mode.BALANCED])
    except PhotoRefused as error:
        return Outcome(State.LEFT, str(error))
    jpeg = pipeline.thumbnail(decoded.pixels, THUMBNAIL_PX)
    place.store.put(photo.thumbnail_key, jpeg, content_type=JPEG)
    with place.catalog.transaction() as session:
        row = session.scalar(select(Photo).where(Photo.id == photo.id).with_for_update())
        if row is None or row.thumbnail_key != photo.thumbnail_key:
            removals.note(session, photo.thumbnail_key)
            return GONE
    return MENDED


def bare(place: Place, face_id: int, generation: Generation) -> Outcome:
    """Remove the embedding of a face that is kept as box and score."""
    with place.catalog.transaction() as session:
        face = session.scalar(select(Face).where(Face.id == face_id).with_for_update())
        if face is None or face.chip_key is not None:
            return GONE
        mine = (Embedding.face_id == face_id, Embedding.model_id == generation.model_id)
        session.execute(delete(Embedding).where(*mine))
        log.append(session, place.collection_id, [log.Change("remove", face_id)])
    return MENDED


def carry_over(place: Place, public_id: str, chip_key: str, generation: Generation) -> Outcome:
    """Give *generation* the face as it is in the round that is searched."""
    try:
        jpeg = place.store.get(chip_key)
    except (MissingObject, DamagedObject):
        return Outcome(
            State.LEFT, "Its chip is missing or damaged. Mend that first: it is carried over by the next check."
        )
    while True:
        with place.catalog.reading() as session:
            rows = inventory.sharing(session, place.collection_id, public_id, chip_key)
            live = generations.live_of(session, place.collection_id)
        if not rows:
            return GONE
        mine = {g.model_id for g in live if g.round == generation.round}
        vectors = _vectors(place, chip_of(rows[0], jpeg), mine)
        try:
            with place.catalog.transaction() as session:
                _lock_owner(session, rows[0])
                rows = inventory.sharing(session, place.collection_id, public_id, chip_key, lock=True)
                shown = session.scalar(select(Collection.round).where(Collection.id == place.collection_id))
                source = next((row for row in rows if row.round == shown), None)
                wanted = [g for g in live if g.round == generation.round]
                if source is None or not wanted:
                    return GONE
                copy = _copied(session, source, generation.round)
                if copy is None:
                    return GONE
                _write(session, [copy], wanted, vectors)
                _log(session, place.collection_id, [copy], live)
                return MENDED
        except _LiveChanged:
            continue


def _copied(session: Session, source: Face, round_: int) -> Face | None:
    """The row of a face in another round, made like *source*; None where it has a chip there."""
    same = select(Face).where(Face.public_id == source.public_id, Face.round == round_)
    there = session.scalar(same.with_for_update())
    if there is not None and there.chip_key is not None:
        return None
    copy = there or Face(public_id=source.public_id, collection_id=source.collection_id, round=round_)
    for name in (
        "photo_id",
        "person_id",
        "assigned_by",
        "rule",
        "box",
        "score",
        "landmarks",
        "quality",
        "chip_key",
        "chip_map",
    ):
        setattr(copy, name, getattr(source, name))
    session.add(copy)
    session.flush()
    return copy


def _lock_owner(session: Session, face: Face) -> None:
    """Writers lock people, then photos, then faces; who adds a row of a face that is there holds its photo's lock."""
    if face.person_id is not None:
        session.execute(select(Person.id).where(Person.id == face.person_id).with_for_update(read=True))
    session.execute(select(Photo.id).where(Photo.id == face.photo_id).with_for_update())


def _is_as_seen(session: Session, rows: Sequence[Face], generation: Generation, seen: bytes | None) -> bool:
    numbers = [row.id for row in rows if row.round == generation.round]
    mine = (Embedding.face_id.in_(numbers), Embedding.model_id == generation.model_id)
    return session.scalar(select(Embedding.vector).where(*mine)) == seen


def _vectors(place: Place, made: Chip, model_ids: set[int]) -> dict[int, tuple[bytes, str]]:
    """Float16 bytes and variant of a chip under each model."""
    found = {}
    for number in sorted(model_ids):
        with place.catalog.reading() as session:
            digest = models.by_id(session, number).digest
        embedder = place.models.embedder(digest)
        vector = embedder.embed([embedder.crop(made)])[0]
        found[number] = (vector.astype(VECTOR).tobytes(), embedder.variant)
    return found


def _write(
    session: Session, rows: Sequence[Face], wanted: Sequence[Generation], vectors: Mapping[int, tuple[bytes, str]]
) -> None:
    """Write the vectors of the rows in each generation; in one that is being built only over what it has by now."""
    for generation in wanted:
        vector, variant = vectors[generation.model_id]
        values = {"vector": vector, "variant": variant}
        numbers = [row.id for row in rows if row.round == generation.round]
        if generation.state == generations.BUILDING:
            mine = (Embedding.face_id.in_(numbers), Embedding.model_id == generation.model_id)
            session.execute(update(Embedding).where(*mine).values(values))
            continue
        for number in numbers:
            new = upsert(session, Embedding).values(face_id=number, model_id=generation.model_id, **values)
            session.execute(new.on_conflict_do_update(index_elements=["face_id", "model_id"], set_=values))


def _log(session: Session, collection_id: int, rows: Sequence[Face], live: Sequence[Generation]) -> None:
    """Have searchers take the faces over; what is being built is read from rows when it is complete."""
    rounds = {generation.round for generation in live if generation.state == generations.PREPARED}
    changes = [log.Change("add", row.id, row.person_id) for row in rows if row.round in rounds]
    if set(log.append(session, collection_id, changes).live) != {generation.id for generation in live}:
        raise _LiveChanged


def _raw(place: Place, object_key: str, sha256: str) -> bytes | Outcome:
    try:
        data = place.store.get(object_key)
    except MissingObject:
        return Outcome(State.LEFT, _NO_PHOTO)
    except DamagedObject:
        return Outcome(State.LEFT, _ALTERED)
    return data if hashlib.sha256(data).hexdigest() == sha256 else Outcome(State.LEFT, _ALTERED)

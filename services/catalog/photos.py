"""Photos: the bytes we were given, once per collection."""

from collections.abc import Sequence

from sqlalchemy import delete as sql_delete
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from services.catalog import faces as face_rows
from services.catalog import log
from services.catalog.engine import upsert
from services.catalog.erasing import ledger, removals, traces
from services.catalog.erasing.ledger import ASKED, Asking
from services.catalog.importing import source_files
from services.catalog.schema import Face, Item, Photo, now
from services.catalog.tables.privacy import Erasure
from services.catalog.tables.source import SourceFile
from services.errors import NotFound


def by_public_id(session: Session, collection_id: int, public_id: str) -> Photo:
    """The photo of that id.

    Raises:
        NotFound: There is none in this collection.
    """
    found = session.scalar(select(Photo).where(Photo.collection_id == collection_id, Photo.public_id == public_id))
    if found is None:
        raise NotFound("photo", public_id)
    return found


def by_content(session: Session, collection_id: int, sha256: str) -> Photo | None:
    """The photo with these bytes, if this collection has it. Locked until the transaction ends."""
    wanted = select(Photo).where(Photo.collection_id == collection_id, Photo.sha256 == sha256)
    return session.scalar(wanted.with_for_update().execution_options(populate_existing=True))


def add(session: Session, photo: Photo) -> bool:
    """Insert *photo* unless the collection has those bytes. False: it has; read it with :func:`by_content`."""
    row = upsert(session, Photo).values(
        public_id=photo.public_id,
        collection_id=photo.collection_id,
        sha256=photo.sha256,
        size_bytes=photo.size_bytes,
        format=photo.format,
        source_name=photo.source_name,
        object_key=photo.object_key,
        sealed_key=photo.sealed_key,
        state="queued",
    )
    added = session.scalar(row.on_conflict_do_nothing(index_elements=["collection_id", "sha256"]).returning(Photo.id))
    return added is not None


def faces_of(session: Session, photo: Photo) -> list[Face]:
    """The faces of a photo in the collection's round, in the order they were found."""
    mine = (Face.photo_id == photo.id, face_rows.of_round(photo.collection_id))
    return list(session.scalars(select(Face).where(*mine).order_by(Face.id)))


def rows_of(session: Session, photo: Photo) -> Sequence[Face]:
    """The rows of a photo's faces in all rounds; who changes them holds the photo's lock."""
    return session.scalars(select(Face).where(Face.photo_id == photo.id).order_by(Face.id)).all()


def delete(session: Session, photo: Photo) -> int:
    """Delete a photo with its faces, chips and embeddings. Returns the collection's new head."""
    return erase(session, photo).sequence


def erase(session: Session, photo: Photo, asking: Asking = ASKED) -> Erasure:
    """:func:`delete`, and what the ledger has of it."""
    collection_id, public_id = photo.collection_id, photo.public_id
    faces = [face.public_id for face in rows_of(session, photo)]
    head = log.append(session, collection_id, remove_rows(session, photo)).head
    return ledger.enter(session, collection_id, head, asking, faces=faces, photos=[public_id])


def remove_rows(session: Session, photo: Photo) -> list[log.Change]:
    """Delete the rows of a photo and note its objects for removal; the caller logs what is returned and enters the photo.

    An item still under way ends as ``person_erased``: nothing may bring the photo back. What the file was called is forgotten.
    """
    session.execute(select(Photo.id).where(Photo.id == photo.id).with_for_update())
    changes: list[log.Change] = []
    for face in rows_of(session, photo):
        changes += face_rows.remove_rows(session, face)
    session.execute(
        update(Item)
        .where(Item.photo_id == photo.id, Item.state.in_(("queued", "waiting")))
        .values(state="rejected", reason="person_erased", finished_at=now(), claim=None)
    )
    traces.forget_names(session, Item.photo_id == photo.id)
    source_files.forget(session, SourceFile.photo_id == photo.id)
    removals.note(session, photo.object_key, photo.thumbnail_key)
    session.execute(sql_delete(Photo).where(Photo.id == photo.id))
    session.expunge(photo)
    return changes


def recent(session: Session, seconds: float) -> list[tuple[str, str]]:
    """Object key and SHA-256 of every photo taken in the last *seconds*."""
    rows = session.execute(select(Photo.object_key, Photo.sha256).where(Photo.created_at > now() - seconds))
    return list(rows)

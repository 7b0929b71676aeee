"""About a person: everything that rows say of them, for who asks what is held. Some rows at a time, whatever there are."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from services.catalog.auditing import reading as audit_read
from services.catalog.engine import Catalog
from services.catalog.privacy import consents
from services.catalog.schema import Collection, Embedding, Face, Item, Job, LogEntry, Model, Person, Photo, Row
from services.catalog.tables.audit import AuditEntry
from services.catalog.tables.console import Merge, NotSame
from services.catalog.tables.rebuild import Finding, Rebuild
from services.catalog.tables.source import Source, SourceFile
from services.catalog.tables.webhook import Delivery, Webhook

TOLD = {
    "people": "person.json",
    "consents": "person.json",
    "collections": "person.json: basis, notice, retention",
    "photos": "photos.jsonl, photos/",
    "faces": "faces/",
    "embeddings": "faces/",
    "job_items": "items.jsonl",
    "jobs": "items.jsonl",
    "log": "log.jsonl",
    "not_same": "not_same.jsonl",
    "merges": "merges.jsonl",
    "source_files": "files.jsonl",
    "sources": "files.jsonl",
    "deliveries": "deliveries.jsonl",
    "webhooks": "deliveries.jsonl: where they went",
    "audit": "audit.jsonl",
    "rebuild_findings": "findings.jsonl",
    "models": "faces/: which model an embedding is of",
}
"""Where an export tells of a table's rows."""

NOT_PERSONAL = {
    "api_keys": "whose a key is, not whom it enrols",
    "audit_chains": "of gateways",
    "audit_heads": "hashes",
    "audit_intents": "changes that are being made at this moment",
    "backups": "where backups lie; their content is this",
    "calibrations": "statistics over all people",
    "computations": "parameters and figures over all people; their reports go with whoever they show",
    "erasures": "of who was erased: nobody is left to ask",
    "evaluations": "figures over all people; their reports go with whoever they show",
    "generations": "models of collections",
    "leases": "of processes",
    "meters": "counts",
    "object_keys": "keys of objects",
    "processes": "of processes",
    "rebuild_chunks": "ranges of numbers",
    "rebuilds": "of collections",
    "removals": "objects that are being deleted",
    "requests": "answers that were given, kept for a day",
    "restores": "of the whole installation",
    "wrapping_keys": "which keys wrap others",
    "sessions": "of whoever signs in, not whom a photo shows",
}
"""Why an export says nothing of a table."""

_AT_ONCE = 200
Document = dict[str, Any]


def person(session: Session, one: Person) -> Document:
    """What is held of a person themselves, and on what basis."""
    collection = session.get_one(Collection, one.collection_id)
    return {
        **_columns(one),
        "id": one.public_id,
        "collection": {"name": collection.name, "basis": collection.basis, "retention_days": collection.retention_days},
        "consents": [_columns(each) for each in consents.of(session, one)],
    }


def faces(catalog: Catalog, number: int) -> Iterator[tuple[str, Document, str | None]]:
    """Every row of a person's faces, in all rounds: its file's name, what it says with its embeddings, and its chip's object."""
    after = 0
    while True:
        with catalog.reading() as session:
            wanted = select(Face, Photo.public_id).join(Photo, Photo.id == Face.photo_id)
            mine = (Face.person_id == number, Face.id > after)
            rows = session.execute(wanted.where(*mine).order_by(Face.id).limit(_AT_ONCE)).all()
            held = _embeddings(session, [face.id for face, _ in rows])
        for face, photo in rows:
            told = _columns(face) | {"id": face.public_id, "photo": photo, "embeddings": held.get(face.id, [])}
            yield f"{face.public_id}-{face.round}", told, face.chip_key
        if len(rows) < _AT_ONCE:
            return
        after = rows[-1][0].id


def photos(catalog: Catalog, number: int) -> Iterator[tuple[Photo, bool]]:
    """The photos that show a person or are said to, and whether anybody else's face is in them."""
    after = 0
    while True:
        with catalog.reading() as session:
            mine = (_shows(number), Photo.id > after)
            rows = session.scalars(select(Photo).where(*mine).order_by(Photo.id).limit(_AT_ONCE)).all()
            others = (Face.photo_id.in_([photo.id for photo in rows]), Face.person_id.is_distinct_from(number))
            with_others = set(session.scalars(select(Face.photo_id).where(*others).distinct()))
        for photo in rows:
            yield photo, photo.id in with_others
        if len(rows) < _AT_ONCE:
            return
        after = rows[-1].id


def _shows(number: int) -> ColumnElement[bool]:
    """That a photo shows a person, or is said to."""
    shown = select(Face.photo_id).where(Face.person_id == number)
    said = select(Item.photo_id).where(Item.person_id == number, Item.photo_id.is_not(None))
    return or_(Photo.id.in_(shown), Photo.id.in_(said))


def lists(catalog: Catalog, one: Person) -> Mapping[str, Iterator[Document]]:
    """Everything else that rows say of a person, by the name of the list."""
    mine = select(Face.id).where(Face.person_id == one.id)
    faces_of = select(Face.public_id).where(Face.person_id == one.id)
    photos_of = select(Photo.public_id).where(_shows(one.id))
    log = or_(LogEntry.person_id == one.id, LogEntry.face_id.in_(mine))
    said = or_(NotSame.person_id == one.id, NotSame.other_id == one.id, NotSame.face.in_(faces_of))
    found = or_(Finding.face_id.in_(faces_of), Finding.photo_id.in_(photos_of))
    audited = or_(audit_read.tells_of(one.public_id), AuditEntry.object.in_(faces_of), AuditEntry.object.in_(photos_of))
    return {
        "items": _pages(catalog, Item, Item.id, Item.person_id == one.id, _item),
        "log": _pages(catalog, LogEntry, LogEntry.sequence, (LogEntry.collection_id == one.collection_id) & log, _log),
        "not_same": _pages(catalog, NotSame, NotSame.id, said, lambda _, row: _said(row, one)),
        "merges": _pages(catalog, Merge, Merge.id, Merge.into_id == one.id, _plain),
        "files": _pages(catalog, SourceFile, SourceFile.id, SourceFile.person_id == one.id, _file),
        "deliveries": _pages(catalog, Delivery, Delivery.id, Delivery.person_id == one.id, _delivery),
        "findings": _pages(catalog, Finding, Finding.id, found, _finding),
        "audit": _audit(catalog, audited),
    }


def _pages(
    catalog: Catalog,
    table: type[Row],
    number: Any,  # noqa: ANN401 - a column
    whose: ColumnElement[bool],
    told: Callable[[Session, Any], Document],
) -> Iterator[Document]:
    after = 0
    while True:
        with catalog.reading() as session:
            rows = session.scalars(select(table).where(whose, number > after).order_by(number).limit(_AT_ONCE)).all()
            page = [told(session, row) for row in rows]
        yield from page
        if len(rows) < _AT_ONCE:
            return
        after = getattr(rows[-1], number.key)


def _audit(catalog: Catalog, whose: ColumnElement[bool]) -> Iterator[Document]:
    after = ("", 0)
    while True:
        with catalog.reading() as session:
            further = or_(
                AuditEntry.chain > after[0], (AuditEntry.chain == after[0]) & (AuditEntry.sequence > after[1])
            )
            wanted = select(AuditEntry).where(whose, further).order_by(AuditEntry.chain, AuditEntry.sequence)
            rows = session.scalars(wanted.limit(_AT_ONCE)).all()
        for row in rows:
            yield {field: getattr(row, field) for field in ("at", "key", "action", "object", "outcome")}
        if len(rows) < _AT_ONCE:
            return
        after = (rows[-1].chain, rows[-1].sequence)


def _embeddings(session: Session, face_ids: list[int]) -> dict[int, list[Document]]:
    wanted = select(Embedding, Model.name, Model.digest).join(Model, Model.id == Embedding.model_id)
    found: dict[int, list[Document]] = {}
    for row, name, digest in session.execute(wanted.where(Embedding.face_id.in_(face_ids))):
        told = {"model": name, "digest": digest, "variant": row.variant, "vector": row.vector}
        found.setdefault(row.face_id, []).append(told)
    return found


def _plain(_: Session, row: Row) -> Document:
    return _columns(row)


def _item(session: Session, row: Item) -> Document:
    job = session.get_one(Job, row.job_id)
    photo = None if row.photo_id is None else session.get(Photo, row.photo_id)
    told = {"job": job.public_id, "kind": job.kind, "source": job.source, "asked_by": job.asked_by}
    return _columns(row) | told | {"photo": None if photo is None else photo.public_id}


def _log(_: Session, row: LogEntry) -> Document:
    return {"sequence": row.sequence, "operation": row.operation, "created_at": row.created_at}


def _said(row: NotSame, one: Person) -> Document:
    """What was said; of somebody else only that there is somebody."""
    other = row.other_id if row.person_id == one.id else row.person_id
    return {
        "face": row.face,
        "is_about_somebody_else_too": other is not None and other != one.id,
        "said_by": row.said_by,
        "created_at": row.created_at,
    }


def _file(session: Session, row: SourceFile) -> Document:
    return _columns(row) | {"source": session.get_one(Source, row.source_id).name}


def _delivery(session: Session, row: Delivery) -> Document:
    return _columns(row) | {"webhook": session.get_one(Webhook, row.webhook_id).url}


def _finding(session: Session, row: Finding) -> Document:
    rebuild = session.get_one(Rebuild, row.rebuild_id)
    return {"rebuild": rebuild.public_id, **{f: getattr(row, f) for f in ("kind", "photo_id", "face_id", "decided")}}


_INSIDE = {
    "sealed_key",
    "search_name",
    "claim",
    "claimed_by",
    "claim_expires_at",
    "collection_id",
    "job_id",
    "source_id",
}


def _columns(row: Row) -> Document:
    """A row without what is only of use inside: keys, numbers of rows, claims."""
    names = (column.key for column in row.__table__.columns)
    return {name: getattr(row, name) for name in names if name not in _INSIDE and not _is_number(name)}


def _is_number(name: str) -> bool:
    return name == "id" or (name.endswith("_id") and name not in {"external_id", "public_id"})

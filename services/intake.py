"""Intake: a photo that was given becomes an object, a row and an item, race-safe and only once per collection.

Used by the gateway and by the worker that unpacks archives. What is acknowledged here is kept.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from services import formats
from services.catalog import faces, log, people, photos
from services.catalog.engine import Catalog
from services.catalog.importing import jobs, source_files
from services.catalog.schema import Face, Item, Job, Person, Photo, new_id
from services.errors import InvalidRequest, MissingObject, PhotoRefused
from services.labels import Label, enrolled
from services.photos import keys
from services.rejections import Rejection
from services.vault import Vault

TRIED_AGAIN = {
    Rejection.NO_FACE,
    Rejection.LOW_QUALITY,
    Rejection.FACE_TOO_SMALL,
    Rejection.CRASHED_WORKER,
    Rejection.MISSING_OBJECT,
}
"""The same bytes may fare better under a later version, or with their object put back."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was received."""

    name: str
    path: Path
    size_bytes: int
    sha256: str
    head: bytes
    """Its first :data:`services.formats.HEAD_BYTES` bytes."""
    refused: PhotoRefused | None = None
    """Why it is not taken, where its receiver knows already."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one upload."""

    name: str
    sha256: str
    status: str
    """``queued``, ``duplicate`` or ``rejected``."""
    photo_id: str | None = None
    reason: Rejection | None = None
    item_id: int | None = None
    """To be sent to the workers, where there is work."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """What was put into the store: the row of a new photo, or what brings back the bytes of one that is there."""

    row: Photo
    owner: str | None
    """The public id of the one that is there: its key has sealed them."""


def take(
    catalog: Catalog,
    store: Vault,
    job_id: int,
    uploads: Sequence[Upload],
    labels: Sequence[Label | None],
    *,
    require_basis: bool = False,
) -> list[Taken]:
    """Keep *uploads* and add them to a job, in one transaction after their bytes are safe.

    Args:
        catalog: Where rows go.
        store: Where bytes go, under ids that are never used twice.
        job_id: A job that takes more items.
        uploads: What was received, of one collection.
        labels: Whom each shows; None where nobody says. A name that cannot be one rejects its photo alone.
        require_basis: Whether a photo is rejected where the collection says no basis, or the person's consent is lacking.

    Returns:
        What became of each; the caller sends the items that have an ``item_id`` to the workers.

    Raises:
        PhotoStoreUnavailable, CatalogUnavailable: Nothing was taken.
        Conflict: The job takes no more.
    """
    with catalog.reading() as session:
        job = session.get_one(Job, job_id)
        collection_id = job.collection_id
        known, bereft = _known(session, collection_id, [upload.sha256 for upload in uploads])
    for upload in uploads:
        if (photo := known.get(upload.sha256)) is not None and _refusal(upload) is None:
            _put_back(store, photo, upload.path)
    stored: dict[str, _Stored] = {}
    unused: list[str] = []
    try:
        for upload in uploads:
            if upload.sha256 not in known and upload.sha256 not in stored and (row := _row(collection_id, upload)):
                owner = bereft.get(upload.sha256)
                row.sealed_key = store.new_key(row.public_id)
                store.put(row.object_key, upload.path, content_type=formats.MEDIA_TYPES[row.format], of=owner or row)
                stored[upload.sha256] = _Stored(row, None if owner is None else owner.public_id)
        unused = [kept.row.object_key for kept in stored.values()]
        with catalog.transaction() as session:
            job = session.get_one(Job, job_id, with_for_update=True)
            jobs.open_for_items(job)
            lost: list[str] = []
            given = {label.external_id for label in labels if label and label.external_id and label.attributes}
            before = people.attributes_of(session, collection_id, given) if given else {}
            taken = [
                _item(session, job, upload, stored.get(upload.sha256), label, lost, require_basis=require_basis)
                for upload, label in zip(uploads, labels, strict=True)
            ]
            _log_attributes(session, collection_id, given, before)
        unused = lost
        return taken
    finally:
        store.delete_many(unused)


def _log_attributes(
    session: Session, collection_id: int, given: AbstractSet[str], before: Mapping[int, Mapping[str, str]]
) -> None:
    """Log whose attributes are others than *before*. Newcomers' come with their first face."""
    now = people.attributes_of(session, collection_id, given) if before else {}
    changed = [log.Change("attributes", person_id=person) for person in before if now.get(person) != before[person]]
    if changed:
        log.append(session, collection_id, changed)


def _known(session: Session, collection_id: int, hashes: Sequence[str]) -> tuple[dict[str, Photo], dict[str, Photo]]:
    """The photos with these contents: those whose bytes are in the store for all we know, and those whose bytes are gone."""
    there = select(Photo).where(Photo.collection_id == collection_id, Photo.sha256.in_(hashes))
    by_content = {photo.sha256: photo for photo in session.scalars(there)}
    bereft = {sha256: photo for sha256, photo in by_content.items() if photo.reason == Rejection.MISSING_OBJECT}
    return {sha256: photo for sha256, photo in by_content.items() if sha256 not in bereft}, bereft


def _put_back(store: Vault, photo: Photo, path: Path) -> None:
    """See that the store still has a photo that is imported again; else it gets it back, and its row needs no change."""
    try:
        held = store.size(photo.object_key)
    except MissingObject:
        held = None
    if held != photo.size_bytes:
        store.put(photo.object_key, path, content_type=formats.MEDIA_TYPES[photo.format])


def _row(collection_id: int, upload: Upload) -> Photo | None:
    """A new photo's row; None for a file that is not taken."""
    if _refusal(upload) is not None:
        return None
    public_id = new_id("pho")
    return Photo(
        public_id=public_id,
        collection_id=collection_id,
        sha256=upload.sha256,
        size_bytes=upload.size_bytes,
        format=formats.sniff(upload.head) or "",
        source_name=upload.name[:1024],
        object_key=keys.photo(collection_id, public_id),
    )


def _refusal(upload: Upload) -> PhotoRefused | None:
    if upload.refused is not None:
        return upload.refused
    try:
        formats.require(upload.name, upload.head)
    except PhotoRefused as refused:
        return refused
    return None


def _item(
    session: Session,
    job: Job,
    upload: Upload,
    kept: _Stored | None,
    label: Label | None,
    lost: list[str],
    *,
    require_basis: bool,
) -> Taken:
    """Row and item of one upload, and what is kept of the source's file that it is."""
    person, refused = None, _refusal(upload)
    if refused is None:
        try:
            person = enrolled(session, job, label, require_basis=require_basis)
        except PhotoRefused as unlawful:
            refused = unlawful
        except InvalidRequest as invalid:
            refused = PhotoRefused(Rejection.INVALID_NAME, str(invalid))
    item, taken = _added(session, job, upload, kept, person, refused, lost)
    if label is not None and label.seen is not None and job.source_id is not None:
        source_files.saw(session, job.source_id, upload.name, upload.sha256, label.seen, item)
    return taken


def _added(
    session: Session,
    job: Job,
    upload: Upload,
    kept: _Stored | None,
    person: Person | None,
    refused: PhotoRefused | None,
    lost: list[str],
) -> tuple[Item, Taken]:
    """Row and item of one upload. *lost* gets an object that no row names: somebody else was quicker."""
    if refused is not None:
        if kept is not None:
            lost.append(kept.row.object_key)
        item = jobs.add_item(
            session, job, upload.name, person=person, state="rejected", reason=refused.reason, detail=str(refused)
        )
        return item, Taken(upload.name, upload.sha256, "rejected", reason=refused.reason)
    is_new = kept is not None and kept.owner is None and photos.add(session, kept.row)
    photo = photos.by_content(session, job.collection_id, upload.sha256)
    if kept is not None and not is_new:
        if photo is not None and photo.reason == Rejection.MISSING_OBJECT and photo.public_id == kept.owner:
            photo.object_key = kept.row.object_key  # Its own object was gone.
        else:
            lost.append(kept.row.object_key)
    if photo is None:  # Known a moment ago and deleted since: the sender has the bytes and is asked to send them again.
        detail = "The same photo was deleted while this one came in. Send it again."
        item = jobs.add_item(
            session, job, upload.name, person=person, state="rejected", reason=Rejection.MISSING_OBJECT, detail=detail
        )
        return item, Taken(upload.name, upload.sha256, "rejected", reason=Rejection.MISSING_OBJECT)
    state, reason = ("queued", None) if is_new else _of_known(session, job, photo, person)
    item = jobs.add_item(session, job, upload.name, photo=photo, person=person, state=state, reason=reason)
    status = "queued" if state == "waiting" else state
    work = item.id if state == "queued" else None
    return item, Taken(upload.name, upload.sha256, status, photo.public_id, reason, work)


def _of_known(session: Session, job: Job, photo: Photo, person: Person | None) -> tuple[str, Rejection | None]:
    """Where an item with bytes that the collection has begins, or how it ends at once."""
    if photo.state == "queued":
        worked = select(Item.id).where(Item.photo_id == photo.id, Item.state == "queued").limit(1)
        return ("waiting", None) if session.scalar(worked) is not None else ("queued", None)
    if photo.state == "rejected":
        reason = Rejection(photo.reason or Rejection.NOT_AN_IMAGE)
        if reason not in TRIED_AGAIN and (reason is not Rejection.SEVERAL_FACES or job.faces == "reject"):
            return "rejected", reason
        photo.state, photo.reason = "queued", None
        return "queued", None
    if person is None:
        return "duplicate", None
    shown = select(Face.id).where(Face.photo_id == photo.id, Face.person_id == person.id)
    seen = shown.where(faces.of_round(photo.collection_id)).limit(1)
    return ("duplicate", None) if session.scalar(seen) is not None else ("queued", None)

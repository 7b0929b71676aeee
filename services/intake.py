"""Intake: a photo that was given becomes an object, a row and an item, race-safe and only once per collection.

Used by the gateway and by the worker that unpacks archives. What is acknowledged here is kept.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from services import formats
from services.catalog import faces, jobs, log, people, photos
from services.catalog.engine import Catalog
from services.catalog.schema import Face, Item, Job, Person, Photo, new_id
from services.errors import InvalidRequest, PhotoRefused, Rejection
from services.photos import keys
from services.photos.store import PhotoStore

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
class Label:
    """Whom a photo is said to show: a person that is there, or one to be found or made by name or external id."""

    name: str | None = None
    external_id: str | None = None
    person_id: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    def person(self, session: Session, collection_id: int) -> Person:
        """The person's row.

        Raises:
            NotFound: There is no person of that id.
            InvalidRequest: The name cannot be a name.
        """
        if self.person_id is not None:
            return people.by_public_id(session, collection_id, self.person_id)
        return people.ensure(
            session, collection_id, self.name or self.external_id or "", self.external_id, self.attributes
        )


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


def take(
    catalog: Catalog, store: PhotoStore, job_id: int, uploads: Sequence[Upload], labels: Sequence[Label | None]
) -> list[Taken]:
    """Keep *uploads* and add them to a job, in one transaction after their bytes are safe.

    Args:
        catalog: Where rows go.
        store: Where bytes go, under ids that are never used twice.
        job_id: A job that takes more items.
        uploads: What was received, of one collection.
        labels: Whom each shows; None where nobody says. A name that cannot be one rejects its photo alone.

    Returns:
        What became of each; the caller sends the items that have an ``item_id`` to the workers.

    Raises:
        PhotoStoreUnavailable, CatalogUnavailable: Nothing was taken.
        Conflict: The job takes no more.
    """
    with catalog.reading() as session:
        job = session.get_one(Job, job_id)
        collection_id = job.collection_id
        known = _known(session, collection_id, [upload.sha256 for upload in uploads])
    stored: dict[str, Photo] = {}
    unused: list[str] = []
    try:
        for upload in uploads:
            if upload.sha256 not in known and upload.sha256 not in stored and (row := _row(collection_id, upload)):
                store.put(row.object_key, upload.path, content_type=formats.MEDIA_TYPES[row.format])
                stored[upload.sha256] = row
        unused = [row.object_key for row in stored.values()]
        with catalog.transaction() as session:
            job = session.get_one(Job, job_id, with_for_update=True)
            jobs.open_for_items(job)
            lost: list[str] = []
            given = {label.external_id for label in labels if label and label.external_id and label.attributes}
            before = people.attributes_of(session, collection_id, given) if given else {}
            taken = [
                _item(session, job, upload, stored.get(upload.sha256), label, lost)
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


def _known(session: Session, collection_id: int, hashes: Sequence[str]) -> set[str]:
    """Which of these contents the collection has, with their bytes in the store."""
    known = select(Photo.sha256).where(
        Photo.collection_id == collection_id,
        Photo.sha256.in_(hashes),
        Photo.reason.is_distinct_from(Rejection.MISSING_OBJECT.value),
    )
    return set(session.scalars(known))


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


def _item(session: Session, job: Job, upload: Upload, row: Photo | None, label: Label | None, lost: list[str]) -> Taken:
    """Row and item of one upload. *lost* gets an object that no row names: somebody else was quicker."""
    person, refused = None, _refusal(upload)
    if refused is None and label is not None:
        try:
            person = label.person(session, job.collection_id)
        except InvalidRequest as invalid:
            refused = PhotoRefused(Rejection.INVALID_NAME, str(invalid))
    if refused is not None:
        if row is not None:
            lost.append(row.object_key)
        jobs.add_item(
            session, job, upload.name, person=person, state="rejected", reason=refused.reason, detail=str(refused)
        )
        return Taken(upload.name, upload.sha256, "rejected", reason=refused.reason)
    is_new = row is not None and photos.add(session, row)
    photo = photos.by_content(session, job.collection_id, upload.sha256)
    if row is not None and not is_new:
        if photo is not None and photo.reason == Rejection.MISSING_OBJECT:
            photo.object_key = row.object_key  # Its own object was gone.
        else:
            lost.append(row.object_key)
    if photo is None:  # Known a moment ago and deleted since: the sender has the bytes and is asked to send them again.
        detail = "The same photo was deleted while this one came in. Send it again."
        jobs.add_item(
            session, job, upload.name, person=person, state="rejected", reason=Rejection.MISSING_OBJECT, detail=detail
        )
        return Taken(upload.name, upload.sha256, "rejected", reason=Rejection.MISSING_OBJECT)
    state, reason = ("queued", None) if is_new else _of_known(session, job, photo, person)
    item = jobs.add_item(session, job, upload.name, photo=photo, person=person, state=state, reason=reason)
    status = "queued" if state == "waiting" else state
    return Taken(upload.name, upload.sha256, status, photo.public_id, reason, item.id if state == "queued" else None)


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

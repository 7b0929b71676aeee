"""Ingestion: photos that were taken in become findable faces.

Run twice, late, or killed half-way and run again, :func:`ingest` leaves what one clean run leaves. It reads, computes
outside any transaction, and writes once: faces, embeddings, log entries and outcomes, all or none.
"""

import os
import socket
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from services.broker.requests import Waking
from services.catalog import claims, faces, log, models
from services.catalog.claims import Outcome
from services.catalog.engine import Catalog
from services.catalog.schema import Embedding, Face, Person, Photo
from services.errors import Rejection, Unavailable
from services.logs import logger
from services.photos import keys
from services.photos.store import PhotoStore
from workers.faces.values import Vectors
from workers.following import VECTOR
from workers.models.registry import Registry
from workers.preparing import Prepared, prepare

LEASE_S = 60.0
THUMBNAIL_PX = 320
JPEG = "image/jpeg"


@dataclass(frozen=True, slots=True)
class Tools:
    """What the bulk verbs work with, opened once a process."""

    catalog: Catalog
    store: PhotoStore
    models: Registry
    waking: Waking
    name: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    """Who claims, as ``host:pid``."""
    passed: Callable[[str], None] = lambda moment: None  # noqa: ARG005
    """Told of each moment that is passed, so that a test can end the process there."""


@dataclass(frozen=True, slots=True)
class _Embedded:
    """The vectors of all new faces of a write, under one model."""

    variant: str
    vectors: Mapping[str, Vectors]
    """By the face's public id."""


class _ModelsChangedError(Exception):
    """A model became live between the claim and the write: embed with it too, and write again."""


def ingest(item_ids: Sequence[int], tools: Tools) -> list[int]:
    """Make the photos of these items findable, or say why not.

    Returns:
        Items to be sent again, each in a message of its own: a worker died while it had them among others, or they waited
        for bytes that are done now.

    Raises:
        Unavailable: Catalog or photo store are away; the items are free again, or will be when their claim expires.
    """
    with tools.catalog.transaction() as session:
        claimed = claims.claim(session, item_ids, by=tools.name, lease_s=LEASE_S)
    tools.passed("claimed")
    again = list(claimed.alone)
    try:
        by_collection: dict[int, list[Prepared]] = defaultdict(list)
        for prepared in prepare(claimed.work, tools.catalog, tools.store, tools.models):
            by_collection[prepared.work.collection.id].append(prepared)
        for collection_id, group in by_collection.items():
            again += _write(collection_id, group, tools)
    except Unavailable:
        with tools.catalog.transaction() as session:
            claims.put_back(session, claimed.work)
        raise
    if claimed.work:
        tools.waking.wake()
    return again


def _write(collection_id: int, group: Sequence[Prepared], tools: Tools) -> list[int]:
    """Embed, store, and commit what was prepared for one collection. Returns items to be sent again."""
    embedded: dict[int, _Embedded] = {}
    live = set(group[0].work.collection.live_models)
    stored = False
    while True:
        for model_id in live - embedded.keys():
            embedded[model_id] = _embed(group, model_id, tools)
        tools.passed("embedded")
        if not stored:
            _store(group, tools.store)
            stored = True
        tools.passed("chips stored")
        try:
            with tools.catalog.transaction() as session:
                again = _commit(session, collection_id, group, embedded)
        except _ModelsChangedError:
            with tools.catalog.reading() as session:
                live = set(models.live_of(session, collection_id))
            continue
        tools.passed("committed")
        ends = [p.outcome.state for p in group]
        logger().info(
            "photos.ingested",
            collection=collection_id,
            photos=len(group),
            done=ends.count("done"),
            rejected=ends.count("rejected"),
        )
        return again


def _embed(group: Sequence[Prepared], model_id: int, tools: Tools) -> _Embedded:
    with tools.catalog.reading() as session:
        digest = models.by_id(session, model_id).digest
    chips = {p.look.public_ids[i]: cut.chip for p in group if p.look is not None for i, cut in p.look.cuts.items()}
    embedder = tools.models.embedder(digest)
    vectors = tools.models.pipeline(digest, None).embed(list(chips.values()))
    return _Embedded(embedder.variant, dict(zip(chips, vectors, strict=True)))


def _store(group: Sequence[Prepared], store: PhotoStore) -> None:
    objects = []
    for p in group:
        if p.look is not None:
            photo = p.work.photo
            objects += [
                (keys.chip(photo.collection_id, p.look.public_ids[i]), cut.chip.jpeg) for i, cut in p.look.cuts.items()
            ]
            thumbnail = p.look.reading.thumbnail(THUMBNAIL_PX)
            objects.append((keys.thumbnail(photo.collection_id, photo.public_id), thumbnail))
    store.put_many(objects, content_type=JPEG)


def _commit(
    session: Session, collection_id: int, group: Sequence[Prepared], embedded: Mapping[int, _Embedded]
) -> list[int]:
    """Write every item of *group* in a savepoint of its own. Returns items to be sent again."""
    named = {p.work.person.id for p in group if p.work.person is not None}
    alive = set(
        session.scalars(select(Person.id).where(Person.id.in_(named)).order_by(Person.id).with_for_update(read=True))
    )
    changes: list[log.Change] = []
    ended, again = [], []
    for one in group:
        p = _unless_erased(one, alive)
        if p.waits:
            claims.wait_for_content(session, p.work)
            continue
        photo = session.get(Photo, p.work.photo.id, with_for_update=True, populate_existing=True)
        if photo is not None and photo.state == "done" and p.look is not None and p.existing is None:
            claims.put_back(session, [p.work])  # Another item with the same bytes was quicker: judge by what it left.
            again.append(p.work.item.id)
            continue
        with session.begin_nested() as savepoint:
            if not claims.finish(session, p.work, p.outcome):
                savepoint.rollback()  # The claim is somebody else's, or the photo is gone.
                continue
            if photo is not None:
                changes += _rows(session, photo, p, embedded)
        ended.append(p.work.item.id)
        again += claims.wake(session, p.work.photo.id)
    appended = log.append(session, collection_id, changes)
    if set(appended.live_models) - embedded.keys():
        raise _ModelsChangedError
    claims.stamp(session, ended, appended.head)
    return again


def _unless_erased(prepared: Prepared, alive: set[int]) -> Prepared:
    if prepared.work.person is None or prepared.work.person.id in alive:
        return prepared
    detail = "The person was erased while the photo was being worked on."
    return replace(prepared, outcome=Outcome("rejected", Rejection.PERSON_ERASED, detail), look=None, existing=None)


def _rows(session: Session, photo: Photo, p: Prepared, embedded: Mapping[int, _Embedded]) -> list[log.Change]:
    """Faces, embeddings and the photo's state; what is to be logged of them."""
    person_id = None if p.work.person is None else p.work.person.id
    if p.outcome.state == "rejected" and photo.state != "done":
        photo.state, photo.reason = "rejected", None if p.outcome.reason is None else p.outcome.reason.value
        return []
    if p.look is None:
        return _assigned(session, p.existing, person_id)
    photo.state, photo.reason = "done", None
    photo.width_px, photo.height_px = p.look.reading.width, p.look.reading.height
    photo.thumbnail_key = keys.thumbnail(photo.collection_id, photo.public_id)
    found = [
        _face(session, photo, p, i)
        for i in range(len(p.look.reading.detections))
        if p.existing is None or i == p.look.chosen
    ]
    session.flush()
    whole = [face for face in found if face.chip_key is not None]
    rows = [
        {
            "face_id": face.id,
            "model_id": model_id,
            "vector": done.vectors[face.public_id if p.existing is None else p.look.public_ids[p.look.chosen]]
            .astype(VECTOR)
            .tobytes(),
            "variant": done.variant,
        }
        for face in whole
        for model_id, done in embedded.items()
    ]
    if rows:
        session.execute(insert(Embedding), rows)
    return [log.Change("add", face.id, face.person_id) for face in whole]


def _assigned(session: Session, existing: Face | None, person_id: int | None) -> list[log.Change]:
    """A face that has a chip and belonged to nobody becomes the labelled person's, if it still belongs to nobody."""
    face = None if existing is None else session.get(Face, existing.id, with_for_update=True, populate_existing=True)
    if face is None or face.person_id is not None:
        return []
    face.person_id, face.assigned_by = person_id, "import"
    return [log.Change("assign", face.id, person_id)]


def _face(session: Session, photo: Photo, p: Prepared, i: int) -> Face:
    """The row of detection *i*: a new one, or a face kept as a box that is made whole."""
    assert p.look is not None
    detection, cut, box = p.look.reading.detections[i], p.look.cuts.get(i), p.look.reading.detections[i].box
    if p.existing is None:
        public_id = p.look.public_ids.get(i) or faces.new_public_id()
        face = Face(public_id=public_id, collection_id=photo.collection_id, photo_id=photo.id)
        session.add(face)
    else:
        face = session.get_one(Face, p.existing.id)
    face.rule, face.box, face.score = p.look.rule, [box.x, box.y, box.w, box.h], detection.score
    if cut is not None:
        face.landmarks = detection.landmarks.tolist()
        face.quality = asdict(cut.quality)
        face.chip_key = keys.chip(photo.collection_id, p.look.public_ids[i])
        face.chip_map = cut.chip.map.tolist()
    if i == p.look.chosen and p.work.person is not None:
        face.person_id, face.assigned_by = p.work.person.id, "import"
    return face

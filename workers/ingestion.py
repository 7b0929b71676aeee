"""Ingestion: photos that were taken in become findable faces.

Run twice, late, or killed half-way and run again, :func:`ingest` leaves what one clean run leaves. It reads, computes
outside any transaction, and writes once: faces, embeddings, log entries and outcomes, all or none, and for every generation
that is live at the commit.
"""

import os
import socket
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from services import meters
from services.broker.waking import Waking
from services.catalog import generations, log, models
from services.catalog.engine import Catalog
from services.catalog.importing import claims
from services.catalog.importing.claims import Outcome
from services.catalog.schema import Generation, Item, Person, Photo
from services.errors import Unavailable
from services.logs import logger
from services.meters import Meters
from services.photos import keys
from services.rejections import Rejection
from services.vault import Vault
from workers import rounds
from workers.models.registry import Registry
from workers.preparing import Prepared, prepare
from workers.rounds import Embedded

LEASE_S = 60.0
THUMBNAIL_PX = 320
JPEG = "image/jpeg"


@dataclass(frozen=True, slots=True)
class Tools:
    """What the bulk verbs work with, opened once a process."""

    catalog: Catalog
    store: Vault
    models: Registry
    waking: Waking
    name: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    """Who claims, as ``host:pid``."""
    passed: Callable[[str], None] = lambda moment: None  # noqa: ARG005
    """Told of each moment that is passed, so that a test can end the process there."""
    meters: Meters = field(default_factory=Meters)
    """What it counts."""


@dataclass(frozen=True, slots=True)
class _Done:
    """What a commit has brought."""

    again: list[int]
    """Items to be sent again."""
    ended: list[Prepared]
    head: int
    """The log entry after which all of it is found."""
    ages_s: list[float]
    """How long ago the photos had come in that are found now."""


class _LiveChangedError(Exception):
    """A rebuild began or ended before the write: embed for what is live now, and write again."""


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
    return again


def _write(collection_id: int, group: Sequence[Prepared], tools: Tools) -> list[int]:
    """Embed, store, and commit what was prepared for one collection. Returns items to be sent again."""
    embedded: dict[int, Embedded] = {}
    stored = False
    while True:
        with tools.catalog.reading() as session:
            live = generations.live_of(session, collection_id)
        for model_id in {generation.model_id for generation in live} - embedded.keys():
            embedded[model_id] = _embed(group, model_id, tools)
        tools.passed("embedded")
        if not stored:
            _store(group, tools.store)
            stored = True
        tools.passed("chips stored")
        try:
            with tools.catalog.transaction() as session:
                done = _commit(session, collection_id, group, live, embedded)
        except _LiveChangedError:
            continue
        tools.passed("committed")
        tools.waking.wake(collection_id, done.head, done.ages_s)
        _tell(collection_id, group, done, tools)
        return done.again


def _tell(collection_id: int, group: Sequence[Prepared], done: _Done, tools: Tools) -> None:
    """Count what was done, and write a line of it."""
    ends = [p.outcome.state if p.outcome.reason is None else p.outcome.reason.value for p in done.ended]
    for outcome, photos in Counter(ends).items():
        tools.meters.count(meters.PHOTOS, outcome, photos)
    for age_s in done.ages_s:
        tools.meters.observe(meters.COMMITTED_S, age_s)
    faces = sum(len(p.look.cuts) for p in done.ended if p.look is not None)
    tools.meters.count(meters.FACES, by=faces)
    logger().info(
        "photos.ingested",
        collection=collection_id,
        jobs=sorted({p.work.job.public_id for p in group}),
        items=[p.work.item.id for p in group],
        photos=len(group),
        faces=faces,
        done=ends.count("done"),
        rejected=sum(p.outcome.state == "rejected" for p in done.ended),
        sequence=done.head,
    )


def _embed(group: Sequence[Prepared], model_id: int, tools: Tools) -> Embedded:
    with tools.catalog.reading() as session:
        digest = models.by_id(session, model_id).digest
    chips = {p.look.public_ids[i]: cut.chip for p in group if p.look is not None for i, cut in p.look.cuts.items()}
    embedder = tools.models.embedder(digest)
    vectors = tools.models.pipeline(digest, None).embed(list(chips.values()))
    return Embedded(embedder.variant, dict(zip(chips, vectors, strict=True)))


def _store(group: Sequence[Prepared], store: Vault) -> None:
    objects: list[tuple[str, bytes]] = []
    photos: dict[str, int] = {}
    for p in group:
        photo, reading, mine = p.work.photo, p.reading, []
        if p.look is not None:
            reading = p.look.reading
            mine += [
                (keys.chip(photo.collection_id, p.look.public_ids[i]), cut.chip.jpeg) for i, cut in p.look.cuts.items()
            ]
        if reading is not None:
            mine.append((keys.thumbnail(photo.collection_id, photo.public_id), reading.thumbnail(THUMBNAIL_PX)))
        objects += mine
        photos |= dict.fromkeys((name for name, _ in mine), photo.id)
    store.put_many(objects, photos=photos, content_type=JPEG)


def _commit(
    session: Session,
    collection_id: int,
    group: Sequence[Prepared],
    live: Sequence[Generation],
    embedded: Mapping[int, Embedded],
) -> _Done:
    """Write every item of *group*, as many at once as do not depend on each other."""
    named = {p.work.person.id for p in group if p.work.person is not None}
    alive = set(
        session.scalars(select(Person.id).where(Person.id.in_(named)).order_by(Person.id).with_for_update(read=True))
    )
    changes: list[log.Change] = []
    ended: list[Prepared] = []
    again: list[int] = []
    seen: list[int] = []
    for some in _independent(group):
        photos = _locked(session, some)
        mine: list[Prepared] = []
        for one in some:
            p, photo = _unless_erased(one, alive), photos.get(one.work.photo.id)
            if p.waits:
                claims.wait_for_content(session, p.work)
            elif _was_merged(session, one, alive) or (photo is not None and _is_overtaken(session, photo, p)):
                claims.put_back(session, [p.work])
                again.append(p.work.item.id)
            else:
                mine.append(p)
        finished = claims.finish(session, [(p.work, p.outcome) for p in mine])
        mine = [p for p in mine if p.work.item.id in finished]  # The claims of others are somebody else's by now.
        there = [(photos[p.work.photo.id], p) for p in mine if p.work.photo.id in photos]  # Or the photo is gone.
        changes += rounds.write(session, there, live, embedded)
        seen += [photo.id for photo, p in there if p.look is not None]
        again += claims.wake(session, *(p.work.photo.id for p in mine))
        ended += mine
    rounds.ask_for_a_look(session, seen, group[0].work.collection.round, live)
    appended = log.append(session, collection_id, changes)
    if set(appended.live) != {generation.id for generation in live}:
        raise _LiveChangedError
    ages_s = claims.stamp(session, [p.work.item.id for p in ended], appended.head)
    return _Done(again, ended, appended.head, ages_s)


def _independent(group: Sequence[Prepared]) -> list[list[Prepared]]:
    """*group* in order, cut so that what is done to one photo is seen by the next item that is about it.

    A face that is there already is given away alone: it may be asked for twice.
    """
    cut: list[list[Prepared]] = []
    about: set[int] = set()
    for p in group:
        if not cut or p.existing is not None or cut[-1][-1].existing is not None or p.work.photo.id in about:
            cut.append([])
            about = set()
        cut[-1].append(p)
        about.add(p.work.photo.id)
    return cut


def _locked(session: Session, some: Sequence[Prepared]) -> dict[int, Photo]:
    """The rows of their photos that are still there, by number, as they are now and until the end of the transaction."""
    wanted = select(Photo).where(Photo.id.in_([p.work.photo.id for p in some if not p.waits])).order_by(Photo.id)
    rows = session.scalars(wanted.with_for_update().execution_options(populate_existing=True))
    return {photo.id: photo for photo in rows}


def _unless_erased(prepared: Prepared, alive: set[int]) -> Prepared:
    if prepared.work.person is None or prepared.work.person.id in alive:
        return prepared
    detail = "The person was erased while the photo was being worked on."
    return replace(prepared, outcome=Outcome("rejected", Rejection.PERSON_ERASED, detail), look=None, existing=None)


def _was_merged(session: Session, prepared: Prepared, alive: set[int]) -> bool:
    """Whether the photo is said to show somebody else by now, because its person was merged into them."""
    if prepared.work.person is None or prepared.work.person.id in alive:
        return False
    return session.scalar(select(Item.person_id).where(Item.id == prepared.work.item.id)) is not None


def _is_overtaken(session: Session, photo: Photo, p: Prepared) -> bool:
    """Whether another item with the same bytes was quicker, or somebody by hand: *p* is judged again by what is there now."""
    if p.existing is not None:
        return p.outcome.state == "done" and not rounds.is_as_it_was(session, p.existing)
    return photo.state == "done" and p.look is not None

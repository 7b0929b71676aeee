"""Chunks: the shares of a rebuild, and who works on one until when. A message that is lost, doubled or late changes nothing.

A chunk is a range of faces (``chips``) or of photos (``photos``). An attempt is counted before work starts. One with an
attempt behind it, whose worker died, is halved when it is claimed again; a face or photo alone that was tried three times is
not tried again: one killer does not take its neighbours with it.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, exists, func, insert, literal, or_, select, update
from sqlalchemy.orm import Session, aliased

from services.catalog.schema import Collection, Embedding, Face, Generation, Photo, now
from services.catalog.tables.rebuild import LEFT_OUT, Chunk, Finding, Rebuild

CHIPS, PHOTOS = "chips", "photos"
ALONE_AT_MOST = 3
WORKED = ("embedding", "comparing", "ready", "stopped", "switching", "switched", "rolled_back")
"""States of a rebuild in which its chunks are worked on: also behind its end, for photos that come in later."""

PLANNED_AT_ONCE = 100_000
"""Faces or photos looked through by one statement: under a second of an exclusive lock on SQLite."""


@dataclass(frozen=True, slots=True)
class Held:
    """A chunk that is yours for now."""

    chunk_id: int
    rebuild_id: int
    kind: str
    first_id: int
    last_id: int
    claim: str
    crashed: bool
    """It is a face or photo alone whose worker died three times: note that, and end it without trying."""


def plan(session: Session, rebuild: Rebuild, generation: Generation, kind: str, *, size: int, after: int) -> int | None:
    """Cut what *generation* still lacks into chunks of *size*: faces without their embedding, or photos not looked at.

    What a finding leaves out is passed over. Looks through a bounded number of rows; call it again with what it returns.

    Returns:
        The number of the last row looked through; None when there are no more.
    """
    number = Face.id if kind == CHIPS else Photo.id
    table = Face if kind == CHIPS else Photo
    looked_at = (
        select(number)
        .where(table.collection_id == generation.collection_id, number > after)
        .order_by(number)
        .limit(PLANNED_AT_ONCE)
        .subquery()
    )
    last = session.scalar(select(func.max(looked_at.c.id)))
    if last is None:
        return None
    lacking = faces_lacking(rebuild.id, generation) if kind == CHIPS else _photos_lacking(rebuild, generation)
    place = func.row_number(type_=Integer).over(order_by=number) - 1
    within = (table.collection_id == generation.collection_id, number > after, number <= last)
    rows = select(number.label("id"), (place // size).label("share")).where(*within, lacking)
    shares = rows.subquery()
    columns = ("rebuild_id", "kind", "first_id", "last_id", "total", "state", "faces", "attempts", "created_at")
    ranges = (
        select(
            literal(rebuild.id),
            literal(kind),
            func.min(shares.c.id),
            func.max(shares.c.id),
            func.count(),
            literal("queued"),
            literal(0),
            literal(0),
            now(),
        )
        .group_by(shares.c.share)
        .order_by(func.min(shares.c.id))
    )
    session.execute(insert(Chunk).from_select(columns, ranges, include_defaults=False))
    return int(last)


def look_again(session: Session, generation: Generation, photo_ids: Sequence[int]) -> int:
    """Have photos looked at with the detector of *generation*, by the rebuild that made it; the caller commits.

    For who has written faces of another round into this one as they were. Nothing is asked where no rebuild made it.

    Args:
        session: A writing transaction.
        generation: A live one.
        photo_ids: Numbers of photos, in any order.

    Returns:
        How many chunks were added.
    """
    rebuild_id = session.scalar(
        select(Rebuild.id)
        .where(Rebuild.generation_id == generation.id, Rebuild.state.not_in(("cancelled", "pruned")))
        .order_by(Rebuild.id)
        .limit(1)
    )
    if rebuild_id is None or not photo_ids:
        return 0
    rows = [
        {"rebuild_id": rebuild_id, "kind": PHOTOS, "first_id": first, "last_id": last, "total": last - first + 1}
        for first, last in _runs(photo_ids)
    ]
    session.execute(insert(Chunk), rows)
    return len(rows)


def left(session: Session, rebuild_id: int) -> int:
    """How many chunks of a rebuild have not ended."""
    mine = (Chunk.rebuild_id == rebuild_id, Chunk.state == "queued")
    return session.scalar(select(func.count()).select_from(Chunk).where(*mine)) or 0


def free(session: Session) -> dict[int, int]:
    """How many chunks nobody works on, by rebuild, of all rebuilds whose chunks are worked on now; the oldest rebuild first."""
    counted = (
        select(Chunk.rebuild_id, func.count())
        .join(Rebuild, Rebuild.id == Chunk.rebuild_id)
        .where(Chunk.state == "queued", Rebuild.state.in_(WORKED), _unclaimed())
        .group_by(Chunk.rebuild_id)
        .order_by(Chunk.rebuild_id)
    )
    return dict(session.execute(counted).all())


def worked_on(session: Session) -> set[int]:
    """The rebuilds of which somebody works on a chunk."""
    held = (Chunk.state == "queued", Chunk.claim.is_not(None), Chunk.claim_expires_at >= now())
    return set(session.scalars(select(Chunk.rebuild_id).where(*held).distinct()))


def claim(session: Session, rebuild_id: int, *, by: str, lease_s: float) -> Held | None:
    """Take the first chunk of a rebuild that nobody works on. None: there is none, or the rebuild is paused or over.

    Args:
        session: A writing transaction, committed before any work starts.
        rebuild_id: Of a rebuild; of one that is gone there is nothing to claim.
        by: Who takes it, as ``host:pid``.
        lease_s: How long it is yours.
    """
    state = session.scalar(select(Rebuild.state).where(Rebuild.id == rebuild_id))
    if state not in WORKED:
        return None
    chunk = session.scalar(
        select(Chunk)
        .where(Chunk.rebuild_id == rebuild_id, Chunk.state == "queued", _unclaimed())
        .order_by(Chunk.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    if chunk is None:
        return None
    if chunk.attempts:
        _halve(session, chunk)
    crashed = chunk.attempts >= ALONE_AT_MOST
    token = secrets.token_hex(16)
    chunk.claim, chunk.claimed_by, chunk.attempts = token, by, chunk.attempts + 1
    chunk.claim_expires_at = (session.scalar(select(now())) or 0.0) + lease_s
    session.flush()
    return Held(chunk.id, rebuild_id, chunk.kind, chunk.first_id, chunk.last_id, token, crashed)


def finish(session: Session, held: Held, *, faces: int) -> bool:
    """End a chunk that brought *faces* into the generation. False: it is somebody else's by now; throw away what was made."""
    ended = _mine(held).values(state="done", faces=faces, claim=None, finished_at=now())
    return session.scalar(ended.returning(Chunk.id)) is not None


def put_back(session: Session, held: Held) -> None:
    """Give a chunk back as if never claimed: what it needed (store, catalog) was away, or nobody wants it now."""
    session.execute(_mine(held).values(claim=None, claimed_by=None, claim_expires_at=None, attempts=Chunk.attempts - 1))


def release_dead(session: Session, host: str, alive: Sequence[str]) -> int:
    """Free at once what processes of *host* held that no longer run. *alive*: the claimants that do. Returns how many."""
    held = update(Chunk).where(
        Chunk.state == "queued",
        Chunk.claim.is_not(None),
        Chunk.claimed_by.like(f"{host}:%"),
        Chunk.claimed_by.not_in(alive),
    )
    return len(session.scalars(held.values(claim=None).returning(Chunk.id)).all())


def claimants(session: Session, host: str) -> list[str]:
    """Who on *host* holds chunks now."""
    held = select(Chunk.claimed_by).where(
        Chunk.state == "queued", Chunk.claim.is_not(None), Chunk.claimed_by.like(f"{host}:%")
    )
    return [by for by in session.scalars(held.distinct()) if by is not None]


def members(session: Session, kind: str, collection_id: int, first_id: int, last_id: int) -> list[int]:
    """The numbers of the faces or photos of a collection that a chunk's range holds now, in order."""
    table: Any = Face if kind == CHIPS else Photo
    within = (table.collection_id == collection_id, table.id >= first_id, table.id <= last_id)
    return list(session.scalars(select(table.id).where(*within).order_by(table.id)))


def faces_lacking(rebuild_id: int, generation: Generation) -> ColumnElement[bool]:
    """Whether a face should have an embedding in *generation* and has none, and no finding of the rebuild leaves it out."""
    embedded = exists().where(Embedding.face_id == Face.id, Embedding.model_id == generation.model_id)
    out = exists().where(
        Finding.rebuild_id == rebuild_id, Finding.kind.in_(LEFT_OUT), Finding.face_id == Face.public_id
    )
    return and_(Face.round == generation.round, Face.chip_key.is_not(None), ~embedded, ~out)


def _halve(session: Session, chunk: Chunk) -> None:
    """Leave *chunk* its first half, and make a chunk of the second; one of a single face or photo stays what it is."""
    collection_id = session.scalar(select(Rebuild.collection_id).where(Rebuild.id == chunk.rebuild_id)) or 0
    held = members(session, chunk.kind, collection_id, chunk.first_id, chunk.last_id)
    if len(held) <= 1:
        return
    middle = (len(held) + 1) // 2
    share = chunk.total * middle // len(held)
    session.add(
        Chunk(
            rebuild_id=chunk.rebuild_id,
            kind=chunk.kind,
            first_id=held[middle],
            last_id=chunk.last_id,
            total=chunk.total - share,
        )
    )
    chunk.last_id, chunk.total, chunk.attempts = held[middle - 1], share, 0
    session.flush()


def _photos_lacking(rebuild: Rebuild, generation: Generation) -> ColumnElement[bool]:
    """Photos with a face of the active round that has none in the round of *generation*."""
    shown, there = aliased(Face), aliased(Face)
    active = select(Collection.round).where(Collection.id == rebuild.collection_id).scalar_subquery()
    paired = exists().where(there.public_id == shown.public_id, there.round == generation.round)
    return exists().where(shown.photo_id == Photo.id, shown.round == active, ~paired)


def _unclaimed() -> ColumnElement[bool]:
    return or_(Chunk.claim.is_(None), Chunk.claim_expires_at < now())


def _mine(held: Held) -> Any:  # noqa: ANN401 - an UPDATE, to be given its values
    return update(Chunk).where(Chunk.id == held.chunk_id, Chunk.claim == held.claim, Chunk.state == "queued")


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """*numbers* as the fewest ranges, first and last, that hold no others."""
    runs: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs

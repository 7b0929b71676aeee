"""Generations: a collection's faces under a model and a detection; which are live, and which one is searched.

Whoever makes a face findable writes it for every live generation, in the transaction that logs it: :func:`log.append` says
which they are. So a generation that is complete stays complete, until it is dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, select, update
from sqlalchemy.orm import Session, aliased

from services.catalog import log
from services.catalog.schema import Collection, Embedding, Face, Generation, now
from services.catalog.tables.rebuild import LEFT_OUT, Finding, Rebuild
from services.errors import Conflict, NotFound

BUILDING, PREPARED, DROPPED = "building", "prepared", "dropped"
REBUILD_ENDS = ("failed", "cancelled", "pruned")


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether a generation is what it should be, counted in one transaction."""

    expected: int
    """Faces of its round that have a chip, which each must have one embedding."""
    embedded: int
    """Of those, how many have it."""
    excused: int
    """Of those that have none, how many a finding names, where that was accepted (``--skip-missing``)."""
    extra: int
    """Faces kept as box and score that have one all the same."""
    unpaired: int
    """Faces with a chip of the active round that have none in this one, where this one is newer. (A newer detection finds faces
    that an older one has not; so on the way back some have no counterpart.)"""

    @property
    def holds(self) -> bool:
        """Whether no embedding is missing that is not accepted as missing, none is too many, and no face is left out."""
        return self.missing == 0 and self.extra == 0 and self.unpaired == 0

    @property
    def missing(self) -> int:
        """Faces without the embedding that they should have."""
        return self.expected - self.embedded - self.excused


def by_id(session: Session, generation_id: int) -> Generation:
    """The generation of that number.

    Raises:
        NotFound: It is gone.
    """
    found = session.get(Generation, generation_id)
    if found is None:
        raise NotFound("generation", generation_id)
    return found


def live_of(session: Session, collection_id: int) -> Sequence[Generation]:
    """The generations that new faces of a collection must be in, as of now; the oldest first."""
    live = session.scalar(select(Collection.live).where(Collection.id == collection_id)) or []
    return session.scalars(select(Generation).where(Generation.id.in_(live)).order_by(Generation.id)).all()


def next_round(session: Session, collection_id: int) -> int:
    """The round of a new detection: one that no generation has, not even one that is still being removed."""
    last = session.scalar(select(func.max(Generation.round)).where(Generation.collection_id == collection_id))
    return 0 if last is None else last + 1


def first(session: Session, collection: Collection, model_id: int, detector_id: int | None) -> Generation:
    """Give a collection without photos, whose row is locked, its only generation, in the place of those it has.

    Rebuilds of nothing end with it.
    """
    if collection.generation_id is not None and (collection.model_id, collection.detector_id) == (
        model_id,
        detector_id,
    ):
        return by_id(session, collection.generation_id)
    rebuilt = update(Rebuild).where(Rebuild.collection_id == collection.id, Rebuild.state.not_in(REBUILD_ENDS))
    session.execute(rebuilt.values(state="cancelled", finished_at=now()))
    session.execute(delete(Generation).where(Generation.collection_id == collection.id))
    made = Generation(
        collection_id=collection.id, model_id=model_id, detector_id=detector_id, round=collection.round, state=PREPARED
    )
    session.add(made)
    session.flush()
    _make_active(collection, made)
    collection.live = [made.id]
    session.flush()
    return made


def begin(session: Session, collection_id: int, model_id: int, detector_id: int | None, *, round_: int) -> Generation:
    """A new live generation, to be built: from the commit on, new faces are written for it too.

    Args:
        session: A writing transaction. It holds the collection's lock from here on, so who commits faces later sees this.
        collection_id: A collection that has a generation.
        model_id: Its embedder.
        detector_id: Its detector; None is the built-in MTCNN.
        round_: That of a live generation, whose faces are to be embedded anew; or :func:`next_round`.

    Raises:
        Conflict: There is one of that model and round already, or what is left of one is still being removed.
    """
    collection = _locked(session, collection_id)
    others = session.scalars(select(Generation).where(Generation.collection_id == collection_id)).all()
    same_round = [other for other in others if other.round == round_]
    is_being_removed = same_round and all(other.state == DROPPED for other in same_round)
    if is_being_removed or any(other.model_id == model_id for other in same_round):
        raise Conflict("Such a generation is there already, or is still being removed. Try again in a moment.")
    made = Generation(
        collection_id=collection_id, model_id=model_id, detector_id=detector_id, round=round_, state=BUILDING
    )
    session.add(made)
    session.flush()
    collection.live = [*collection.live, made.id]
    session.flush()
    return made


def prove(session: Session, generation: Generation) -> Proof:
    """Count whether each face of *generation* that should be embedded is, and no other.

    That one is embedded twice is ruled out by the key of embeddings. One look at every face of the round, and one at every face
    of the active round where that is an older one: of a million faces 0.8 and 1.6 s of a processor, on SQLite.
    """
    is_whole = Face.chip_key.is_not(None)
    its_own = and_(Embedding.face_id == Face.id, Embedding.model_id == generation.model_id)
    counted = (
        select(
            func.count().filter(is_whole),
            func.count(Embedding.face_id).filter(is_whole),
            func.count(Embedding.face_id).filter(~is_whole),
        )
        .select_from(Face)
        .outerjoin(Embedding, its_own)
        .where(Face.collection_id == generation.collection_id, Face.round == generation.round)
    )
    expected, embedded, extra = session.execute(counted).one()
    lacking = and_(
        Face.collection_id == generation.collection_id,
        Face.round == generation.round,
        is_whole,
        ~exists().where(its_own),
        is_left_out(session, generation),
    )
    excused = 0 if expected == embedded else _count(session, select(func.count()).select_from(Face).where(lacking))
    return Proof(expected, embedded, excused, extra, _unpaired(session, generation))


def prepare(session: Session, generation: Generation) -> int:
    """Declare *generation* complete, so that searchers and workers make it ready. Returns the collection's new head.

    Raises:
        Conflict: It was dropped, or is not complete.
    """
    head = log.append(session, generation.collection_id, [log.Change("prepare", generation.id)]).head
    generation = session.get_one(Generation, generation.id, populate_existing=True)
    if generation.state == DROPPED:
        raise Conflict("What was to be prepared was dropped a moment ago.")
    _require(prove(session, generation))
    generation.state = PREPARED
    session.flush()
    return head


def switch(session: Session, generation: Generation) -> int:
    """Have searches look in *generation* from the commit on. Returns the collection's new head.

    Everything that is live stays live: the way back is another switch.

    Raises:
        Conflict: It was dropped, was never prepared, or is not complete.
    """
    head = log.append(session, generation.collection_id, [log.Change("switch", generation.id)]).head
    generation = session.get_one(Generation, generation.id, populate_existing=True)
    collection = session.get_one(Collection, generation.collection_id, populate_existing=True)
    if generation.state != PREPARED:
        raise Conflict("That generation is not kept ready (any more). Rebuild the collection.")
    _require(prove(session, generation))
    _make_active(collection, generation)
    session.flush()
    return head


def drop(session: Session, generation: Generation) -> None:
    """Nobody looks in *generation* any more, and new faces need not be in it. Its rows are removed by and by.

    Raises:
        Conflict: It is what searches look in.
    """
    collection = _locked(session, generation.collection_id)
    if collection.generation_id == generation.id:
        raise Conflict("Searches look in it. Switch to another model first.")
    collection.live = [live for live in collection.live if live != generation.id]
    generation.state, generation.dropped_at = DROPPED, session.scalar(select(now()))
    session.flush()


def _locked(session: Session, collection_id: int) -> Collection:
    """A collection under the lock that :func:`log.append` takes.

    Raises:
        NotFound: There is none of that number.
    """
    log.append(session, collection_id, [])
    return session.get_one(Collection, collection_id, populate_existing=True)


def _make_active(collection: Collection, generation: Generation) -> None:
    collection.generation_id, collection.round = generation.id, generation.round
    collection.model_id, collection.detector_id = generation.model_id, generation.detector_id


def _unpaired(session: Session, generation: Generation) -> int:
    active = session.scalar(select(Collection.round).where(Collection.id == generation.collection_id))
    if active is None or generation.round <= active:
        return 0
    here = aliased(Face)
    paired = exists().where(
        here.public_id == Face.public_id, here.round == generation.round, here.chip_key.is_not(None)
    )
    shown = (Face.collection_id == generation.collection_id, Face.round == active, Face.chip_key.is_not(None))
    alone = select(func.count()).select_from(Face).where(*shown, ~paired)
    return _count(session, alone) and _count(session, alone.where(~is_left_out(session, generation)))


def is_left_out(session: Session, generation: Generation) -> ColumnElement[bool]:
    """Whether the rebuild that makes *generation* has listed a face as one that cannot be had, and may go on without it."""
    made_by = session.execute(
        select(Rebuild.id, Rebuild.parameters).where(Rebuild.generation_id == generation.id)
    ).all()
    accepting = [row.id for row in made_by if row.parameters.get("skip_missing")]
    named = and_(Finding.rebuild_id.in_(accepting), Finding.kind.in_(LEFT_OUT))
    return exists().where(named, Finding.face_id == Face.public_id)


def _require(proof: Proof) -> None:
    if not proof.holds:
        raise Conflict(
            f"The rebuild is not complete: of {proof.expected:,} faces {proof.missing:,} have no embedding, {proof.extra:,} have one "
            f"that should not, and {proof.unpaired:,} are left out. Resume it, or start it anew."
        )


def _count(session: Session, query: Select[int]) -> int:
    return session.scalar(query) or 0

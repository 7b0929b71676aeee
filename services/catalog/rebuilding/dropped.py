"""Dropped generations: which rows of theirs nobody needs, and removing some of them.

Nothing new is written into a dropped generation, nor into a round that no generation is live in, and neither comes back: so what is
found here may be removed in as many transactions as one likes.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, and_, delete, exists, select
from sqlalchemy.orm import Session, aliased

from services.catalog.erasing import removals
from services.catalog.generations import DROPPED
from services.catalog.reviewing import not_same
from services.catalog.schema import Calibration, Embedding, Face, Generation, now


def oldest(session: Session, *, for_s: float) -> Generation | None:
    """The first generation to be removed, dropped *for_s* ago or longer: a search that began before may be under way."""
    long_ago = Generation.dropped_at <= now() - for_s
    wanted = select(Generation).where(Generation.state == DROPPED, long_ago).order_by(Generation.id)
    return session.scalar(wanted.limit(1))


def faces(session: Session, generation: Generation, *, after: int, limit: int) -> Sequence[int]:
    """At most *limit* faces, by number after *after*, of which *generation* alone needs a row still."""
    mine = and_(Face.collection_id == generation.collection_id, Face.round == generation.round, Face.id > after)
    wanted = select(Face.id).where(mine)
    if _is_round_live(session, generation):
        wanted = wanted.join(Embedding, _by_its_model(generation))
    return session.scalars(wanted.order_by(Face.id).limit(limit)).all()


def remove(session: Session, generation: Generation, face_ids: Sequence[int]) -> int:
    """Remove what only *generation* needs of these faces; those that somebody else is writing to are passed over.

    That is their embeddings by its model; where its round is live no more also the faces, their chips where the face has no
    other row that uses them, and what was said of it where it has no other row at all.

    Returns:
        How many faces were seen to.
    """
    locked = select(Face.id).where(Face.id.in_(face_ids)).order_by(Face.id).with_for_update(skip_locked=True)
    mine = session.scalars(locked).all()
    if _is_round_live(session, generation):
        session.execute(delete(Embedding).where(Embedding.face_id.in_(mine), Embedding.model_id == generation.model_id))
        return len(mine)
    other = aliased(Face)
    used = exists().where(other.public_id == Face.public_id, other.round != Face.round, other.chip_key == Face.chip_key)
    removals.note(session, *session.scalars(_chips(mine).where(~used)))
    public_ids = session.scalars(select(Face.public_id).where(Face.id.in_(mine))).all()
    session.execute(delete(Embedding).where(Embedding.face_id.in_(mine)))
    session.execute(delete(Face).where(Face.id.in_(mine)))
    not_same.forget(session, public_ids)
    return len(mine)


def forget(session: Session, generation: Generation) -> bool:
    """Delete a dropped generation of which no row is left, with its calibration. False: there are some still."""
    if faces(session, generation, after=0, limit=1):
        return False
    session.execute(delete(Embedding).where(Embedding.model_id == generation.model_id, _is_nowhere_live(generation)))
    session.execute(delete(Calibration).where(Calibration.generation_id == generation.id))
    session.execute(delete(Generation).where(Generation.id == generation.id, Generation.state == DROPPED))
    return True


def _is_round_live(session: Session, generation: Generation) -> bool:
    same = (Generation.collection_id == generation.collection_id, Generation.round == generation.round)
    return session.scalar(select(Generation.id).where(*same, Generation.state != DROPPED).limit(1)) is not None


def _is_nowhere_live(generation: Generation) -> ColumnElement[bool]:
    """Whether an embedding by the model of *generation* is of a round that is not live under it: kept for the way back only."""
    live = select(Generation.round).where(
        Generation.collection_id == generation.collection_id,
        Generation.model_id == generation.model_id,
        Generation.state != DROPPED,
    )
    mine = select(Face.id).where(Face.collection_id == generation.collection_id, Face.round.not_in(live))
    return Embedding.face_id.in_(mine)


def _by_its_model(generation: Generation) -> ColumnElement[bool]:
    return and_(Embedding.face_id == Face.id, Embedding.model_id == generation.model_id)


def _chips(face_ids: Sequence[int]) -> Select[str | None]:
    return select(Face.chip_key).where(Face.id.in_(face_ids), Face.chip_key.is_not(None))

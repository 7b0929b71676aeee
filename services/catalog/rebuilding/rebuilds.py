"""Rebuilds: a collection made anew under another model or detector, and the way it takes through its states.

    planning → embedding ⇄ paused → comparing → ready ─┬→ switching → switched ⇄ rolled_back
        └→ failed     └→ failed          └→ stopped ───┘        (any that is not switched) → cancelled

Whoever conducts moves a rebuild on (:mod:`workers.rebuilding`); what people ask for is here. Every move is a transaction, and
finds out itself whether the move can be made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from services.catalog import generations
from services.catalog.importing import jobs
from services.catalog.rebuilding import carrying, chunks, findings
from services.catalog.schema import Collection, Generation, Job, Model, new_id, now
from services.catalog.tables.rebuild import Chunk, Rebuild
from services.catalog.telling import webhooks
from services.errors import Conflict, NotFound

UNDER_WAY = ("planning", "embedding", "paused", "comparing", "ready", "stopped", "switching")
"""States in which a collection can have no other rebuild."""
MOVING = ("planning", "embedding", "comparing", "switching")
"""States that whoever conducts has to do something about."""

AUTO = "auto"
"""A rebuild that compares well is switched to at once; else it waits for a person."""

_RATE_OVER_S = 30.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far re-embedding is."""

    total: int
    """Faces or photos to be worked on, as planned and as added since."""
    done: int
    faces: int
    """Faces that are in the new generation by this."""
    rate: float | None
    """Of *total*, a second, over the last half minute."""
    eta_s: float | None


def create(
    session: Session,
    collection: Collection,
    model: Model,
    detector_id: int | None,
    parameters: Mapping[str, Any],
    *,
    by: str,
) -> Rebuild:
    """A new rebuild, to be planned; the caller commits, and then has it conducted.

    Args:
        session: A writing transaction.
        collection: Whose faces are to be embedded anew.
        model: An embedder that was tried, whose licence may be used.
        detector_id: The detector that it is to end with; None is the built-in MTCNN.
        parameters: ``source``, ``switch``, ``skip_missing``, ``min_rank1``, ``max_loss``: what :mod:`workers.rebuilding` reads.
        by: Name of the key that asks.

    Raises:
        Conflict: One is under way, the collection has no model yet, or it has this model and detector already.
    """
    session.refresh(collection, with_for_update=True)  # Of two that ask at once the second sees the first.
    _require_alone(session, collection.id)
    if collection.generation_id is None:
        raise Conflict("This collection has no model yet: the workers have not been prepared.")
    if (collection.model_id, collection.detector_id) == (model.id, detector_id) and parameters.get("source") != "raw":
        raise Conflict(f"The collection uses {model.name} with this detector already: there is nothing to rebuild.")
    made = Rebuild(
        public_id=new_id("reb"),
        collection_id=collection.id,
        model_id=model.id,
        detector_id=detector_id,
        from_generation=collection.generation_id,
        state="planning",
        parameters=dict(parameters),
        asked_by=by[:64],
    )
    session.add(made)
    session.flush()
    webhooks.rebuild_moved(session, made)
    return made


def shown(session: Session, collection_id: int, public_id: str) -> Rebuild:
    """The rebuild of that id, to be read.

    Raises:
        NotFound: There is none in this collection.
    """
    return _found(session, _called(collection_id, public_id), public_id)


def by_public_id(session: Session, collection_id: int, public_id: str) -> Rebuild:
    """As :func:`shown`, locked until the transaction ends."""
    locked = _called(collection_id, public_id).with_for_update().execution_options(populate_existing=True)
    return _found(session, locked, public_id)


def page(session: Session, collection_id: int, *, limit: int, before: int | None = None) -> Sequence[Rebuild]:
    """Rebuilds of a collection, newest first, at most *limit*, older than number *before*."""
    wanted = select(Rebuild).where(Rebuild.collection_id == collection_id)
    if before is not None:
        wanted = wanted.where(Rebuild.id < before)
    return session.scalars(wanted.order_by(Rebuild.id.desc()).limit(limit)).all()


def moving(session: Session) -> Sequence[Rebuild]:
    """The rebuilds that somebody has to conduct, oldest first."""
    return session.scalars(select(Rebuild).where(Rebuild.state.in_(MOVING)).order_by(Rebuild.id)).all()


def current(session: Session, collection_id: int) -> Rebuild | None:
    """The rebuild of a collection that is under way."""
    wanted = select(Rebuild).where(Rebuild.collection_id == collection_id, Rebuild.state.in_(UNDER_WAY))
    return session.scalar(wanted.order_by(Rebuild.id.desc()).limit(1))


def progress(session: Session, rebuild: Rebuild) -> Progress:
    """How far *rebuild* is, counted now."""
    ended = Chunk.state == "done"
    total, done, faces = session.execute(
        select(
            func.coalesce(func.sum(Chunk.total), 0),
            func.coalesce(func.sum(Chunk.total).filter(ended), 0),
            func.coalesce(func.sum(Chunk.faces), 0),
        ).where(Chunk.rebuild_id == rebuild.id)
    ).one()
    lately = (Chunk.rebuild_id == rebuild.id, ended, Chunk.finished_at > now() - _RATE_OVER_S)
    recent, since, moment = session.execute(
        select(func.sum(Chunk.total), func.min(Chunk.finished_at), now()).where(*lately)
    ).one()
    span_s = None if since is None else max(moment - since, moment - max(rebuild.embedding_at or since, since))
    rate = float(recent) / span_s if recent and span_s and span_s > 0.5 and rebuild.state == "embedding" else None
    left = int(total) - int(done)
    return Progress(int(total), int(done), int(faces), rate, left / rate if rate else None)


def pause(session: Session, rebuild: Rebuild) -> None:
    """Have no more chunks claimed; those that are being worked on end.

    Raises:
        Conflict: It is not embedding.
    """
    _require(rebuild, "paused", "embedding")
    _set(session, rebuild, "paused")


def begin(session: Session, rebuild: Rebuild, generation: Generation, plan: Mapping[str, Any]) -> None:
    """Go from planning to embedding, or to comparing where *generation* is complete and ready already."""
    rebuild.generation_id, rebuild.plan = generation.id, dict(plan)
    rebuild.embedding_at = session.scalar(select(now()))
    is_there = plan["source"] == "none"
    rebuild.embedded_at = rebuild.embedding_at if is_there else None
    _set(session, rebuild, "comparing" if is_there else "embedding")


def compare(session: Session, rebuild: Rebuild) -> None:
    """Go from embedding, which is complete, to comparing."""
    rebuild.embedded_at, rebuild.comparison_job = session.scalar(select(now())), None
    _set(session, rebuild, "comparing")


def judge(session: Session, rebuild: Rebuild, comparison: Mapping[str, Any], stopped_by: str | None) -> None:
    """Go on from comparing: to ``stopped`` with the policy's sentence, to ``switching``, or to ``ready`` for a person."""
    rebuild.comparison, rebuild.error = dict(comparison), None if stopped_by is None else stopped_by[:1024]
    wants = rebuild.parameters.get("switch", AUTO)
    _set(session, rebuild, "stopped" if stopped_by else "switching" if wants == AUTO else "ready")


def resume(session: Session, rebuild: Rebuild, *, skip_missing: bool = False) -> None:
    """Go on after a pause, or after what made it fail was mended: what was left out is tried again.

    Args:
        session: A writing transaction that holds the rebuild's row.
        rebuild: Paused or failed.
        skip_missing: From now on go on without what cannot be had.

    Raises:
        Conflict: It is neither paused nor failed, another one is under way, or what it has made so far is gone.
    """
    _require(rebuild, "resumed", "paused", "failed")
    if rebuild.state == "paused":
        _set(session, rebuild, "embedding")
        return
    _require_alone(session, rebuild.collection_id)
    generation = None if rebuild.generation_id is None else session.get(Generation, rebuild.generation_id)
    if rebuild.generation_id is not None and (generation is None or generation.state == generations.DROPPED):
        raise Conflict("What it had made was removed. Start it anew.")
    if skip_missing:
        rebuild.parameters = {**rebuild.parameters, "skip_missing": True}
    photo_ids = findings.forget_left_out(session, rebuild)
    if generation is not None:
        chunks.look_again(session, generation, photo_ids)
    _set(session, rebuild, "planning" if generation is None else "embedding")


def cancel(session: Session, rebuild: Rebuild) -> None:
    """End a rebuild that was not switched to; what it has made is removed.

    Raises:
        Conflict: It was switched to, or has ended.
    """
    if rebuild.state not in {*UNDER_WAY, "failed"}:
        raise Conflict(f"Rebuild {rebuild.public_id} is {rebuild.state}; it cannot be cancelled.")
    _drop_made(session, rebuild)
    if (compared := session.scalar(select(Job).where(Job.public_id == rebuild.comparison_job))) is not None:
        jobs.cancel(session, compared)
    _set(session, rebuild, "cancelled", ended=True)


def ask_to_switch(session: Session, rebuild: Rebuild, *, despite_policy: bool = False) -> None:
    """Have searches look in what was made as soon as every process is ready for it.

    Raises:
        Conflict: It is not ready, or the policy stopped it and *despite_policy* is not given.
    """
    if rebuild.state == "switching":
        return
    if rebuild.state == "stopped" and not despite_policy:
        raise Conflict(f"{rebuild.error} Look at the report; to switch nevertheless, say so (despite_policy).")
    _require(rebuild, "switched to", "ready", "stopped", "rolled_back")
    _require_alone(session, rebuild.collection_id, rebuild)
    _set(session, rebuild, "switching")


def roll_back(session: Session, rebuild: Rebuild) -> int:
    """Have searches look in what was active before, at once. Returns the collection's new head.

    Raises:
        Conflict: It is not what searches look in, or what was before is gone.
    """
    _require(rebuild, "rolled back", "switched")
    collection = session.get_one(Collection, rebuild.collection_id, populate_existing=True)
    before = session.get(Generation, rebuild.from_generation)
    if collection.generation_id != rebuild.generation_id:
        raise Conflict("Searches look in something newer by now. Roll that back first.")
    if before is None or before.state != generations.PREPARED:
        raise Conflict("The embeddings of the model before were freed (models prune). Rebuild to it.")
    head = carrying.switch_to(session, before)
    _set(session, rebuild, "rolled_back")
    return head


def fail(session: Session, rebuild: Rebuild, error: str, problem: str) -> None:
    """End a rebuild with a sentence; :func:`resume` goes on with it."""
    rebuild.error, rebuild.problem = error[:1024], problem
    _set(session, rebuild, "failed", ended=True)


def _called(collection_id: int, public_id: str) -> Select[Rebuild]:
    return select(Rebuild).where(Rebuild.collection_id == collection_id, Rebuild.public_id == public_id)


def _found(session: Session, wanted: Select[Rebuild], public_id: str) -> Rebuild:
    if (found := session.scalar(wanted)) is None:
        raise NotFound("rebuild", public_id)
    return found


def _drop_made(session: Session, rebuild: Rebuild) -> None:
    """Drop the generation that *rebuild* has made, unless it is searched, or was there before."""
    made = None if rebuild.generation_id is None else session.get(Generation, rebuild.generation_id)
    collection = session.get_one(Collection, rebuild.collection_id)
    was_there = (rebuild.plan or {}).get("source") == "none"
    if made is not None and made.state != generations.DROPPED and made.id != collection.generation_id and not was_there:
        generations.drop(session, made)


def _require_alone(session: Session, collection_id: int, rebuild: Rebuild | None = None) -> None:
    """See that no rebuild of a collection is under way but *rebuild*."""
    other = current(session, collection_id)
    if other is not None and other is not rebuild:
        told = f"Rebuild {other.public_id} of this collection is under way ({other.state})."
        raise Conflict(f"{told} Switch to it or cancel it first.")


def _require(rebuild: Rebuild, wanted: str, *states: str) -> None:
    if rebuild.state not in states:
        allowed = " or ".join(states)
        raise Conflict(f"Rebuild {rebuild.public_id} is {rebuild.state}; only one that is {allowed} can be {wanted}.")


def _set(session: Session, rebuild: Rebuild, state: str, *, ended: bool = False) -> None:
    rebuild.state = state
    if ended:
        rebuild.finished_at = session.scalar(select(now()))
    elif state != "stopped":
        rebuild.error, rebuild.problem, rebuild.finished_at = None, None, None
    session.flush()
    webhooks.rebuild_moved(session, rebuild)

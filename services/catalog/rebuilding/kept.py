"""What collections keep: the generation that is searched, those that are ready to be searched again, and freeing these."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session

from services.catalog import generations, models
from services.catalog.rebuilding import rebuilds
from services.catalog.schema import Collection, Embedding, Face, Generation, Model, now
from services.catalog.tables.rebuild import Rebuild
from services.catalog.telling import webhooks
from services.errors import Conflict


@dataclass(frozen=True, slots=True)
class Kept:
    """A generation as it is held."""

    generation: Generation
    collection: Collection
    embeddings: int
    """Of one that is being removed: those still there."""

    @property
    def is_active(self) -> bool:
        """Whether searches look in it."""
        return self.collection.generation_id == self.generation.id


def of_collection(session: Session, collection: Collection) -> Sequence[Kept]:
    """Every generation of a collection, oldest first."""
    return _held(session, Generation.collection_id == collection.id)


def of_model(session: Session, model: Model) -> Sequence[Kept]:
    """In all collections, the generations that need *model* as their embedder or their detector."""
    return _held(session, or_(Generation.model_id == model.id, Generation.detector_id == model.id))


def free(session: Session, model: Model) -> Sequence[Kept]:
    """Drop the generations of *model* that searches do not look in; upkeep removes their rows by and by.

    A rebuild whose generation goes ends as ``pruned``: there is no way back to it.

    Args:
        session: A writing transaction.
        model: An embedder or a detector.

    Returns:
        What was dropped now, perhaps nothing.

    Raises:
        Conflict: A rebuild that is under way makes one of them.
    """
    freed = [held for held in of_model(session, model) if not held.is_active and _is_held(held.generation)]
    for held in freed:
        maker = rebuilds.current(session, held.collection.id)
        if maker is not None and maker.generation_id == held.generation.id:
            raise Conflict(
                f"Rebuild {maker.public_id} of collection {held.collection.name} makes what is to be freed ({maker.state}). "
                "Switch to it or cancel it first."
            )
        generations.drop(session, held.generation)
        made_it = update(Rebuild).where(
            Rebuild.generation_id == held.generation.id, Rebuild.state.not_in(("cancelled", "pruned"))
        )
        pruned = made_it.values(state="pruned", finished_at=now()).returning(Rebuild)
        for rebuild in session.scalars(pruned, execution_options={"populate_existing": True}).all():
            webhooks.rebuild_moved(session, rebuild)
    return freed


def uses(session: Session, model: Model) -> list[str]:
    """What still needs *model*: see :func:`models.uses`; rebuilds that are under way, and what is still being removed."""
    mine = or_(Rebuild.model_id == model.id, Rebuild.detector_id == model.id)
    making = select(Rebuild.public_id).where(mine, Rebuild.state.in_(rebuilds.UNDER_WAY)).order_by(Rebuild.id)
    being_removed = any(not _is_held(held.generation) for held in of_model(session, model))
    return [
        *models.uses(session, model),
        *(f"rebuild {public_id}" for public_id in session.scalars(making)),
        *(["what upkeep is removing"] if being_removed else []),
    ]


def forget(session: Session, model: Model) -> None:
    """Delete the row of a model that nothing uses, with the rebuilds to it that have ended; the caller sees to its files."""
    session.execute(delete(Rebuild).where(or_(Rebuild.model_id == model.id, Rebuild.detector_id == model.id)))
    models.forget(session, model)


def _is_held(generation: Generation) -> bool:
    return generation.state != generations.DROPPED


def _held(session: Session, condition: ColumnElement[bool]) -> list[Kept]:
    joined = select(Generation, Collection).join(Collection, Collection.id == Generation.collection_id)
    rows = session.execute(joined.where(condition).order_by(Collection.id, Generation.id)).all()
    return [Kept(generation, collection, _embeddings(session, generation)) for generation, collection in rows]


def _embeddings(session: Session, generation: Generation) -> int:
    counted = (
        select(func.count())
        .select_from(Face)
        .join(Embedding, Embedding.face_id == Face.id)
        .where(Face.collection_id == generation.collection_id, Face.round == generation.round)
        .where(Embedding.model_id == generation.model_id)
    )
    return session.scalar(counted) or 0

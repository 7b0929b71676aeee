"""What searchers hold: which generations there are to be searched, and which of them are held before anybody asks."""

from collections.abc import Set as AbstractSet
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from services.catalog.generations import BUILDING, DROPPED, PREPARED
from services.catalog.rebuilding.rebuilds import UNDER_WAY
from services.catalog.schema import Collection, Generation, Model
from services.catalog.tables.rebuild import Rebuild
from services.errors import NotFound


class Searched(NamedTuple):
    """A generation that searches may look in."""

    collection_id: int
    generation_id: int
    is_pinned: bool
    """Held whether it is used or not: it is the active one of a collection that is, or one of several of a collection."""

    @property
    def key(self) -> tuple[int, int]:
        """Collection and generation."""
        return self.collection_id, self.generation_id


def searched(session: Session, *, pinned: AbstractSet[str]) -> list[Searched]:
    """Every prepared generation. Asked every few seconds, so only what is needed is read.

    Where a collection has several live ones, one of them may be switched to at any moment: all are held ready.

    Args:
        session: A reading transaction.
        pinned: The collections, by name, whose active generation is held from the start on.
    """
    rows = session.execute(
        select(Generation.collection_id, Generation.id, Collection.name, Collection.generation_id, Collection.live)
        .join(Collection, Collection.id == Generation.collection_id)
        .where(Generation.state == PREPARED)
    )
    return [
        Searched(collection, generation, len(live) > 1 or (generation == active and name in pinned))
        for collection, generation, name, active, live in rows
    ]


def every(session: Session) -> dict[int, Generation]:
    """Every generation of all collections, by number, oldest first."""
    return {each.id: each for each in session.scalars(select(Generation).order_by(Generation.id))}


def dimension(session: Session, generation_id: int) -> int:
    """Of the vectors of a generation.

    Raises:
        NotFound: It is gone, or nobody may look in it (any more).
    """
    wanted = select(Model.dimension).join(Generation, Generation.model_id == Model.id)
    row = session.execute(wanted.where(Generation.id == generation_id, Generation.state == PREPARED)).one_or_none()
    if row is None:
        raise NotFound("generation", generation_id)
    return row.dimension or 0


def compared(session: Session) -> set[tuple[int, int]]:
    """Collection and generation of every rebuild that is under way: what recent searches are kept for."""
    wanted = select(Rebuild.collection_id, Rebuild.generation_id).where(Rebuild.state.in_(UNDER_WAY))
    return {(collection, generation) for collection, generation in session.execute(wanted) if generation is not None}


class Used(NamedTuple):
    """A model, with a detector, that some generation was made by."""

    model: str
    """Digest of the embedder."""
    detector: str | None
    """Digest of the detector's file; None is the built-in MTCNN."""
    name: str
    """The embedder's."""
    is_soon: bool
    """Searches may need it from one moment to the next: its collection has several generations."""
    is_building: bool
    """Nobody searches in it yet."""


def models_used(session: Session) -> list[Used]:
    """The models of all generations that were not dropped, each once. Asked every few seconds, as :func:`searched`."""
    detector = aliased(Model)
    rows = session.execute(
        select(Model.digest, detector.digest, Model.name, Collection.live, Generation.state)
        .select_from(Generation)
        .join(Collection, Collection.id == Generation.collection_id)
        .join(Model, Model.id == Generation.model_id)
        .outerjoin(detector, detector.id == Generation.detector_id)
        .where(Generation.state != DROPPED)
    )
    return list(dict.fromkeys(Used(*row[:3], len(row.live) > 1, row.state == BUILDING) for row in rows))

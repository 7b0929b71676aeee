"""Calibrations: which rates a similarity stands for in one generation of a collection. There is one of each, the last."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from services.catalog.engine import upsert
from services.catalog.schema import Calibration, Collection, Generation, now

_FITTED_AT = select(Calibration.created_at).where(Calibration.generation_id == bindparam("generation"))


def keep(
    session: Session, generation: Generation, *, sequence: int, people: int, faces: int, curves: Mapping[str, Any]
) -> None:
    """Put a calibration in the place of the one before.

    Args:
        session: The caller commits.
        generation: Whose similarities they are.
        sequence: The log entry up to which the collection was looked at.
        people: How many have a face.
        faces: How many they have together.
        curves: What :mod:`services.calibrated` reads.
    """
    row = {"sequence": sequence, "people": people, "faces": faces, "curves": dict(curves), "created_at": now()}
    new = upsert(session, Calibration).values(
        collection_id=generation.collection_id, model_id=generation.model_id, generation_id=generation.id, **row
    )
    session.execute(new.on_conflict_do_update(index_elements=["generation_id"], set_=row))


def of(session: Session, generation_id: int) -> Calibration | None:
    """The calibration of a generation, where there is one."""
    wanted = select(Calibration).where(Calibration.generation_id == generation_id)
    return session.scalar(wanted.execution_options(populate_existing=True))


def fitted_at(session: Session, generation_id: int) -> float | None:
    """When the calibration of a generation was fitted; asked at every search, to know whether it is new."""
    return session.scalar(_FITTED_AT, {"generation": generation_id})


def current(session: Session) -> dict[int, Calibration]:
    """By collection, the calibration of the generation that it is searched in now."""
    mine = Calibration.generation_id == Collection.generation_id
    return {row.collection_id: row for row in session.scalars(select(Calibration).join(Collection, mine))}

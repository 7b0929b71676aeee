"""Calibrations: which rates a similarity stands for in a collection under one model. There is one of each pair, the last."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import and_, bindparam, select
from sqlalchemy.orm import Session

from services.catalog.engine import upsert
from services.catalog.schema import Calibration, Collection, now

_FITTED_AT = select(Calibration.created_at).where(
    Calibration.collection_id == bindparam("collection"), Calibration.model_id == bindparam("model")
)


def keep(
    session: Session,
    collection_id: int,
    model_id: int,
    *,
    sequence: int,
    people: int,
    faces: int,
    curves: Mapping[str, Any],
) -> None:
    """Put a calibration in the place of the one before.

    Args:
        session: The caller commits.
        collection_id: Whose people were looked at.
        model_id: Whose similarities they are.
        sequence: The log entry up to which the collection was looked at.
        people: How many have a face.
        faces: How many they have together.
        curves: What :mod:`services.calibrated` reads.
    """
    row = {"sequence": sequence, "people": people, "faces": faces, "curves": dict(curves), "created_at": now()}
    new = upsert(session, Calibration).values(collection_id=collection_id, model_id=model_id, **row)
    session.execute(new.on_conflict_do_update(index_elements=["collection_id", "model_id"], set_=row))


def of(session: Session, collection_id: int, model_id: int) -> Calibration | None:
    """The calibration of a collection under a model, where there is one."""
    wanted = select(Calibration).where(Calibration.collection_id == collection_id, Calibration.model_id == model_id)
    return session.scalar(wanted.execution_options(populate_existing=True))


def fitted_at(session: Session, collection_id: int, model_id: int) -> float | None:
    """When the calibration of a collection under a model was fitted; asked at every search, to know whether it is new."""
    return session.scalar(_FITTED_AT, {"collection": collection_id, "model": model_id})


def current(session: Session) -> dict[int, Calibration]:
    """By collection, the calibration under the model that it uses now."""
    mine = and_(Calibration.collection_id == Collection.id, Calibration.model_id == Collection.model_id)
    return {row.collection_id: row for row in session.scalars(select(Calibration).join(Collection, mine))}

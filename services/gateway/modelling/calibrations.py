"""Calibrations: what a collection's own people say about similarities, as searches use it now."""

from typing import Any

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from services.calibrated import Calibrated
from services.catalog import calibrations
from services.catalog.schema import Calibration, Collection
from services.errors import NotFound
from services.gateway.answers import time_of
from services.gateway.doors import InCollection, Resource, collection_of, gateway

resource = Resource("calibrations", "Which rates a similarity stands for")


class Cost(BaseModel):
    """What a rate needs and costs; nulls where there are not enough people for it."""

    kind: str = Field(description="fpir or fmr")
    rate: float
    people: int | None = Field(description="Of an FPIR: the size of the gallery, which is the present one.")
    threshold: float | None
    low: float | None = Field(description="With high: what the rate is in 95 of 100 other groups of as many people.")
    high: float | None
    missed: float | None = Field(description="FNIR or FNMR: the share of known people's photos that are missed.")
    sentence: str


class CalibrationOut(BaseModel):
    """A calibration of a collection in the generation that it is searched in now."""

    model: str
    people: int = Field(description="How many were enrolled when it was fitted.")
    faces: int
    sequence: int = Field(description="The log entry up to which it has seen the collection.")
    created_at: str
    stale: str | None = Field(description="Why it should be fitted anew; null where it need not be.")
    rates: list[Cost]


class WholeCalibrationOut(CalibrationOut):
    """With its tables."""

    curves: dict[str, Any]


@resource.door("get", "/calibrations", "read", responses={200: WholeCalibrationOut})
def show(query: InCollection) -> ResponseReturnValue:
    """The calibration that the collection's searches use: its tables, and what the usual rates cost. 404: there is none."""
    with gateway().catalog.reading() as session:
        collection = collection_of(session, query.collection)
        generation = collection.generation_id
        row = None if generation is None else calibrations.of(session, generation)
        if row is None:
            raise NotFound("calibration of collection", collection.name)
        return {**told(session, collection, row), "curves": row.curves}


def told(session: Session, collection: Collection, row: Calibration) -> dict[str, Any]:
    """See :class:`CalibrationOut`."""
    known = gateway().known
    people = known.people(session, collection)
    calibrated = Calibrated(row.curves)
    changes = collection.head - row.sequence if calibrated.epoch == collection.epoch else row.faces
    return {
        "model": known.model(session, row.model_id).name,
        "people": row.people,
        "faces": row.faces,
        "sequence": row.sequence,
        "created_at": time_of(row.created_at),
        "stale": calibrated.stale(people, changes),
        "rates": calibrated.told(people),
    }

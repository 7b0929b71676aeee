"""What is computed by request: trainings, evaluations and calibrations as jobs, and the reports of evaluations."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from flask import Response, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field, StringConstraints, model_validator

from services.catalog import computations, evaluations, models
from services.catalog.schema import Evaluation
from services.errors import BrokerUnavailable, NotFound
from services.gateway import answers
from services.gateway.doors import InCollection, Page, Resource, Taken, collection_of, gateway
from services.gateway.paging import number_after, page_of
from services.gateway.streaming import streamed
from services.logs import logger

resource = Resource("computing", "Trainings, evaluations and calibrations")

_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""For reports: they hold all that they show, and run nothing."""

ModelName = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Wanted(Taken):
    """What every computation may be told."""

    collection: str | None = Field(default=None, max_length=64, description="As in the query, which it goes before.")


class TrainingIn(Wanted):
    """What is to be trained on a collection's faces."""

    method: Literal["triplet", "siamese"]
    network: Literal["scratch", "embedding"] | None = Field(
        default=None, description="Of siamese: twin networks from scratch, or a head on the embedding."
    )
    base: ModelName | None = Field(default=None, description="The model to start from; else the collection's.")
    name: str | None = Field(default=None, min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    recipe: dict[str, bool | int | float | str] = Field(
        default_factory=dict, max_length=40, description="Options of the method (docs/training.md)."
    )

    @model_validator(mode="after")
    def _network_is_siamese(self) -> "TrainingIn":
        if self.network is not None and self.method != "siamese":
            raise ValueError("network is an option of the method siamese")
        return self


class EvaluationIn(Wanted):
    """Which models are to be compared on a collection's faces."""

    models: list[ModelName] = Field(
        default_factory=list, max_length=8, description="Names or ids; else the collection's."
    )
    groups: dict[str, dict[str, str]] | None = Field(
        default=None, description='Of people, by name: what group each belongs to, such as {"Ana": {"site": "Lima"}}.'
    )
    thumbnails: bool = Field(default=True, description="Whether the report shows faces.")


class CalibrationIn(Wanted):
    """Under which model a collection is to be calibrated."""

    model: ModelName | None = Field(default=None, description="Else the collection's.")


class EvaluationPath(BaseModel):
    """Which evaluation."""

    evaluation_id: str = Field(max_length=64)


class EvaluationOut(BaseModel):
    """How good models were on a collection's faces."""

    id: str
    job: str | None
    has_report: bool
    figures: dict[str, Any]
    created_at: str


class EvaluationPage(BaseModel):
    """Evaluations, newest first."""

    items: list[EvaluationOut]
    next_cursor: str | None


@resource.door("post", "/trainings", "train", responses={202: answers.JobRef})
def train(query: InCollection, body: TrainingIn) -> ResponseReturnValue:
    """Train on a collection's faces. The job ends with a candidate model and its figures."""
    if body.name is not None:
        with gateway().catalog.reading() as session:
            models.not_taken(session, body.name)
    return _taken(computations.TRAINING, query, body, [body.base])


@resource.door("post", "/evaluations", "train", responses={202: answers.JobRef})
def evaluate(query: InCollection, body: EvaluationIn) -> ResponseReturnValue:
    """Measure one or more models on a collection's faces. The job ends with figures and a report."""
    return _taken(computations.EVALUATION, query, body, body.models)


@resource.door("post", "/calibrations", "train", responses={202: answers.JobRef})
def calibrate(query: InCollection, body: CalibrationIn) -> ResponseReturnValue:
    """Learn from a collection's own faces which rates a similarity stands for. Searches use it from then on."""
    return _taken(computations.CALIBRATION, query, body, [body.model])


@resource.door("get", "/evaluations", "read", responses={200: EvaluationPage})
def index(query: Page) -> ResponseReturnValue:
    """Evaluations of a collection, newest first."""
    with gateway().catalog.reading() as session:
        collection_id = collection_of(session, query.collection).id
        before = number_after(query.cursor) or None
        found = evaluations.page(session, collection_id, limit=query.limit + 1, before=before)
    rows = [(_told(row, job), row.id) for row, job in found[: query.limit]]
    return page_of(rows, more=len(found) > query.limit)


@resource.door("get", "/evaluations/<evaluation_id>", "read", responses={200: EvaluationOut})
def show(path: EvaluationPath, query: InCollection) -> ResponseReturnValue:
    """The figures of an evaluation."""
    return _told(*_found(path, query))


@resource.door("get", "/evaluations/<evaluation_id>/report", "read")
def report(path: EvaluationPath, query: InCollection) -> ResponseReturnValue:
    """The report of an evaluation: HTML to look at, or its figures as JSON, by `Accept`. It may show faces."""
    row, _ = _found(path, query)
    kind = request.accept_mimetypes.best_match(["text/html", "application/json"], "text/html")
    if kind == "application/json":
        return row.figures
    if row.report_key is None:
        raise NotFound("report of evaluation", row.public_id)
    return page_to_look_at(row.report_key)


def begin(kind: str, collection: str, parameters: Mapping[str, Any], *, source: str = "") -> ResponseReturnValue:
    """Take a computation in and have it computed: 202 with its job."""
    with gateway().catalog.transaction() as session:
        job = computations.create(session, collection_of(session, collection).id, kind, parameters, source=source)
    send_computation(job.id)
    return {"job": job.public_id}, 202, {"Location": url_for("jobs.show", job_id=job.public_id)}


def page_to_look_at(report_key: str) -> Response:
    """A report of the photo store, as HTML that holds all that it shows and runs nothing."""
    response = streamed(report_key, "text/html")
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Vary"] = "Accept"
    return response


def send_computation(job_id: int) -> None:
    """Send a computation to the training worker. Where the broker is away it waits in the catalog; the sweep sends it."""
    try:
        gateway().queue.compute(job_id)
    except BrokerUnavailable:
        logger().warning("computation.not_sent", job=job_id)


def _taken(
    kind: str, query: InCollection, body: Wanted, named: list[ModelName | None] | list[ModelName]
) -> ResponseReturnValue:
    """As :func:`begin`, once the models that the request names are seen to be there."""
    with gateway().catalog.reading() as session:
        for name in named:
            if name is not None:
                models.require_tried(models.by_public_id(session, name))
    wanted = body.model_dump(exclude_none=True, exclude={"collection"})
    return begin(kind, body.collection or query.collection, wanted)


def _found(path: EvaluationPath, query: InCollection) -> tuple[Evaluation, str | None]:
    with gateway().catalog.reading() as session:
        return evaluations.by_public_id(session, collection_of(session, query.collection).id, path.evaluation_id)


def _told(row: Evaluation, job: str | None) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "job": job,
        "has_report": row.report_key is not None,
        "figures": row.figures,
        "created_at": answers.time_of(row.created_at),
    }

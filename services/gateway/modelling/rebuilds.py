"""Rebuilds: a collection made anew under another model or detector, while it is searched."""

from typing import Annotated, Any, Literal

from flask import request, url_for
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from services.catalog import models
from services.catalog.rebuilding import findings as rebuild_findings
from services.catalog.rebuilding import rebuilds, switching
from services.catalog.schema import Collection, Model
from services.catalog.tables.rebuild import Rebuild
from services.errors import BrokerUnavailable, Conflict, InvalidRequest, NotFound
from services.gateway import answers
from services.gateway.doors import InCollection, MayBeLeftOut, Page, Resource, Taken, collection_of, gateway, key
from services.gateway.guarding.auth import require_unlimited
from services.gateway.modelling import rebuild_answers
from services.gateway.modelling.computing import ModelName, page_to_look_at
from services.gateway.paging import number_after, page_of
from services.logs import logger
from services.photos import keys

resource = Resource("rebuilds", "Collections made anew under another model or detector")

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class RebuildIn(Taken):
    """What a collection is to be made anew with."""

    model: ModelName | None = Field(default=None, description="Name or id; else the collection's.")
    detector: ModelName | None = Field(
        default=None, description="Name or id; `mtcnn` is the built-in one; else the collection's."
    )
    source: Literal["auto", "chips", "raw"] = Field(
        default="auto", description="raw looks at all photos anew; auto does where the detector changes."
    )
    switch: Literal["auto", "manual"] = Field(
        default="auto", description="auto: at once where it compares well; manual: when somebody asks."
    )
    skip_missing: bool = Field(default=False, description="Go on without faces whose chip and photo are both missing.")
    min_rank1: Share | None = Field(default=None, description="Policy: the least rank-1 on labelled faces.")
    max_loss: Share | None = Field(default=None, description="Policy: the most that rank-1 or TMR may fall; else 0.01.")
    accept_licence: bool = Field(
        default=False, description="The model's licence, which is not plainly permissive, was read and is accepted."
    )
    collection: str | None = Field(default=None, max_length=64, description="As in the query, which it goes before.")

    def parameters(self) -> dict[str, Any]:
        """How it is to be rebuilt, whatever to."""
        return self.model_dump(exclude={"model", "detector", "accept_licence", "collection"})


class RebuildPath(BaseModel):
    """Which rebuild."""

    rebuild_id: str = Field(max_length=64)


class FindingPath(RebuildPath):
    """Which finding of which rebuild."""

    number: int = Field(ge=0, lt=2**63)


class Findings(Page):
    """Which findings."""

    kind: Literal["missing", "unreadable", "crashed", "kept", "ambiguous"] | None = None


class ResumeIn(MayBeLeftOut):
    """What resuming may be told."""

    skip_missing: bool = Field(default=False, description="From now on go on without what is missing.")


class SwitchIn(MayBeLeftOut):
    """What switching may be told."""

    despite_policy: bool = Field(default=False, description="Although the policy stopped it.")


class Decision(Taken):
    """Which face of the new detection is the one of before."""

    candidate: str | None = Field(max_length=64, description="One of the finding's candidates; null: none of them.")


@resource.door("post", "/rebuilds", "admin", responses={202: rebuild_answers.RebuildRef})
def create(query: InCollection, body: RebuildIn) -> ResponseReturnValue:
    """Make a collection anew under another model or detector: planned, embedded, compared, switched to. Searches go on meanwhile."""
    if (body.model, body.detector) == (None, None) and body.source != "raw":
        raise InvalidRequest("model: name the model to rebuild to, or the detector.")
    with gateway().catalog.transaction() as session:
        collection = collection_of(session, body.collection or query.collection)
        accepts = body.accept_licence
        model = _embedder_of(session, collection) if body.model is None else _embedder(session, body.model, accepts)
        detector_id = collection.detector_id if body.detector is None else _detector(session, body.detector, accepts)
        if body.source == "chips" and detector_id != collection.detector_id:
            raise InvalidRequest("source: another detector finds other chips. Ask for auto or raw.")
        made = rebuilds.create(session, collection, model, detector_id, body.parameters(), by=key().name)
    conduct()
    location = url_for("rebuilds.show", rebuild_id=made.public_id, collection=collection.name)
    return {"rebuild": made.public_id}, 202, {"Location": location}


@resource.door("get", "/rebuilds", "read", responses={200: rebuild_answers.RebuildPage})
def index(query: Page) -> ResponseReturnValue:
    """Rebuilds of a collection, newest first."""
    with gateway().catalog.reading() as session:
        collection = collection_of(session, query.collection)
        before = number_after(query.cursor) or None
        found = rebuilds.page(session, collection.id, limit=query.limit + 1, before=before)
        rows = [(rebuild_answers.rebuild_out(session, row, collection), row.id) for row in found[: query.limit]]
    return page_of(rows, more=len(found) > query.limit)


@resource.door("get", "/rebuilds/<rebuild_id>", "read", responses={200: rebuild_answers.WholeRebuildOut})
def show(path: RebuildPath, query: InCollection) -> ResponseReturnValue:
    """One rebuild: its plan, how far it is, how it compares, whom the switch waits for."""
    with gateway().catalog.reading() as session:
        collection = collection_of(session, query.collection)
        rebuild = rebuilds.shown(session, collection.id, path.rebuild_id)
        return rebuild_answers.whole_rebuild_out(session, rebuild, collection)


@resource.door("get", "/rebuilds/<rebuild_id>/findings", "read", responses={200: rebuild_answers.FindingPage})
def findings(path: RebuildPath, query: Findings) -> ResponseReturnValue:
    """Faces and photos that could not simply be carried over."""
    after = number_after(query.cursor)
    with gateway().catalog.reading() as session:
        rebuild = rebuilds.shown(session, collection_of(session, query.collection).id, path.rebuild_id)
        found = rebuild_findings.page(session, rebuild, kind=query.kind, limit=query.limit + 1, after=after)
    rows = [(rebuild_answers.finding_out(row), row.id) for row in found[: query.limit]]
    return page_of(rows, more=len(found) > query.limit)


@resource.door(
    "post", "/rebuilds/<rebuild_id>/findings/<int:number>/decide", "manage", responses={200: answers.Changed}
)
def decide(path: FindingPath, query: InCollection, body: Decision) -> ResponseReturnValue:
    """Say which of its candidates an ambiguous face is: that one takes over its id and its person. null: it stays as it was."""
    with gateway().catalog.transaction() as session:
        rebuild = rebuilds.by_public_id(session, collection_of(session, query.collection).id, path.rebuild_id)
        sequence = rebuild_findings.decide(session, rebuild, path.number, body.candidate)
    gateway().waking.wake()
    return {"sequence": sequence}


@resource.door("get", "/rebuilds/<rebuild_id>/report", "read")
def report(path: RebuildPath, query: InCollection) -> ResponseReturnValue:
    """How a rebuild compares with what it replaces: HTML to look at, or figures as JSON, by `Accept`. It may show faces."""
    with gateway().catalog.reading() as session:
        rebuild = rebuilds.shown(session, collection_of(session, query.collection).id, path.rebuild_id)
    if rebuild.comparison is None or rebuild.comparison_job is None:
        raise NotFound("report of rebuild", f"{rebuild.public_id} ({rebuild.state}): it is made when that is compared")
    if request.accept_mimetypes.best_match(["text/html", "application/json"], "text/html") == "application/json":
        return rebuild.comparison
    return page_to_look_at(keys.report(rebuild.comparison_job, "report.html"))


@resource.door("post", "/rebuilds/<rebuild_id>/pause", "admin", responses={200: rebuild_answers.WholeRebuildOut})
def pause(path: RebuildPath, query: InCollection) -> ResponseReturnValue:
    """Have no more of it worked on; what is under way ends within seconds."""
    with gateway().catalog.transaction() as session:
        collection, rebuild = _locked(session, path, query)
        rebuilds.pause(session, rebuild)
        return rebuild_answers.whole_rebuild_out(session, rebuild, collection)


@resource.door("post", "/rebuilds/<rebuild_id>/resume", "admin", responses={200: rebuild_answers.WholeRebuildOut})
def resume(path: RebuildPath, query: InCollection, body: ResumeIn) -> ResponseReturnValue:
    """Go on after a pause, or after what made it fail was mended."""
    with gateway().catalog.transaction() as session:
        collection, rebuild = _locked(session, path, query)
        rebuilds.resume(session, rebuild, skip_missing=body.skip_missing)
        told = rebuild_answers.whole_rebuild_out(session, rebuild, collection)
    conduct()
    return told


@resource.door("post", "/rebuilds/<rebuild_id>/cancel", "admin", responses={200: rebuild_answers.WholeRebuildOut})
def cancel(path: RebuildPath, query: InCollection) -> ResponseReturnValue:
    """End a rebuild that was not switched to; what it has made is removed."""
    with gateway().catalog.transaction() as session:
        collection, rebuild = _locked(session, path, query)
        rebuilds.cancel(session, rebuild)
        told = rebuild_answers.whole_rebuild_out(session, rebuild, collection)
    conduct()
    gateway().waking.wake()
    return told


@resource.door("post", "/rebuilds/<rebuild_id>/switch", "admin", responses={200: rebuild_answers.WholeRebuildOut})
def switch(path: RebuildPath, query: InCollection, body: SwitchIn) -> ResponseReturnValue:
    """Have searches look in what was made: at once where every process is ready, else (state `switching`) as soon as they are."""
    with gateway().catalog.transaction() as session:
        collection, rebuild = _locked(session, path, query)
        rebuilds.ask_to_switch(session, rebuild, despite_policy=body.despite_policy)
        switching.now_if_ready(session, rebuild)
        told = rebuild_answers.whole_rebuild_out(session, rebuild, collection)
    conduct()
    gateway().waking.wake()
    return told


@resource.door("post", "/rebuilds/<rebuild_id>/rollback", "admin", responses={200: rebuild_answers.WholeRebuildOut})
def rollback(path: RebuildPath, query: InCollection) -> ResponseReturnValue:
    """Have searches look in what was active before, at once."""
    with gateway().catalog.transaction() as session:
        collection, rebuild = _locked(session, path, query)
        rebuilds.roll_back(session, rebuild)
        told = rebuild_answers.whole_rebuild_out(session, rebuild, collection)
    gateway().waking.wake()
    return told


def towards(session: Session, collection: Collection, model: Model) -> Rebuild | None:
    """Have a collection use *model*, by a rebuild with the defaults where it has photos; see :func:`switching.towards`."""
    return switching.towards(session, collection, model, RebuildIn().parameters(), by=key().name)


def conduct() -> None:
    """Have rebuilds moved on now. Where the broker is away, that is done in a while all the same."""
    try:
        gateway().queue.conduct()
    except BrokerUnavailable:
        logger().warning("rebuild.not_sent")


def _locked(session: Session, path: RebuildPath, query: InCollection) -> tuple[Collection, Rebuild]:
    collection = collection_of(session, query.collection)
    return collection, rebuilds.by_public_id(session, collection.id, path.rebuild_id)


def _embedder_of(session: Session, collection: Collection) -> Model:
    """The embedder of a collection.

    Raises:
        Conflict: It has none yet.
    """
    if collection.model_id is None:
        raise Conflict("This collection has no model yet: the workers have not been prepared.")
    return models.by_id(session, collection.model_id)


def _embedder(session: Session, name: str, accepts: bool) -> Model:
    """An embedder that may be used, its licence accepted now where *accepts* says so.

    Raises:
        NotFound, Conflict, LicenceNotAccepted: There is none of that name, or it may not be.
    """
    model = models.by_public_id(session, name)
    models.require_tried(model)
    _require_licence(session, model, accepts)
    return model


def _detector(session: Session, name: str, accepts: bool) -> int | None:
    """The number of a detector that may be used, as :func:`_embedder`; None is the built-in one.

    Raises:
        NotFound, Conflict, LicenceNotAccepted: There is none of that name, or it may not be.
    """
    if name == rebuild_answers.BUILT_IN:
        return None
    model = models.by_public_id(session, name)
    if model.kind != models.DETECTOR or model.state not in models.USABLE:
        raise Conflict(f"Model {model.name} is a {model.state} {model.kind}; this needs a detector that was tried.")
    _require_licence(session, model, accepts)
    return model.id


def _require_licence(session: Session, model: Model, accepts: bool) -> None:
    if accepts:
        require_unlimited()
        models.accept_licence(session, model, by=key().name)
    models.require_licence(model)

"""Models as data: which there are, bringing one along, and what becomes of it."""

import hashlib
import json
from typing import Any, Literal

from flask import request, url_for
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field, ValidationError

from services import heads, licences
from services.catalog import computations, models
from services.catalog.erasing import removals
from services.catalog.rebuilding import kept
from services.catalog.schema import Model
from services.errors import BrokerUnavailable, Conflict, InvalidRequest, ModelTooLarge
from services.gateway import answers, problems
from services.gateway.doors import InCollection, MayBeLeftOut, Resource, Taken, collection_of, gateway, key
from services.gateway.guarding import auth
from services.gateway.guarding.auth import require_unlimited
from services.gateway.modelling import computing, model_answers, rebuilds
from services.gateway.modelling.model_answers import ActivatedOut, ModelsOut, PrunedOut, WholeModelOut, running_of
from services.gateway.modelling.rebuild_answers import generations_out
from services.gateway.uploads import Spooled
from services.photos import keys

DETECTOR_FILE, UPLOAD = "detector.onnx", "upload"

_PUT_ASIDE = {"retired", "refused"}
"""States of models that go when nothing uses them."""

resource = Resource("models", "Models as data")


class ModelPath(BaseModel):
    """Which model, by id or name."""

    model_id: str = Field(max_length=64)


class ModelIn(Taken):
    """A model file, multipart `file`: safetensors, PyTorch, ONNX, or a bundle's folder as tar."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    kind: Literal["embedder", "detector"] = Field(
        default="embedder", description="A detector is YuNet as OpenCV's model zoo publishes it."
    )
    licence: str = Field(
        default="", max_length=licences.LONGEST, description="As its publisher states it, best an SPDX identifier."
    )
    describe: str | None = Field(
        default=None, max_length=64_000, description="YAML, of an embedder in ONNX (docs/models.md)."
    )
    published: Literal["vggface2", "casia-webface"] | None = Field(
        default=None, description="It is to be that published model, and is refused if it is another."
    )
    source: str | None = Field(default=None, max_length=1024, description="Where it comes from.")


class ActivateIn(MayBeLeftOut):
    """What activating may be told."""

    accept_licence: bool = Field(
        default=False, description="The licence, which is not plainly permissive, was read and is accepted."
    )


class HeadNumbers(Taken):
    """A Siamese head as `colega train --method siamese` writes it."""

    kind: Literal["absolute-difference"]
    weights: str = Field(max_length=30_000, description="Base64 of little-endian float32, one a number of the vectors.")
    bias: float = Field(allow_inf_nan=False)
    trained_on: dict[str, Any] = Field(default_factory=dict, max_length=40)


class HeadIn(Taken):
    """The head to be attached; null: none."""

    head: HeadNumbers | None


@resource.door("get", "/models", "read", responses={200: ModelsOut})
def index() -> ResponseReturnValue:
    """Every model, oldest first."""
    with gateway().catalog.reading() as session:
        running = running_of(session)
        items = [{**answers.model_out(model), "running": running[model.digest]} for model in models.all_of(session)]
    return {"items": items, "next_cursor": None}


@resource.door("get", "/models/<model_id>", "read", responses={200: WholeModelOut})
def show(path: ModelPath) -> ResponseReturnValue:
    """One model, with its description, what uses it, and what collections keep of it."""
    with gateway().catalog.reading() as session:
        model = models.by_public_id(session, path.model_id)
        held = [one for one in kept.of_model(session, model) if auth.may_touch(one.collection.name)]
        return {
            **answers.model_out(model),
            "running": running_of(session)[model.digest],
            "details": model_answers.details_of(model),
            "uses": model_answers.uses_of(session, model),
            "generations": [
                {"collection": one.collection.name, **told}
                for one, told in zip(held, generations_out(session, held), strict=True)
            ],
        }


@resource.door("post", "/models", "admin", responses={202: answers.ModelOut})
def add() -> ResponseReturnValue:
    """Bring a model along (multipart). A worker makes it a bundle and tries it: it becomes a candidate, or is refused."""
    require_unlimited()
    try:
        wanted = ModelIn.model_validate(request.form.to_dict())
    except ValidationError as error:
        return problems.invalid(error)
    file = request.files.get("file")
    if file is None:
        raise InvalidRequest("file: send the model as multipart/form-data.")
    spooled = file.stream
    assert isinstance(spooled, Spooled)
    if spooled.is_too_large:
        raise ModelTooLarge(
            f"{file.filename} has {spooled.size_bytes:,} bytes; {gateway().limits.max_model_mb} MB are taken "
            "(COLEGA_MAX_MODEL_MB)."
        )
    spooled.seek(0)
    upload = {
        "file": (file.filename or "model")[:255],
        "sha256": spooled.sha256,
        "size_bytes": spooled.size_bytes,
        "describe": wanted.describe,
        "published": wanted.published,
        "provenance": {} if wanted.source is None else {"source": wanted.source},
    }
    digest = _digest(wanted, spooled)
    with gateway().catalog.transaction() as session:
        model = models.take_in(
            session, kind=wanted.kind, name=wanted.name, digest=digest, licence=wanted.licence.strip(), upload=upload
        )
        told, to_check = answers.model_out(model), model.state == "checking"
    if to_check:
        gateway().store.put(
            keys.model_file(digest, DETECTOR_FILE if wanted.kind == models.DETECTOR else UPLOAD), spooled.path
        )
        _send(model)
    return told, 202, {"Location": url_for("models.show", model_id=model.public_id)}


@resource.door("post", "/models/<model_id>/activate", "admin", responses={200: ActivatedOut})
def activate(path: ModelPath, query: InCollection, body: ActivateIn) -> ResponseReturnValue:
    """Make a model what new collections use, and the collection: where that has photos under another one, by a rebuild.

    It is compared, and switched to unless it is worse; a generation that is kept is switched to without embedding anew. A
    licence that is not plainly permissive has to be accepted, once.
    """
    require_unlimited()
    with gateway().catalog.transaction() as session:
        model = models.by_public_id(session, path.model_id)
        if model.state not in {"candidate", "active"}:
            raise Conflict(f"Model {model.name} is {model.state}; only one that a worker has tried can be activated.")
        if body.accept_licence:
            models.accept_licence(session, model, by=key().name)
        models.require_licence(model)
        models.activate(session, model)
        begun = rebuilds.towards(session, collection_of(session, query.collection), model)
        told = {**answers.model_out(model), "rebuild": None if begun is None else begun.public_id}
    if begun is not None:
        rebuilds.conduct()
    return told


@resource.door("post", "/models/<model_id>/head", "admin", responses={200: answers.ModelOut})
def attach_head(path: ModelPath, body: HeadIn) -> ResponseReturnValue:
    """Have a model judge pairs by a trained Siamese head: verify and re-ranked searches then say a probability.

    Searches through this gateway see it at once, through others within a minute. Attaching another one replaces it;
    `{"head": null}` takes it away.
    """
    require_unlimited()
    with gateway().catalog.transaction() as session:
        model = models.by_public_id(session, path.model_id)
        models.require_tried(model)
        held = None if body.head is None else body.head.model_dump()
        if held is not None:
            heads.read(held, model.dimension)
            if held["trained_on"].get("model", model.digest) != model.digest:
                raise Conflict(
                    f"The head was trained on another model than {model.name}; it says nothing of its vectors."
                )
        models.attach_head(session, model, held)
        told = answers.model_out(model)
    gateway().known.forget(model.id)
    return told


@resource.door("post", "/models/<model_id>/quantize", "admin", responses={202: answers.JobRef})
def quantize(path: ModelPath, query: InCollection) -> ResponseReturnValue:
    """Make the int8 variant anew, with ranges measured on the collection's faces, and measure what it costs. 202 with a job."""
    require_unlimited()
    with gateway().catalog.reading() as session:
        model = models.by_public_id(session, path.model_id)
        models.require_tried(model)
    return computing.begin(computations.QUANTISATION, query.collection, {"model": model.public_id})


@resource.door("post", "/models/<model_id>/retire", "admin", responses={200: answers.ModelOut})
def retire(path: ModelPath) -> ResponseReturnValue:
    """Put a model aside; collections that use it go on doing so."""
    require_unlimited()
    with gateway().catalog.transaction() as session:
        model = models.by_public_id(session, path.model_id)
        if model.kind == models.EMBEDDER and model.state == "active":
            raise Conflict("The active model cannot be retired. Activate another one first.")
        if model.state in {"checking", "refused"}:
            raise Conflict(f"Model {model.name} is {model.state}; there is nothing to retire.")
        models.set_state(session, model, "retired")
        return answers.model_out(model)


@resource.door("post", "/models/<model_id>/prune", "admin", responses={200: PrunedOut})
def prune(path: ModelPath) -> ResponseReturnValue:
    """Free what is kept of a model for rollbacks in all collections; a retired or refused one that nothing uses goes, too."""
    require_unlimited()
    with gateway().catalog.reading() as session:
        model = models.by_public_id(session, path.model_id)
    files = _files(model) if model.state in _PUT_ASIDE else []
    with gateway().catalog.transaction() as session:
        model = models.by_public_id(session, path.model_id)
        freed = kept.free(session, model)
        goes = model.state in _PUT_ASIDE and not freed
        if goes and (uses := kept.uses(session, model)):
            raise Conflict(f"Model {model.name} is in use: {', '.join(uses)}.")
        if goes:
            kept.forget(session, model)
            removals.note(session, *files)
        elif not freed:
            raise Conflict(
                f"Of model {model.name} nothing is kept that is not in use, and it is {model.state}. Retire it first."
            )
    if freed:
        gateway().waking.wake()
    return {
        "id": model.public_id,
        "name": model.name,
        "embeddings": sum(one.embeddings for one in freed),
        "collections": sorted({one.collection.name for one in freed}),
        "files": len(files) if goes else 0,
        "gone": goes,
    }


def _files(model: Model) -> list[str]:
    return [stored.key for stored in gateway().store.list(keys.model_file(model.digest, "x")[:-1])]


def _digest(wanted: ModelIn, spooled: Spooled) -> str:
    """Names an upload until its content has a digest of its own: the file, and what changes what is made of it."""
    if wanted.kind == models.DETECTOR:
        return spooled.sha256
    parts = [spooled.sha256, wanted.describe, wanted.published]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _send(model: Model) -> None:
    try:
        gateway().queue.check_model(model.id)
    except BrokerUnavailable:
        with gateway().catalog.transaction() as session:
            row = models.by_id(session, model.id)
            models.set_state(session, row, "refused", error="The broker was away; add it again.")
        raise

"""Models as data: which there are, and bringing one along."""

import hashlib
from typing import Literal

from flask import request, url_for
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field, ValidationError

from services.catalog import models
from services.errors import BrokerUnavailable, Conflict, InvalidRequest
from services.gateway import answers, problems
from services.gateway.doors import Resource, Taken, gateway
from services.gateway.uploads import Spooled
from services.photos import keys

DETECTOR_FILE = "detector.onnx"

resource = Resource("models", "Models as data")


class ModelPath(BaseModel):
    """Which model, by id or name."""

    model_id: str = Field(max_length=64)


class ModelIn(Taken):
    """A model file, multipart `file`."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    kind: Literal["detector"] = Field(default="detector", description="YuNet as OpenCV's model zoo publishes it.")


class ModelsOut(BaseModel):
    """Every model."""

    items: list[answers.ModelOut]
    next_cursor: str | None


@resource.door("get", "/models", "read", responses={200: ModelsOut})
def index() -> ResponseReturnValue:
    """Every model, oldest first."""
    with gateway().catalog.reading() as session:
        return {"items": [answers.model_out(model) for model in models.all_of(session)], "next_cursor": None}


@resource.door("get", "/models/<model_id>", "read", responses={200: answers.ModelOut})
def show(path: ModelPath) -> ResponseReturnValue:
    """One model, with its description."""
    with gateway().catalog.reading() as session:
        model = models.by_public_id(session, path.model_id)
    return {**answers.model_out(model), "details": model.details}


@resource.door("post", "/models", "admin", responses={202: answers.ModelOut})
def add() -> ResponseReturnValue:
    """Bring a detector along (multipart `file`, `name`). A worker tries it; then it is what new collections use."""
    try:
        wanted = ModelIn.model_validate(request.form.to_dict())
    except ValidationError as error:
        return problems.invalid(error)
    file = request.files.get("file")
    if file is None:
        raise InvalidRequest("file: send the model as multipart/form-data.")
    assert isinstance(file.stream, Spooled)
    file.stream.seek(0)
    digest = hashlib.sha256(file.stream.read()).hexdigest()
    gateway().store.put(keys.model_file(digest, DETECTOR_FILE), file.stream.path)
    with gateway().catalog.transaction() as session:
        model = models.register(session, kind=wanted.kind, name=wanted.name, digest=digest, state="checking")
        if model.state == "refused":
            models.set_state(session, model, "checking")
        told = answers.model_out(model)
    try:
        gateway().queue.check_model(model.id)
    except BrokerUnavailable:
        with gateway().catalog.transaction() as session:
            models.set_state(
                session, models.by_id(session, model.id), "refused", error="The broker was away; add it again."
            )
        raise
    return told, 202, {"Location": url_for("models.show", model_id=model.public_id)}


@resource.door("post", "/models/<model_id>/activate", "admin", responses={200: answers.ModelOut})
def activate(path: ModelPath) -> ResponseReturnValue:
    """Make a model what new collections use. Collections that have faces keep theirs: changing those is a rebuild."""
    with gateway().catalog.transaction() as session:
        model = models.by_public_id(session, path.model_id)
        if model.state not in {"candidate", "active"}:
            raise Conflict(f"Model {model.name} is {model.state}; only one that a worker has tried can be activated.")
        models.activate(session, model)
        return answers.model_out(model)


@resource.door("post", "/models/<model_id>/retire", "admin", responses={200: answers.ModelOut})
def retire(path: ModelPath) -> ResponseReturnValue:
    """Put a model aside; collections that use it go on doing so."""
    with gateway().catalog.transaction() as session:
        model = models.by_public_id(session, path.model_id)
        if model.kind == models.EMBEDDER and model.state == "active":
            raise Conflict("The active model cannot be retired. Activate another one first.")
        models.set_state(session, model, "retired")
        return answers.model_out(model)

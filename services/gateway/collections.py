"""Collections: galleries apart from each other."""

from typing import Any

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from services.catalog import collections, models
from services.catalog.schema import Collection
from services.errors import Conflict
from services.gateway.answers import time_of
from services.gateway.doors import Resource, Taken, collection_of, gateway, key

resource = Resource("collections", "Galleries apart from each other")


class CollectionPath(BaseModel):
    """Which collection."""

    name: str = Field(max_length=64)


class CollectionIn(Taken):
    """A new collection."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")


class CollectionOut(BaseModel):
    """A collection, and what is in it."""

    name: str
    model: str | None
    detector: str
    people: int
    photos: int
    faces: int
    sequence: int
    created_at: str


class CollectionsOut(BaseModel):
    """All collections that the key may touch."""

    items: list[CollectionOut]
    next_cursor: str | None


@resource.door("get", "/collections", "read", responses={200: CollectionsOut})
def index() -> ResponseReturnValue:
    """All collections that the key may touch."""
    allowed = key().collections
    with gateway().catalog.reading() as session:
        found = [c for c in collections.all_of(session) if allowed is None or c.name in allowed]
        return {"items": [_told(session, collection) for collection in found], "next_cursor": None}


@resource.door("post", "/collections", "admin", responses={201: CollectionOut})
def create(body: CollectionIn) -> ResponseReturnValue:
    """A new, empty collection with the active model and detector."""
    with gateway().catalog.transaction() as session:
        return _told(session, collections.create(session, body.name)), 201


@resource.door("get", "/collections/<name>", "read", responses={200: CollectionOut})
def show(path: CollectionPath) -> ResponseReturnValue:
    """One collection."""
    with gateway().catalog.reading() as session:
        return _told(session, collection_of(session, path.name))


@resource.door("delete", "/collections/<name>", "admin")
def delete(path: CollectionPath) -> ResponseReturnValue:
    """Delete an empty collection. One that holds people or photos is refused: delete those first."""
    with gateway().catalog.transaction() as session:
        collection = collection_of(session, path.name)
        held = collections.counts(session, collection.id)
        if path.name == collections.DEFAULT or held["people"] or held["photos"]:
            raise Conflict("Only an empty collection other than `default` can be deleted.")
        collections.delete(session, collection)
    return "", 204


def _told(session: Session, collection: Collection) -> dict[str, Any]:
    model = None if collection.model_id is None else models.by_id(session, collection.model_id)
    detector = None if collection.detector_id is None else models.by_id(session, collection.detector_id)
    return {
        "name": collection.name,
        "model": None if model is None else model.name,
        "detector": "mtcnn" if detector is None else detector.name,
        **collections.counts(session, collection.id),
        "sequence": collection.head,
        "created_at": time_of(collection.created_at),
    }

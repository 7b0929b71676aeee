"""Live matches: a camera's program says whom it has recognised, and webhooks are told."""

from datetime import UTC, datetime
from typing import Annotated

from flask.typing import ResponseReturnValue
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from services.catalog import people
from services.catalog.telling import webhooks
from services.errors import TooManyRequests
from services.gateway.answers import time_of
from services.gateway.auditing import requests as auditing
from services.gateway.doors import InCollection, Resource, Taken, collection_of, gateway

resource = Resource("live", "Whom cameras recognise")

Label = Annotated[
    str, StringConstraints(min_length=1, max_length=64, strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f]+$")
]
Cosine = Annotated[float, Field(ge=-1.0, le=1.0, allow_inf_nan=False)]


class MatchIn(Taken):
    """Somebody was recognised by a camera. Whoever sends it decides when the same person counts as seen again."""

    camera: Label = Field(description="What the camera is called.")
    person_id: str = Field(max_length=64, description="Whom a search has named.")
    similarity: Cosine
    threshold: Cosine | None = Field(default=None, description="By which that counted as a match.")
    seen_at: AwareDatetime | None = Field(default=None, description="With an offset from UTC; else now.")
    track: Label | None = Field(default=None, description="Of the face, as long as the camera follows it.")


class MatchOut(BaseModel):
    """A match that was taken."""

    event: str
    webhooks: int = Field(description="How many are told of it.")


@resource.door("post", "/live/matches", "search", responses={202: MatchOut})
def match(query: InCollection, body: MatchIn) -> ResponseReturnValue:
    """Have webhooks told that a camera recognised somebody. It is kept only until they were told."""
    if not gateway().matches.take():
        raise TooManyRequests("More matches come in than are passed on. Tell of each person once while they are seen.")
    seen_at = (body.seen_at or datetime.now(UTC)).timestamp()
    data = {
        "similarity": body.similarity,
        "threshold": body.threshold,
        "seen_at": time_of(seen_at),
        "track": body.track,
    }
    with gateway().catalog.transaction() as session:
        collection = collection_of(session, query.collection)
        person = people.by_public_id(session, collection.id, body.person_id)
        told = webhooks.matched(session, person, body.camera, data)
        auditing.note_match(person.public_id)
    return {"event": told.event, "webhooks": told.webhooks}, 202

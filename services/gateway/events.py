"""Events: how a job or a rebuild goes on, as server-sent events. Each open stream holds a thread, so they are few and end in time."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from flask import Response, request, stream_with_context
from flask.typing import ResponseReturnValue
from pydantic import Field
from sqlalchemy.orm import Session

from services.catalog.importing import jobs, outcomes
from services.catalog.rebuilding import rebuilds
from services.catalog.schema import Job
from services.errors import InvalidRequest, TooManyRequests, Unavailable
from services.gateway import answers
from services.gateway.doors import Gateway, InCollection, Resource, collection_of, gateway
from services.gateway.importing.job_answers import whole_job_out
from services.gateway.importing.jobs import JobPath
from services.gateway.modelling.rebuild_answers import is_settled, rebuild_out, whole_rebuild_out
from services.gateway.modelling.rebuilds import RebuildPath

resource = Resource("events", "Jobs and rebuilds as they go on")

_POLL_S, _HEARTBEAT_S, _LONGEST_S = 0.5, 10.0, 240.0
_BATCH = 200
_LAST = "Last-Event-ID"


class Event(NamedTuple):
    """One event: its kind, what it tells, and its id, after which a client goes on."""

    kind: str
    data: Any
    id: str


class Look(NamedTuple):
    """What is new since the last look."""

    events: Sequence[Event]
    ended: bool = False
    """Nothing more will come."""
    more: bool = False
    """There is more by now: look again at once."""


class Following(InCollection):
    """From where on."""

    after: Literal["beginning", "now"] = Field(
        default="beginning",
        description="Where nothing is said by `Last-Event-ID`: `now` leaves out what has ended before.",
    )


@resource.door("get", "/jobs/<job_id>/events", "read")
def follow(path: JobPath, query: Following) -> ResponseReturnValue:
    """`progress`, `item` and `end` events; goes on after `Last-Event-ID`. Ends after some minutes: connect again."""
    last = request.headers.get(_LAST)
    with gateway().catalog.reading() as session:
        job = jobs.by_public_id(session, collection_of(session, query.collection).id, path.job_id)
        from_now = query.after == "now" and not last
        place = outcomes.last_finished(session, job) if from_now else _place(last)
    return _streamed(_OfJob(job, place))


@resource.door("get", "/rebuilds/<rebuild_id>/events", "read")
def follow_rebuild(path: RebuildPath, query: InCollection) -> ResponseReturnValue:
    """`state`, `progress` and `end` events: what has changed after `Last-Event-ID`, and what changes.

    It ends when nothing more happens unless somebody asks, and after some minutes: connect again.
    """
    with gateway().catalog.reading() as session:
        collection = collection_of(session, query.collection)
        rebuild = rebuilds.shown(session, collection.id, path.rebuild_id)
    return _streamed(_OfRebuild(collection.name, rebuild.public_id, request.headers.get(_LAST) or ""))


@dataclass(slots=True)
class _OfJob:
    """A job, its items that ended first."""

    job: Job
    after: tuple[float, int]
    told: Any = None

    def __call__(self, session: Session) -> Look:
        self.job = job = session.get_one(Job, self.job.id)
        rows = jobs.finished_since(session, job, self.after, _BATCH)
        progress = jobs.progress(session, job)
        events = []
        for item, photo, person in rows:
            self.after = (item.finished_at or 0.0, item.id)
            events.append(Event("item", answers.item_out(item, photo, person), self._id))
        told = answers.job_out(job, progress)
        if told != self.told:
            events.append(Event("progress", told, self._id))
            self.told = told
        more = len(rows) == _BATCH
        ended = progress.state in jobs.ENDS and not more
        if ended:
            events.append(Event("end", whole_job_out(session, job, progress), self._id))
        return Look(events, ended, more)

    @property
    def _id(self) -> str:
        return f"{self.after[0]!r}-{self.after[1]}"


@dataclass(slots=True)
class _OfRebuild:
    """A rebuild: its state and how far it is. The id says both, so that what was told is not told again."""

    collection: str
    rebuild: str
    after: str
    told: Any = None

    def __call__(self, session: Session) -> Look:
        collection = collection_of(session, self.collection)
        rebuild = rebuilds.shown(session, collection.id, self.rebuild)
        told = rebuild_out(session, rebuild, collection)
        place = f"{rebuild.state}.{told['progress']['done']}.{told['progress']['total']}.{told['progress']['faces']}"
        events = []
        if rebuild.state != self.after.partition(".")[0]:
            events.append(Event("state", whole_rebuild_out(session, rebuild, collection), place))
        elif place != self.after or (self.told is not None and told != self.told):
            events.append(Event("progress", told, place))
        self.after, self.told = place, told
        ended = is_settled(rebuild)
        if ended:
            events.append(Event("end", whole_rebuild_out(session, rebuild, collection), place))
        return Look(events, ended)


def _streamed(look: Callable[[Session], Look]) -> Response:
    """What *look* finds new, again and again, as a stream.

    Raises:
        TooManyRequests: As many streams are open as may be.
    """
    mine = gateway()
    if not mine.streams.acquire(blocking=False):
        raise TooManyRequests(
            "Too many event streams are open. Ask for the thing itself, or try again.", retry_after_s=5
        )
    response = Response(stream_with_context(_events(mine, look)), mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(mine.streams.release)
    return response


def _events(mine: Gateway, look: Callable[[Session], Look]) -> Iterator[str]:
    ends, spoken = time.monotonic() + _LONGEST_S, time.monotonic()
    while time.monotonic() < ends:
        try:
            with mine.catalog.reading() as session:
                found = look(session)
        except Unavailable:
            found = Look([])
        for kind, data, place in found.events:
            yield f"id: {place}\nevent: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
            spoken = time.monotonic()
        if found.ended:
            return
        if time.monotonic() - spoken > _HEARTBEAT_S:
            yield ": still here\n\n"
            spoken = time.monotonic()
        if not found.more:
            time.sleep(_POLL_S)


def _place(last_event_id: str | None) -> tuple[float, int]:
    if not last_event_id:
        return (0.0, 0)
    try:
        finished_at, _, item_id = last_event_id.rpartition("-")
        return float(finished_at), int(item_id)
    except ValueError:
        raise InvalidRequest("Last-Event-ID: give the id of the last event, as it is.") from None

"""Events: how a job goes on, as server-sent events. Each open stream holds a thread, so they are few and end in time."""

import json
import time
from collections.abc import Iterator
from typing import Any

from flask import Response, request, stream_with_context
from flask.typing import ResponseReturnValue

from services.catalog import jobs
from services.catalog.schema import Job
from services.errors import InvalidRequest, TooManyRequests, Unavailable
from services.gateway import answers
from services.gateway.doors import Gateway, InCollection, Resource, collection_of, gateway
from services.gateway.jobs import JobPath

resource = Resource("events", "Jobs as they go on")

_POLL_S, _HEARTBEAT_S, _LONGEST_S = 0.5, 10.0, 240.0
_BATCH = 200


@resource.door("get", "/jobs/<job_id>/events", "read")
def follow(path: JobPath, query: InCollection) -> ResponseReturnValue:
    """`progress`, `item` and `end` events; goes on after `Last-Event-ID`. Ends after some minutes: connect again."""
    mine = gateway()
    with mine.catalog.reading() as session:
        job = jobs.by_public_id(session, collection_of(session, query.collection).id, path.job_id)
    after = _place(request.headers.get("Last-Event-ID"))
    if not mine.streams.acquire(blocking=False):
        raise TooManyRequests("Too many event streams are open. Ask for the job itself, or try again.", retry_after_s=5)
    response = Response(stream_with_context(_events(mine, job, after)), mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(mine.streams.release)
    return response


def _events(mine: Gateway, job: Job, after: tuple[float, int]) -> Iterator[str]:
    ends, spoken, last = time.monotonic() + _LONGEST_S, time.monotonic(), None
    while time.monotonic() < ends:
        try:
            with mine.catalog.reading() as session:
                job = session.merge(job, load=True)
                rows = jobs.finished_since(session, job, after, _BATCH)
                progress = jobs.progress(session, job)
        except Unavailable:
            rows, progress = [], None
        for item, photo in rows:
            after = (item.finished_at or 0.0, item.id)
            yield _event("item", answers.item_out(item, photo, None), after)
        told = answers.job_out(job, progress) if progress is not None else None
        if told is not None and told != last:
            yield _event("progress", told, after)
            last, spoken = told, time.monotonic()
        if progress is not None and progress.state in jobs.ENDS and len(rows) < _BATCH:
            yield _event("end", answers.whole_job_out(job, progress), after)
            return
        if time.monotonic() - spoken > _HEARTBEAT_S:
            yield ": still here\n\n"
            spoken = time.monotonic()
        if len(rows) < _BATCH:
            time.sleep(_POLL_S)


def _event(kind: str, data: Any, place: tuple[float, int]) -> str:  # noqa: ANN401 - whatever JSON can say
    return f"id: {place[0]!r}-{place[1]}\nevent: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def _place(last_event_id: str | None) -> tuple[float, int]:
    if not last_event_id:
        return (0.0, 0)
    try:
        finished_at, _, item_id = last_event_id.rpartition("-")
        return float(finished_at), int(item_id)
    except ValueError:
        raise InvalidRequest("Last-Event-ID: give the id of the last event, as it is.") from None

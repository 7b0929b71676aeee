"""``jobs``."""

import time
from typing import Annotated

import typer

from services.cli import computing, terminal
from services.cli.client import Client
from services.cli.main import Collection, Exit, Json
from services.cli.service import Document
from services.errors import InvalidRequest

_POLL_S = 0.5
_VERBS = {"retry", "cancel"}


def register(app: typer.Typer) -> None:
    """Add the command to *app*."""
    app.command("jobs")(jobs)


def jobs(
    context: typer.Context,
    words: Annotated[list[str] | None, typer.Argument(metavar="[ID] | retry ID | cancel ID")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Jobs, newest first; one job; or `jobs retry ID` and `jobs cancel ID`."""
    given = words or []
    if len(given) > 2 or (len(given) == 2 and given[0] not in _VERBS) or (len(given) == 1 and given[0] in _VERBS):
        raise InvalidRequest("Say: colega jobs, colega jobs ID, colega jobs retry ID, or colega jobs cancel ID.")
    with context.obj.client(collection) as client:
        if not given:
            _list(client, as_json=as_json)
            return
        if len(given) == 2:
            job = client.jobs.retry(given[1]) if given[0] == "retry" else client.jobs.cancel(given[1])
        else:
            job = _watched(client, given[0]) if watch else client.jobs.show(given[0])
        rejected = list(client.jobs.items(job["id"], "rejected"))
    if as_json:
        terminal.document({**job, "rejected_items": rejected})
    else:
        _table([job])
        if rejected:
            terminal.table(
                ["rejected file", "reason", "detail"], ([i["name"], i["reason"], i["detail"]] for i in rejected[:50])
            )
        if job["error"]:
            terminal.say(job["error"])
        for line in (job.get("result") or {}).get("lines", []):
            terminal.say(line)
    raise typer.Exit(_status(job) if len(given) == 1 and watch else Exit.OK)


def _status(job: Document) -> Exit:
    if job["state"] == "failed":
        return Exit.REFUSED
    return Exit.SOME_REJECTED if job["rejected"] else Exit.OK


def _list(client: Client, *, as_json: bool) -> None:
    found = []
    for job in client.jobs.list():
        found.append(job)
        if len(found) == 50:
            break
    if as_json:
        terminal.document(found)
    else:
        _table(found)


def _watched(client: Client, job_id: str) -> Document:
    bar = terminal.progress()
    with bar:
        show = computing.shown_on(bar)
        while True:
            job = client.jobs.show(job_id)
            ended = sum(job[end] for end in ("done", "duplicate", "cancelled", "rejected"))
            rate = {"a second": round(job["rate"])} if job["rate"] else {}
            items = {"stage": job["id"], "done": ended, "total": job["total"], **rate}
            show(job["progress"] or ({"stage": job["state"]} if job["kind"] in computing.KINDS else items))
            if job["state"] in computing.ENDS:
                return job
            time.sleep(_POLL_S)


def _table(found: list[Document]) -> None:
    ends = ("total", "done", "duplicate", "rejected")
    rows = []
    for job in found:
        counts = [None] * len(ends) if job["kind"] in computing.KINDS else [job[end] for end in ends]
        rows.append([job["id"], job["kind"], job["state"], *counts, job["created_at"][5:16].replace("T", " ")])
    terminal.table(["job", "kind", "state", *(f"{end}>" for end in ends), "created"], rows)

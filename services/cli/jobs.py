"""``jobs``."""

import time
from typing import Annotated

import typer

from services.cli import terminal
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
    raise typer.Exit(Exit.SOME_REJECTED if job["rejected"] and len(given) == 1 and watch else Exit.OK)


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
        task = bar.add_task(job_id, total=None, rate="")
        while True:
            job = client.jobs.show(job_id)
            ended = sum(job[end] for end in ("done", "duplicate", "cancelled", "rejected"))
            bar.update(task, completed=ended, total=job["total"], rate=f"{job['rate']:.0f}/s" if job["rate"] else "")
            if job["state"] in {"done", "cancelled"}:
                return job
            time.sleep(_POLL_S)


def _table(found: list[Document]) -> None:
    ends = ("total", "done", "duplicate", "rejected")
    rows = [[j["id"], j["state"], *(j[end] for end in ends), j["created_at"][5:16].replace("T", " ")] for j in found]
    terminal.table(["job", "state", *(f"{end}>" for end in ends), "created"], rows)

"""Rebuilds followed until nothing more happens by itself, and what to say then."""

import time
from collections.abc import Mapping
from typing import Any

import typer

from services.cli import computing, rebuild_table, terminal
from services.cli.client import Client
from services.cli.main import Exit
from services.cli.service import Document, ServiceError

_POLL_S = 0.5
_STOPPED = 130


def followed(client: Client, rebuild: Document, *, quiet: bool) -> Document:
    """A rebuild when it is settled; how far it is shows on a terminal meanwhile.

    Args:
        client: Of its collection.
        rebuild: As it was told last.
        quiet: Do not say the plan.

    Raises:
        typer.Exit: Ctrl-C; the rebuild goes on.
    """
    said = quiet
    try:
        with terminal.progress() as bar:
            show = computing.shown_on(bar)
            while True:
                if rebuild["plan"] is not None and not said:
                    rebuild_table.plan(rebuild)
                    said = True
                if rebuild["settled"]:
                    return rebuild
                show(_stage(client, rebuild))
                time.sleep(_POLL_S)
                rebuild = client.rebuilds.show(rebuild["id"])
    except KeyboardInterrupt:
        watch, cancel = command(client, "status", rebuild), command(client, "cancel", rebuild)
        terminal.complain(f"colega: {rebuild['id']} goes on. See `{watch} --watch`, or end it: `{cancel}`.")
        raise typer.Exit(_STOPPED) from None


def switched(client: Client, rebuild: Document) -> Document:
    """A rebuild after it was asked to be switched to, when that is done."""
    return followed(client, client.rebuilds.change(rebuild["id"], "switch", {}), quiet=True)


def conclude(client: Client, rebuild: Document, *, quiet: bool) -> None:
    """Say how a rebuild that is settled stands, and what can be done.

    Raises:
        computing.Failed: It failed, or somebody cancelled it.
        typer.Exit: With 1, the policy stopped it.
    """
    steps = next_steps(client, rebuild)
    if rebuild["state"] in {"failed", "cancelled", "pruned"}:
        why = rebuild["error"] or f"{rebuild['id']} is {rebuild['state']}."
        raise computing.Failed(" ".join([why, *steps]))
    if rebuild["state"] == "stopped":
        terminal.complain(f"colega: {rebuild['error']}")
    if not quiet:
        for line in steps:
            terminal.say(line)
    if rebuild["state"] == "stopped":
        raise typer.Exit(Exit.SOME_REJECTED)


def next_steps(client: Client, rebuild: Document) -> list[str]:
    """What is active, and the commands that a person may want next."""
    before, after = rebuild["before"], rebuild

    def run(verb: str) -> str:
        return command(client, verb, rebuild)

    back = f" To go back: {run('rollback')}" if before["kept"] else ""
    steps = {
        "switched": [f"active: {after['model']} with {after['detector']}.{back}"],
        "rolled_back": [f"active: {before['model']} with {before['detector']}. To return: {run('switch')}"],
        "ready": [
            f"ready; searches still look in {before['model']}. To switch: {run('switch')}",
            f"To look: {run('report')}",
        ],
        "stopped": [
            f"To look: {run('report')}",
            f"Nevertheless: {run('switch')} --despite-policy",
            f"Or: {run('cancel')}",
        ],
        "failed": [f"When that is mended: {run('resume')}"],
        "paused": [f"To go on: {run('resume')}"],
    }
    return steps.get(rebuild["state"], [])


def command(client: Client, verb: str, rebuild: Mapping[str, Any]) -> str:
    """The command line that does *verb* to a rebuild."""
    whose = "" if client.collection == "default" else f" --collection {client.collection}"
    return f"colega rebuild {verb} {rebuild['id']}{whose}"


def _stage(client: Client, rebuild: Document) -> Mapping[str, Any]:
    """How far a rebuild is, as a progress bar shows it."""
    state, progress = rebuild["state"], rebuild["progress"]
    if state == "comparing" and rebuild["comparison_job"] is not None:
        return _compared(client, rebuild["comparison_job"]) or {"stage": state}
    if state == "switching":
        return {"stage": "switching", "waiting for": ", ".join(rebuild["waiting_for"]) or None}
    if state in {"embedding", "paused"} and progress["total"]:
        rate = {} if progress["rate"] is None else {"a second": round(progress["rate"])}
        return {"stage": state, "done": progress["done"], "total": progress["total"], **rate}
    return {"stage": state}


def _compared(client: Client, job: str) -> Mapping[str, Any] | None:
    try:
        told: Mapping[str, Any] | None = client.jobs.show(job)["progress"]
    except ServiceError:
        return None  # It is gone: the rebuild says what became of it.
    return None if told is None else {**told, "stage": " ".join(filter(None, ["comparing", told.get("stage")]))}

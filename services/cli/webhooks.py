"""``webhooks``."""

import time
from typing import Annotated, Any

import typer

from services.cli import terminal
from services.cli.main import Exit, Json
from services.cli.service import Document

_KINDS = ("job.ended", "rebuild.state")
"""What is told where nothing else is asked for: nothing of people."""
_TEST_ENDS_WITHIN_S = 30.0

WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK_ID")]


def register(app: typer.Typer) -> None:
    """Add the commands to *app*."""
    webhooks = typer.Typer(help="Addresses that are told what happens.", no_args_is_help=True, rich_markup_mode=None)
    webhooks.command("create")(create)
    webhooks.command("list")(list_webhooks)
    webhooks.command("show")(show)
    webhooks.command("test")(try_out)
    webhooks.command("deliveries")(deliveries)
    webhooks.command("delete")(delete)
    app.add_typer(webhooks, name="webhooks")


def create(
    context: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where events are sent: https://… or http://…")],
    event: Annotated[
        list[str] | None,
        typer.Option(help="job.ended, rebuild.state or live.match; may be repeated. Else the first two."),
    ] = None,
    collection: Annotated[str | None, typer.Option(help="Only what happens in it; else in all.", metavar="C")] = None,
    as_json: Json = False,
) -> None:
    """Have an address told of what happens from now on. The secret by which deliveries are signed is shown once."""
    with context.obj.client() as client:
        made = client.webhooks.create(url, event or _KINDS, collection)
    if as_json:
        terminal.document(made)
        return
    terminal.say(f"{made['id']} is told of {', '.join(made['events'])}")
    terminal.say(str(made["secret"]))
    terminal.complain(f"This secret is shown once. See whether it works: colega webhooks test {made['id']}")


def list_webhooks(context: typer.Context, as_json: Json = False) -> None:
    """Every webhook, and how much waits for it."""
    with context.obj.client() as client:
        found = client.webhooks.list()
    if as_json:
        terminal.document(list(found))
        return
    columns = ["webhook", "address", "events", "collection", "waiting>", "failing>", "given up>"]
    terminal.table(columns, [_row(webhook) for webhook in found])


def show(context: typer.Context, webhook: WebhookId, as_json: Json = False) -> None:
    """One webhook."""
    with context.obj.client() as client:
        found = client.webhooks.show(webhook)
    if as_json:
        terminal.document(found)
        return
    names = ("webhook", "address", "events", "collection", "waiting", "failing", "given up")
    rows = [*zip(names, _row(found), strict=True), ("made by", found["created_by"]), ("made at", found["created_at"])]
    terminal.table(["", ""], rows)


def try_out(context: typer.Context, webhook: WebhookId, as_json: Json = False) -> None:
    """Send one event and wait for how that ends. Exit code 1: it did not arrive."""
    with context.obj.client() as client:
        event = client.webhooks.test(webhook)
        ended = _ended(client.webhooks, webhook, event)
    arrived = ended["state"] == "delivered"
    if as_json:
        terminal.document(ended)
    elif arrived:
        terminal.say(f"It has arrived: the answer was {ended['status']}.")
    elif ended["state"] == "waiting":
        terminal.complain("Nothing was sent yet. See that the maintenance worker runs: colega status")
    else:
        terminal.complain(f"It has not arrived. {ended['error']}")
    raise typer.Exit(Exit.OK if arrived else Exit.SOME_REJECTED)


def deliveries(
    context: typer.Context,
    webhook: WebhookId,
    state: Annotated[str | None, typer.Option(help="waiting, delivered or given_up; else all.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 50,
    as_json: Json = False,
) -> None:
    """What a webhook was told in the last seven days and is still to be told, newest first."""
    with context.obj.client() as client:
        found = [one for one, _ in zip(client.webhooks.deliveries(webhook, state), range(limit), strict=False)]
    if as_json:
        terminal.document(found)
        return
    rows = [
        [one["created_at"][:19], one["kind"], one["subject"], one["state"], one["attempts"], one["error"] or ""]
        for one in found
    ]
    terminal.table(["when", "event", "of", "state", "attempts>", "last error"], rows)


def delete(context: typer.Context, webhook: WebhookId, as_json: Json = False) -> None:
    """End a webhook; what it was still to be told is forgotten."""
    with context.obj.client() as client:
        client.webhooks.delete(webhook)
    if as_json:
        terminal.document({"id": webhook, "deleted": True})
    else:
        terminal.say(f"{webhook} is told nothing any more.")


def _ended(webhooks: Any, webhook: str, event: str) -> Document:  # noqa: ANN401 - client.webhooks
    """The delivery of a test when it has ended, or as it is when that takes too long."""
    give_up_at = time.monotonic() + _TEST_ENDS_WITHIN_S
    while True:
        one: Document = next(one for one in webhooks.deliveries(webhook) if one["event"] == event)
        if one["state"] != "waiting" or time.monotonic() > give_up_at:
            return one
        time.sleep(0.2)


def _row(webhook: Document) -> list[Any]:
    return [
        webhook["id"],
        webhook["url"],
        ", ".join(webhook["events"]),
        webhook["collection"] or "all",
        webhook["waiting"],
        webhook["failing"],
        webhook["given_up"],
    ]

"""``people consent``: that somebody has agreed to be in a collection, or does so no longer."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli import terminal
from services.cli.client import Client
from services.cli.main import Collection, Json, existing
from services.cli.whom import one_named
from services.errors import InvalidRequest

GivenAt = Annotated[
    str | None,
    typer.Option("--consent", help="They have agreed, that day: 2026-01-31, or a time with its offset.", metavar="DAY"),
]
OfNotice = Annotated[
    str | None, typer.Option("--notice", help="Version of the notice that they agreed to; else the present one.")
]


def record(client: Client, person_id: str, given_at: str | None, notice: str | None) -> None:
    """Record a consent that the command line tells of."""
    if given_at is not None:
        client.people.consent(person_id, given_at=given_at, **({} if notice is None else {"notice": notice}))
    elif notice is not None:
        raise InvalidRequest("--notice says which text they agreed to: say --consent DAY, too.")


def consent(
    context: typer.Context,
    person: Annotated[str, typer.Argument(metavar="PERSON", help="A name, or an id (per_…).")],
    given_at: Annotated[
        str | None, typer.Option(help="When: a day, or a time with its offset; else now.", metavar="DAY")
    ] = None,
    notice: OfNotice = None,
    text: Annotated[
        Path | None,
        typer.Option(help="What they agreed to, where the collection does not have that text.", metavar="FILE.txt"),
    ] = None,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="They do not agree any more: erase them.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Only tell what is on record.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Record that somebody has agreed to be in the collection; with --withdraw, that they do not any more, which erases them."""
    with context.obj.client(collection) as client:
        found = one_named(client, person)
        if withdraw:
            if not yes:
                question = f"Erase {terminal.plain(found['name'])} with {found['faces']} face(s) and their photos?"
                typer.confirm(question, abort=True, err=True)
            erased = client.people.withdraw(found["id"])
        elif show:
            told = client.people.consents(found["id"])
        else:
            said = {
                "given_at": given_at,
                "notice": notice,
                "text": None if text is None else existing(text).read_text("utf-8"),
            }
            told = client.people.consent(
                found["id"], **{field: value for field, value in said.items() if value is not None}
            )
    if as_json:
        terminal.document(erased if withdraw else told)
    elif withdraw:
        terminal.say(
            f"Withdrawn and erased, as of sequence {erased['sequence']}. The receipt: colega erase {erased['erasure']['id']}"
        )
    else:
        rows = [
            [c["given_at"][:10], c["notice"], c["recorded_at"][:16].replace("T", " "), c["recorded_by"]]
            for c in told["items"]
        ]
        terminal.table(["agreed on", "notice", "recorded", "by the key"], rows)

"""``erase``: somebody, a photo or a face is deleted for good; the receipt says what is gone, and what will be by when."""

from typing import Annotated

import typer

from services.cli import terminal
from services.cli.client import Client
from services.cli.main import Collection, Exit, Json
from services.cli.service import Document, ServiceError
from services.cli.whom import one_named
from services.errors import NotFound

_NOT_FOUND = 404
_WITHIN_S = 3600.0
Whom = Annotated[
    str,
    typer.Argument(
        metavar="PERSON|ID", help="A name; or the id of a person, photo or face; or of an erasure, to hasten it."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to *app*."""
    app.command("erase")(erase)


def erase(
    context: typer.Context,
    who: Whom = "",
    now: Annotated[bool, typer.Option("--now", help="Have all of it done now, and wait for it.")] = False,
    timeout: Annotated[float, typer.Option(help="How many seconds to wait.", min=0)] = _WITHIN_S,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="List erasures, the latest first.")] = False,
    status: Annotated[str, typer.Option(metavar="ID", help="Show the receipt of this erasure.")] = "",
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Erase somebody for good: faces, embeddings, the photos that show nobody else who is known, and every copy of them.

    At once nobody finds them. The receipt says what is gone now, and by when the rest is; with --now it is waited for. Ends with 1
    where something is left after that.
    """
    if sum((bool(who), listed, bool(status))) != 1:
        raise typer.BadParameter("Give somebody to erase, or --list, or --status ID.")
    with context.obj.client(collection) as client:
        if listed:
            _list(list(client.erasures.list()), as_json=as_json)
            return
        receipt = client.erasures.show(status) if status else _erased(client, who, yes=yes, now=now)
        if now and not status:
            receipt = client.erasures.wait(receipt["id"], timeout)
    _show(receipt, as_json=as_json)
    if now and receipt["closed_at"] is None:
        raise typer.Exit(Exit.SOME_REJECTED)


def _erased(client: Client, who: str, *, yes: bool, now: bool) -> Document:
    """The receipt for what is erased now, or was before."""
    if who.startswith("era_"):
        return client.erasures.hasten(who) if now else client.erasures.show(who)
    if before := _before(client, who):
        return client.erasures.hasten(before["id"]) if now else before
    if who.startswith(("pho_", "fac_")):
        noun, what = (client.photos, "photo") if who.startswith("pho_") else (client.faces, "face")
        if not yes:
            typer.confirm(f"Erase {what} {who}?", abort=True, err=True)
        changed = noun.delete(who, now=now)
    else:
        found = one_named(client, who)
        if not yes:
            question = f"Erase {terminal.plain(found['name'])} with {found['faces']} face(s) and their photos?"
            typer.confirm(question, abort=True, err=True)
        changed = client.people.delete(found["id"], now=now)
    receipt: Document = changed["erasure"]
    return receipt


def _before(client: Client, who: str) -> Document | None:
    """The receipt for a person who was erased before, by their id."""
    if not who.startswith("per_"):
        return None
    try:
        client.people.show(who)
    except NotFound:
        pass
    except ServiceError as error:
        if error.status != _NOT_FOUND:
            raise
    else:
        return None
    return next(client.erasures.list(person_id=who), None)


def _list(found: list[Document], *, as_json: bool) -> None:
    if as_json:
        terminal.document(found)
        return
    rows = [
        [r["id"], r["person"], r["cause"], r["asked_at"][:19], r["faces"], r["photos"], r["due_at"][:19], _state(r)]
        for r in found
    ]
    terminal.table(["erasure", "whom", "cause", "asked", "faces>", "photos>", "by", "state"], rows)


def _show(receipt: Document, *, as_json: bool) -> None:
    if as_json:
        terminal.document(receipt)
        return
    whom = receipt["person"] or "photos or faces"
    terminal.say(
        f"{receipt['id']}  {whom}: {receipt['faces']} face(s), {receipt['photos']} photo(s). {_state(receipt)}"
    )
    rows = [["gone", each["about"], each["at"][:19], ""] for each in receipt["gone"]]
    rows += [["by", each["about"], each["by"][:19], each["why"]] for each in receipt["left"]]
    terminal.table(["", "meaning", "UTC", "detail"], rows)


def _state(receipt: Document) -> str:
    return "Closed." if receipt["closed_at"] is not None else f"Open; {len(receipt['left'])} place(s) left."

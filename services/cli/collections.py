"""``collections``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli import terminal
from services.cli.main import Json, existing
from services.cli.service import Document
from services.errors import InvalidRequest

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of a collection.")]
Basis = Annotated[
    str | None,
    typer.Option(
        help="consent, employment_law, substantial_public_interest, legal_claims, vital_interests, other …; none takes it away."
    ),
]
Statement = Annotated[str | None, typer.Option(help="The law or agreement behind it; of `other`, which it is.")]
Purpose = Annotated[str | None, typer.Option(help="What people are recognised for.")]
Notice = Annotated[Path | None, typer.Option(help="The text that people are given, or agree to.", metavar="FILE.txt")]
NoticeVersion = Annotated[str | None, typer.Option(help="Of that text; another text needs another version.")]
Retention = Annotated[
    str | None, typer.Option(help="Days that people stay after they were enrolled; 0 or none: no end.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to *app*."""
    collections = typer.Typer(help="Galleries apart from each other.", no_args_is_help=True, rich_markup_mode=None)
    collections.command("list")(list_collections)
    collections.command("show")(show)
    collections.command("create")(create)
    collections.command("set")(change)
    collections.command("retention")(retention)
    collections.command("delete")(delete)
    app.add_typer(collections, name="collections")


def list_collections(context: typer.Context, as_json: Json = False) -> None:
    """Every collection that the key may touch."""
    with context.obj.client() as client:
        found = list(client.collections.list())
    if as_json:
        terminal.document(found)
        return
    rows = [
        [c["name"], c["people"], c["photos"], (c["basis"] or {}).get("basis"), c["retention_days"], c["model"]]
        for c in found
    ]
    terminal.table(["collection", "people>", "photos>", "basis", "days>", "model"], rows)


def show(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """One collection: what is in it, on what basis, and for how long."""
    with context.obj.client() as client:
        _tell(client.collections.show(name), as_json=as_json)


def create(
    context: typer.Context,
    name: Name,
    basis: Basis = None,
    statement: Statement = None,
    purpose: Purpose = None,
    notice: Notice = None,
    notice_version: NoticeVersion = None,
    retention_days: Retention = None,
    as_json: Json = False,
) -> None:
    """Make an empty collection."""
    with context.obj.client() as client:
        given = _given({}, basis, statement, purpose, notice, notice_version, retention_days)
        _tell(client.collections.create(name, **given), as_json=as_json)


def change(
    context: typer.Context,
    name: Name,
    basis: Basis = None,
    statement: Statement = None,
    purpose: Purpose = None,
    notice: Notice = None,
    notice_version: NoticeVersion = None,
    retention_days: Retention = None,
    as_json: Json = False,
) -> None:
    """Record on what lawful basis people are in a collection, what they are told, and for how long they stay."""
    with context.obj.client() as client:
        before = client.collections.show(name)["basis"] or {}
        given = _given(before, basis, statement, purpose, notice, notice_version, retention_days)
        if not given:
            raise InvalidRequest("Say what is to change: --basis, --purpose, --notice, --retention-days and so on.")
        changed = client.collections.change(name, **given)
    _tell(changed, as_json=as_json)
    if changed["retention"]["due"]:
        terminal.complain(f"The time of {changed['retention']['due']} people is over by that.")


def retention(
    context: typer.Context,
    name: Name,
    confirm: Annotated[
        int | None,
        typer.Option(help="Have so many erased that are held back as too many at once.", metavar="PEOPLE", min=0),
    ] = None,
    as_json: Json = False,
) -> None:
    """Whose time is over, and how many are held back until somebody confirms that they are to be erased."""
    with context.obj.client() as client:
        if confirm is not None:
            client.collections.confirm_retention(name, confirm)
        found = client.collections.show(name)
    told = {"retention_days": found["retention_days"], **found["retention"]}
    if as_json:
        terminal.document(told)
        return
    if told["held"]:
        terminal.say(_held(found))
    terminal.say(f"{told['due']} people are due. {told['erased']} were erased so far.")


def delete(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Delete an empty collection."""
    with context.obj.client() as client:
        client.collections.delete(name)
    if as_json:
        terminal.document({"deleted": name})
    else:
        terminal.say(f"{name} is deleted.")


def _given(
    before: Document,
    basis: str | None,
    statement: str | None,
    purpose: str | None,
    notice: Path | None,
    notice_version: str | None,
    retention_days: str | None,
) -> dict[str, Any]:
    """The fields of the request; of the basis, what is not said stays as it was *before*."""
    given: dict[str, Any] = {}
    if basis == "none":
        given["basis"] = None
    elif any(said is not None for said in (basis, statement, purpose, notice, notice_version)):
        kept = {field: before.get(field) for field in ("basis", "statement", "purpose")}
        if before.get("notice"):
            kept["notice"] = {field: before["notice"][field] for field in ("text", "version")}
        said = {"basis": basis, "statement": statement, "purpose": purpose}
        given["basis"] = {**kept, **{field: value for field, value in said.items() if value is not None}}
        if given["basis"]["basis"] is None:
            raise InvalidRequest("Say on what basis: --basis consent, employment_law, …")
        if (notice is None) != (notice_version is None):
            raise InvalidRequest("Give --notice FILE.txt and --notice-version together.")
        if notice is not None:
            given["basis"]["notice"] = {"text": existing(notice).read_text("utf-8"), "version": notice_version}
    if retention_days is not None:
        given["retention_days"] = _days(retention_days)
    return given


def _days(text: str) -> float | None:
    if text in {"none", "0"}:
        return None
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"--retention-days is a number of days or none, not {text}.") from None


def _tell(found: Document, *, as_json: bool) -> None:
    if as_json:
        terminal.document(found)
        return
    basis, kept = found["basis"], found["retention_days"]
    terminal.say(f"{found['name']}: {found['people']} people, {found['photos']} photos, model {found['model']}")
    if basis is None:
        terminal.say("basis: none is recorded")
    else:
        terminal.say(f"basis: {basis['basis']}" + (f" ({basis['statement']})" if basis["statement"] else ""))
        terminal.say(f"purpose: {basis['purpose'] or '-'}")
        terminal.say(f"notice: {basis['notice']['version'] if basis['notice'] else 'none'}")
    if found["without_consent"]:
        terminal.say(f"without consent on record: {found['without_consent']} people")
    terminal.say(
        "kept: until somebody erases them" if kept is None else f"kept: {kept:g} days after they were enrolled"
    )
    if found["retention"]["held"]:
        terminal.say(_held(found))


def _held(found: Document) -> str:
    held, name = found["retention"]["held"], found["name"]
    why = "the catalog's clock has jumped" if found["retention"]["why"] == "clock" else "they are too many at once"
    return f"{held} people are due and held back, because {why}. To erase them: colega collections retention {name} --confirm {held}"

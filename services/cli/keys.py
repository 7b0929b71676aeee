"""``keys``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from services.cli import terminal
from services.cli.main import Json, existing


def register(app: typer.Typer) -> None:
    """Add the commands to *app*."""
    keys = typer.Typer(help="API keys.", no_args_is_help=True, rich_markup_mode=None)
    keys.command("create")(create)
    keys.command("list")(list_keys)
    keys.command("rotate")(rotate)
    keys.command("revoke")(revoke)
    app.add_typer(keys, name="keys")


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")],
    scope: Annotated[list[str], typer.Option(help="search, enrol, read, manage, train or admin; may be repeated.")],
    offline_: Annotated[bool, typer.Option("--offline", help="In the catalog itself, without a gateway.")] = False,
    days: Annotated[float | None, typer.Option(help="Until it expires.")] = None,
    only: Annotated[
        list[str] | None, typer.Option("--collection", help="It may touch this one only; may be repeated.", metavar="C")
    ] = None,
    secret_file: Annotated[
        Path | None,
        typer.Option(
            help="A file with a key that clients have already; - reads it from standard input.", metavar="FILE"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key. It is shown once."""
    if offline_ and (only or secret_file):
        raise typer.BadParameter("--collection and --secret-file need a running service.")
    if offline_:
        from services.local import offline  # noqa: PLC0415 - Brings the catalog, which no other command needs.

        secret = offline.create_key(context.obj.environment, name, scope, days=days)
        made = {"name": name, "scopes": scope, "secret": secret}
    else:
        with context.obj.client() as client:
            given = {"expires_in_days": days, "collections": only or None, "secret": _secret(secret_file)}
            made = client.keys.create(name, scope, **{k: v for k, v in given.items() if v is not None})
    if as_json:
        terminal.document(made)
    else:
        terminal.say(str(made["secret"]))
        terminal.complain("This key is shown once and kept nowhere.")


def _secret(path: Path | None) -> str | None:
    if path is None:
        return None
    text = sys.stdin.read() if str(path) == "-" else existing(path).read_text("utf-8")
    return text.strip()


def list_keys(context: typer.Context, as_json: Json = False) -> None:
    """Every key, revoked ones included."""
    with context.obj.client() as client:
        found = client.keys.list()
    if as_json:
        terminal.document(list(found))
        return
    rows = [
        [
            k["name"],
            ", ".join(k["scopes"]),
            (k["used_at"] or "never")[:19],
            "revoked" if k["revoked_at"] else "in force",
            k["id"],
        ]
        for k in found
    ]
    terminal.table(["key", "scopes", "last used", "state", "id"], rows)


def rotate(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY_ID")],
    keep_old_for: Annotated[
        float,
        typer.Option(metavar="HOURS", min=0, max=8760, help="How long the old secret stays valid; 0: it ends now."),
    ] = 24.0,
    as_json: Json = False,
) -> None:
    """Give a key another secret, which is shown once. The old one stays valid for a while, so that clients can be changed over."""
    with context.obj.client() as client:
        made = client.keys.rotate(key, keep_old_for)
    if as_json:
        terminal.document(made)
        return
    terminal.say(str(made["secret"]))
    old = (
        f"The old one is valid until {str(made['old_until'])[:19]} UTC"
        if made["old_until"]
        else "The old one has ended"
    )
    terminal.complain(f"This key is shown once and kept nowhere. {old}.")


def revoke(
    context: typer.Context, key: Annotated[str, typer.Argument(metavar="KEY_ID")], as_json: Json = False
) -> None:
    """End a key now and for good."""
    with context.obj.client() as client:
        ended = client.keys.revoke(key)
    if as_json:
        terminal.document(ended)
    else:
        terminal.say(f"{ended['name']} is revoked.")

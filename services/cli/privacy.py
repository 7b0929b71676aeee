"""``privacy``."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from services.cli import terminal
from services.cli.main import Collection, Json


def register(app: typer.Typer) -> None:
    """Add the commands to *app*."""
    privacy = typer.Typer(help="What an impact assessment needs.", no_args_is_help=True, rich_markup_mode=None)
    privacy.command("report")(report)
    privacy.callback()(_group)
    app.add_typer(privacy, name="privacy")


def _group() -> None:
    """What an impact assessment needs."""


def report(
    context: typer.Context,
    format_: Annotated[
        Literal["text", "json", "md", "html"], typer.Option("--format", help="How it is written.", metavar="FORMAT")
    ] = "text",
    out: Annotated[Path | None, typer.Option("--out", help="Write it there.", metavar="FILE")] = None,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Print what an impact assessment needs: basis, categories, counts, places, recipients, retention, erasures, accuracy.

    It ends with what the controller has to add by hand.
    """
    written = "json" if as_json else format_
    with context.obj.client(collection) as client:
        told = client.privacy.report() if written == "json" else None
        text = json.dumps(told, ensure_ascii=False, indent=1) if told is not None else client.privacy.written(written)
    if out is not None:
        out.write_text(text + "\n", "utf-8")
        terminal.complain(f"Wrote {out}.")
    elif told is not None:
        terminal.document(told)
    else:
        for line in text.splitlines():
            terminal.say(line)

"""``audit``: who did what."""

import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from services import moments
from services.cli import terminal
from services.cli.main import Exit, Json, existing
from services.cli.service import Document

_ANCHORED = re.compile(r"audit\.(?:anchored|ended)\b")
_FIELD = re.compile(r"\b(chain|sequence|hash)=(\S+)")

Action = Annotated[
    str | None, typer.Option(help="One, such as person.erase, or a kind: person.", metavar="ACTION", show_default=False)
]
Person = Annotated[str | None, typer.Option(help="About this person, searches that named them included.", metavar="ID")]
Object = Annotated[str | None, typer.Option("--object", help="Done to this.", metavar="ID")]
KeyId = Annotated[str | None, typer.Option(help="Done with this key.", metavar="ID")]
Since = Annotated[str | None, typer.Option(help="From this day, or time with its offset, on.", metavar="TIME")]
Until = Annotated[str | None, typer.Option(help="Until the end of this day, or this time.", metavar="TIME")]
InCollection = Annotated[str | None, typer.Option("--collection", help="In this one only.", metavar="C")]


def register(app: typer.Typer) -> None:
    """Add the commands to *app*."""
    audit = typer.Typer(help="Who did what.", rich_markup_mode=None)
    audit.callback(invoke_without_command=True)(whatever)
    audit.command("list")(list_entries)
    audit.command("verify")(verify)
    audit.command("export")(export)
    app.add_typer(audit, name="audit")


def whatever(context: typer.Context) -> None:
    """Who did what."""
    if context.invoked_subcommand is None:
        list_entries(context)


def list_entries(
    context: typer.Context,
    action: Action = None,
    person: Person = None,
    object_: Object = None,
    key: KeyId = None,
    since: Since = None,
    until: Until = None,
    collection: InCollection = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    as_json: Json = False,
) -> None:
    """What was done, the latest first: when, by which key, to what, and how it went."""
    wanted = _wanted(action, person, object_, key, since, until, collection)
    with context.obj.client() as client:
        found = list(islice(client.audit.list(**wanted, limit=min(limit, 500)), limit))
    if as_json:
        terminal.document(found)
        return
    rows = [
        [
            one["at"][:19],
            one["key"] or "none",
            one["action"],
            one["collection"] or "",
            one["object"] or "",
            one["outcome"] or "unknown",
            json.dumps(one["details"]) if one["details"] else "",
        ]
        for one in found
    ]
    terminal.table(["time", "key", "action", "collection", "object", "outcome>", "details"], rows)


def verify(
    context: typer.Context,
    heads: Annotated[
        Path | None,
        typer.Option(
            help="Heads that were kept elsewhere: lines audit.anchored of the gateways' logs, or an export.",
            metavar="FILE",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """See that nothing of the audit was changed, left out, added or cut off.

    Ends with 0 where it is whole and 1 where it is not.
    """
    kept = [] if heads is None else list(_heads(existing(heads)))
    if heads is not None and not kept:
        raise typer.BadParameter(f"{heads} has no line with chain, sequence and hash.")
    with context.obj.client() as client:
        found = client.audit.verify(kept)
    if as_json:
        terminal.document(found)
    else:
        _say(found)
    raise typer.Exit(Exit.OK if found["sound"] else Exit.SOME_REJECTED)


def export(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Else standard output.")] = None,
    action: Action = None,
    person: Person = None,
    object_: Object = None,
    key: KeyId = None,
    since: Since = None,
    until: Until = None,
    collection: InCollection = None,
    as_json: Json = False,
) -> None:
    """What was done, the oldest first: JSON, an entry a line; with --json all of it as one list."""
    wanted = _wanted(action, person, object_, key, since, until, collection)
    with context.obj.client() as client:
        entries = client.audit.list(**wanted, order="oldest")
        if file is not None:
            with file.open("w", encoding="utf-8") as out:
                count = sum(1 for _ in (out.write(_line(entry)) for entry in entries))
            told = {"file": str(file), "entries": count}
            terminal.document(told) if as_json else terminal.complain(f"{count:,} entries in {file}.")
        elif as_json:
            terminal.document(list(entries))
        else:
            for entry in entries:
                sys.stdout.write(_line(entry))


def _line(entry: Document) -> str:
    return json.dumps(entry, ensure_ascii=False, sort_keys=True) + "\n"


def _say(found: Document) -> None:
    for one in found["problems"]:
        terminal.say(f"{one['chain']} entry {one['sequence']}: {one['problem']}. {one['detail']}")
    more = found["problem_count"] - len(found["problems"])
    if more > 0:
        terminal.say(f"and {more:,} more.")
    state = "whole" if found["sound"] else "NOT whole"
    kept = f", compared with {found['heads']:,} heads kept elsewhere" if found["heads"] else ""
    removed = f", {found['pruned']:,} removed by age" if found["pruned"] else ""
    terminal.say(f"The audit is {state}: {found['entries']:,} entries in {found['chains']:,} chains{removed}{kept}.")
    if found["not_ended"]:
        terminal.say(f"{len(found['not_ended'])} chains have not ended: their gateways run, or were killed.")
    if found["unfinished"]:
        terminal.say(
            f"{found['unfinished']} changes are under way, or their gateway died before it could say how they ended."
        )


def _heads(path: Path) -> Iterator[Document]:
    """The heads in a file of log lines, as JSON or as text, or of entries."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            found: dict[str, Any] = {}
            if line.lstrip().startswith("{"):
                try:
                    told = json.loads(line)
                except ValueError:
                    continue
                found = {name: told.get(name) for name in ("chain", "sequence", "hash")}
            elif _ANCHORED.search(line):
                found = dict(_FIELD.findall(line))
            try:
                yield {"chain": str(found["chain"]), "sequence": int(found["sequence"]), "hash": _hex(found["hash"])}
            except (KeyError, TypeError, ValueError):
                continue


def _hex(text: str) -> str:
    if len(bytes.fromhex(text)) != 32:
        raise ValueError(text)
    return text


def _wanted(*given: str | None) -> dict[str, Any]:
    names = ("action", "person", "object", "key", "since", "until", "collection")
    wanted: dict[str, Any] = dict(zip(names, given, strict=True))
    for name, read in (("since", moments.begin), ("until", moments.end)):
        if wanted[name] is not None:
            wanted[name] = datetime.fromtimestamp(read(wanted[name], f"--{name}"), UTC).isoformat()
    return wanted

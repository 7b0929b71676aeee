"""``backup`` and ``restore``."""

import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli import computing, terminal
from services.cli.computing import Failed, OnProgress
from services.cli.main import Context, Exit, Json
from services.cli.service import Document
from services.errors import InvalidRequest

PATH = "/v1/backups"
_VERBS = ("verify", "list")
_USAGE = "Say: colega backup, colega backup DEST, colega backup verify DEST, or colega backup list DEST."


class Part(StrEnum):
    """What alone is restored."""

    CATALOG = "catalog"
    OBJECTS = "objects"


def register(app: typer.Typer) -> None:
    """Add the commands to *app*."""
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DEST] | verify DEST | list DEST",
            help="A folder or s3://BUCKET/PREFIX; else where the service's settings say.",
        ),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(min=0, help="So many backups stay in DEST; 0: all. Else COLEGA_BACKUP_KEEP.", metavar="N"),
    ] = None,
    at: Annotated[str | None, typer.Option(help="Verify this backup alone, by its name.", metavar="BACKUP")] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return at once; the service goes on.")] = False,
    as_json: Json = False,
) -> None:
    """Copy everything elsewhere while the service runs: catalog, photos, chips, models. Only what is new is copied.

    Without DEST the service's worker writes it where COLEGA_BACKUP_FOLDER says; with DEST it is written from here. `verify` reads
    backups back, `list` names them. Ends with 1 where something is missing or not as it was written.
    """
    given = words or []
    if given and given[0] in _VERBS:
        if len(given) != 2:
            raise InvalidRequest(_USAGE)
        (_verify if given[0] == "verify" else _list)(context.obj, given[1], at, as_json=as_json)
    if len(given) > 1 or at is not None:
        raise InvalidRequest(_USAGE)
    if given:
        from services.local import backups  # noqa: PLC0415 - Brings catalog and photo store; other commands do without.

        environment = context.obj.environment
        done = _shown(lambda tell: backups.back_up(environment, given[0], keep=keep, tell=tell))
    else:
        done = _asked(context.obj, keep, wait=not no_wait, as_json=as_json)
    if as_json:
        terminal.document(done)
    else:
        _say_made(done)
    raise typer.Exit(Exit.SOME_REJECTED if done["missing"] or "unreadable" in done else Exit.OK)


def restore(
    context: typer.Context,
    destination: Annotated[
        str, typer.Argument(metavar="DEST", help="Where the backups are: a folder or s3://BUCKET/PREFIX.")
    ],
    at: Annotated[str | None, typer.Option(help="This backup, by its name; else the newest.", metavar="BACKUP")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of this machine's own files.", metavar="DIR")] = None,
    only: Annotated[Part | None, typer.Option(help="catalog or objects, where the other is well.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Throw away what the catalog holds; else it must be empty.")
    ] = False,
    ledger: Annotated[
        Path | None,
        typer.Option(
            exists=True, help="Who was erased besides: a file or folder of the ledger's entries.", metavar="FILE"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Put a backup back, into the catalog and photo store of the settings or of DIR; nothing may run on them.

    Any kind of catalog and photo store takes any backup. Who was erased since stays erased. Killed anywhere, the same command goes
    on; until it has come to its end, nothing starts. Ends with 1 where objects are lost.
    """
    from services.local import backups  # noqa: PLC0415 - As above.

    environment = context.obj.environment
    done = _shown(
        lambda tell: backups.restore(
            environment,
            destination,
            data=data,
            at=at,
            only=None if only is None else only.value,
            replace=replace,
            ledger=ledger,
            tell=tell,
        )
    )
    if as_json:
        terminal.document(done)
    else:
        _say_restored(done, only)
    raise typer.Exit(Exit.SOME_REJECTED if done["lost"] else Exit.OK)


def _asked(context: Context, keep: int | None, *, wait: bool, as_json: bool) -> Document:
    """What the service's worker has written.

    Raises:
        typer.Exit: Nobody waits for it, or it failed.
    """
    wanted = {} if keep is None else {"keep": keep}
    try:
        job = computing.at_service(context, context.collection, PATH, wanted, wait=wait, as_json=as_json)
    except Failed as error:
        terminal.complain(f"colega: the backup failed: {error}")
        raise typer.Exit(Exit.UNREACHABLE) from None
    if job is None:
        raise typer.Exit(Exit.OK)
    return {**job["result"], "job": job["id"]}


def _verify(context: Context, destination: str, at: str | None, *, as_json: bool) -> None:
    """Raises: typer.Exit: Always."""
    from services.local import backups  # noqa: PLC0415 - As above.

    done = _shown(lambda tell: backups.verify(context.environment, destination, at=at, tell=tell))
    if as_json:
        terminal.document(done)
    else:
        read = f"{len(done['backups'])} backups, {done['rows']:,} rows, {done['objects']:,} objects, {_size(done['size_bytes'])}"
        terminal.say(f"{'all is well' if done['ok'] else str(done['problems']) + ' wrong'} ({read} read back)")
        for problem in done["named"]:
            terminal.say(f"  {problem}")
    raise typer.Exit(Exit.OK if done["ok"] else Exit.SOME_REJECTED)


def _list(context: Context, destination: str, at: str | None, *, as_json: bool) -> None:
    """Raises: typer.Exit: Always."""
    from services.local import backups  # noqa: PLC0415 - As above.

    found = [
        one for one in backups.listed(context.environment, destination) if at is None or one["backup"].startswith(at)
    ]
    if as_json:
        terminal.document(found)
    else:
        rows = [
            [
                one["backup"],
                time.strftime("%Y-%m-%d %H:%M", time.gmtime(one["began_at"])),
                one["rows"],
                one["objects"],
                _size(one["objects_bytes"]),
                one["figures"]["new"],
                ", ".join(one["wrapping_keys"]) or "not sealed",
            ]
            for one in found
        ]
        terminal.table(["backup", "as of (UTC)", "rows>", "objects>", "size>", "new>", "needs the wrapping keys"], rows)
    raise typer.Exit(Exit.OK)


def _shown(work: Callable[[OnProgress], Any]) -> Any:  # noqa: ANN401 - what the work gives
    """What *work* gives, which tells on a terminal meanwhile how far it is."""
    with terminal.progress() as bar:
        return work(computing.shown_on(bar))


def _say_made(done: Document) -> None:
    terminal.say(f"{done['backup']} in {done['destination']}")
    terminal.say(
        f"{done['count']:,} objects, {_size(done['size_bytes'])}; {done['new']:,} of them new, {_size(done['new_bytes'])}; "
        f"catalog {_size(done['catalog_bytes'])}"
    )
    if not done["sealed"]:
        terminal.say("It is not sealed: COLEGA_WRAPPING_KEYS is not set. Whoever reads it sees everybody's photos.")
    if done["gone_meanwhile"]:
        terminal.say(f"{done['gone_meanwhile']:,} objects were deleted while it was written.")
    if done["missing"]:
        terminal.say(
            f"{done['missing']:,} objects that the catalog names are not in the photo store. See: colega check"
        )
        for key in done["named"]:
            terminal.say(f"  {key}")
    if done.get("backups_removed") or done.get("objects_removed"):
        terminal.say(f"removed: {done['backups_removed']} old backups, {done['objects_removed']:,} objects")
    if "unreadable" in done:
        terminal.say(f"Nothing was removed: {done['unreadable']}")


def _say_restored(done: Document, only: Part | None) -> None:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(done["began_at"]))
    terminal.say(f"restored {done['backup']}: everything until {when} UTC, in {done['seconds']:.1f} s")
    if only is not Part.OBJECTS:
        terminal.say(f"catalog: {done['rows']:,} rows in {done['rows_s']:.1f} s, at revision {done['revision']}")
        if done["erased_again"]:
            terminal.say(f"{done['erased_again']:,} erasures were made again: they were asked for after this backup.")
    if only is not Part.CATALOG:
        there = f", {done['objects_there']:,} were there" if done["objects_there"] else ""
        terminal.say(
            f"photo store: {done['objects']:,} objects, {_size(done['objects_bytes'])}, in {done['objects_s']:.1f} s{there}"
        )
    if done["lost"]:
        terminal.say(
            f"{done['lost']:,} objects are lost. `colega check --repair` makes again what can be made from the rest."
        )
        for lost in done["lost_named"]:
            terminal.say(f"  {lost}")


def _size(size_bytes: int) -> str:
    """In the unit that reads best."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:,.1f} {unit}"
    return f"{size_bytes} B"

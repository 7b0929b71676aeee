"""``rebuild``: a collection made anew under another model or detector, while it is searched."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli import checking, rebuild_follow, rebuild_table, terminal
from services.cli.main import Json
from services.cli.service import Document
from services.errors import InvalidRequest

Id = Annotated[str, typer.Argument(metavar="ID")]
Whose = Annotated[str | None, typer.Option("--collection", help="Whose faces.", metavar="C")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Return at once; it goes on.")]
SkipMissing = Annotated[
    bool, typer.Option("--skip-missing", help="Go on without faces whose chip and photo are both missing.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to *app*."""
    group = typer.Typer(rich_markup_mode=None)
    group.callback(invoke_without_command=True)(rebuild)
    for command in (status, pause, resume, cancel, switch, rollback, report, findings, decide):
        group.command(command.__name__)(command)
    app.add_typer(group, name="rebuild")


def rebuild(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="Name or id of the model to rebuild to.", metavar="M")] = None,
    detector: Annotated[
        str | None, typer.Option(help="Another detector: name or id, or mtcnn for the built-in one.", metavar="D")
    ] = None,
    source: Annotated[
        str, typer.Option(help="auto, chips, or raw (all photos are looked at anew).", metavar="auto|chips|raw")
    ] = "auto",
    compare_only: Annotated[bool, typer.Option("--compare-only", help="Do not ask to switch; it stays ready.")] = False,
    skip_missing: SkipMissing = False,
    min_rank1: Annotated[
        float | None, typer.Option(min=0, max=1, help="Stop where rank-1 on labelled faces is below.", metavar="X")
    ] = None,
    max_loss: Annotated[
        float | None, typer.Option(min=0, max=1, help="Stop where rank-1 or TMR falls by more; else 0.01.", metavar="X")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Switch without asking, unless the policy stops it.")] = False,
    no_wait: NoWait = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Rebuild nothing: embed a sample anew and compare with what is stored.")
    ] = False,
    sample: Annotated[int | None, typer.Option(min=1, help="With --verify: so many; else 1,000.", metavar="N")] = None,
    collection: Whose = None,
    as_json: Json = False,
) -> None:
    """Rebuild a collection to another model (or detector): plan, embed, compare, switch. Searches and imports go on meanwhile.

    On a terminal it asks before it switches; elsewhere it switches with --yes and otherwise stays ready. Ctrl-C leaves it going
    on. What was active before is kept: `colega rebuild rollback ID` returns to it at once, `colega models prune` frees it.
    """
    context.obj.collection = collection or context.obj.collection
    if context.invoked_subcommand is not None:
        return
    if verify:
        checking.verify(context.obj, context.obj.collection, sample=sample, as_json=as_json)
        return
    if model is None and detector is None and source != "raw":
        raise InvalidRequest("Name the model: colega rebuild --model M. What is under way: colega rebuild status.")
    wanted: dict[str, Any] = {"detector": detector, "source": source, "min_rank1": min_rank1, "max_loss": max_loss}
    by_itself = yes and not compare_only
    with context.obj.client() as client:
        begun = client.rebuilds.create(
            model, **wanted, skip_missing=skip_missing, switch="auto" if by_itself else "manual"
        )
        if no_wait:
            _told(
                begun, f"{begun['id']} is under way: {rebuild_follow.command(client, 'status', begun)} --watch", as_json
            )
            return
        done = rebuild_follow.followed(client, begun, quiet=as_json)
        if as_json:
            terminal.document(done)
        else:
            rebuild_table.comparison(done)
            if done["state"] == "ready" and not compare_only and _asked(done):
                done = rebuild_follow.switched(client, done)
        rebuild_follow.conclude(client, done, quiet=as_json)


def status(
    context: typer.Context,
    rebuild_id: Annotated[str | None, typer.Argument(metavar="[ID]")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it until nothing more happens by itself.")] = False,
    collection: Whose = None,
    as_json: Json = False,
) -> None:
    """Rebuilds, newest first; or one with its plan, how far it is, how it compares and what it waits for."""
    with context.obj.client(collection) as client:
        if rebuild_id is None:
            rebuild_table.table(list(client.rebuilds.list()), as_json=as_json)
            return
        shown = client.rebuilds.show(rebuild_id)
        if watch:
            shown = rebuild_follow.followed(client, shown, quiet=True)
        if as_json:
            terminal.document(shown)
            return
        rebuild_table.whole(shown)
        for line in rebuild_follow.next_steps(client, shown):
            terminal.say(line)


def pause(context: typer.Context, rebuild_id: Id, collection: Whose = None, as_json: Json = False) -> None:
    """Have no more of it worked on; what is under way ends within seconds."""
    with context.obj.client(collection) as client:
        changed = client.rebuilds.change(rebuild_id, "pause")
        _told(changed, f"{rebuild_id} is paused: {rebuild_follow.command(client, 'resume', changed)}", as_json)


def resume(
    context: typer.Context,
    rebuild_id: Id,
    skip_missing: SkipMissing = False,
    collection: Whose = None,
    as_json: Json = False,
) -> None:
    """Go on after a pause, or after what made it fail was mended: what was left out is tried again."""
    with context.obj.client(collection) as client:
        changed = client.rebuilds.change(rebuild_id, "resume", {"skip_missing": skip_missing})
        _told(changed, f"{rebuild_id} goes on: {rebuild_follow.command(client, 'status', changed)} --watch", as_json)


def cancel(context: typer.Context, rebuild_id: Id, collection: Whose = None, as_json: Json = False) -> None:
    """End one that was not switched to; what it has made is removed."""
    with context.obj.client(collection) as client:
        changed = client.rebuilds.change(rebuild_id, "cancel")
        _told(changed, f"{rebuild_id} is cancelled; searches look where they did", as_json)


def switch(
    context: typer.Context,
    rebuild_id: Id,
    despite_policy: Annotated[bool, typer.Option("--despite-policy", help="Although the policy stopped it.")] = False,
    no_wait: NoWait = False,
    collection: Whose = None,
    as_json: Json = False,
) -> None:
    """Have searches look in what was made, as soon as every searcher and worker is ready for it."""
    with context.obj.client(collection) as client:
        changed = client.rebuilds.change(rebuild_id, "switch", {"despite_policy": despite_policy})
        if not no_wait:
            changed = rebuild_follow.followed(client, changed, quiet=True)
        if no_wait and changed["state"] == "switching":
            waiting_for = ", ".join(changed["waiting_for"])
            _told(changed, f"{rebuild_id} will be switched to when these are ready: {waiting_for}", as_json)
            return
        if as_json:
            terminal.document(changed)
        rebuild_follow.conclude(client, changed, quiet=as_json)


def rollback(context: typer.Context, rebuild_id: Id, collection: Whose = None, as_json: Json = False) -> None:
    """Have searches look in what was active before, at once."""
    with context.obj.client(collection) as client:
        changed = client.rebuilds.change(rebuild_id, "rollback")
        before = changed["before"]
        again = rebuild_follow.command(client, "switch", changed)
        _told(changed, f"active: {before['model']} with {before['detector']}. To return: {again}", as_json)


def report(
    context: typer.Context,
    rebuild_id: Id,
    output: Annotated[
        Path | None, typer.Option("--output", help="Where it goes; else ID.html here.", metavar="FILE.html")
    ] = None,
    collection: Whose = None,
    as_json: Json = False,
) -> None:
    """Fetch the report of how a rebuild compares. With --json its figures are printed, and a file is written only if named."""
    with context.obj.client(collection) as client:
        shown = client.rebuilds.show(rebuild_id)
        path = output or (None if as_json else Path(f"{shown['id']}.html"))
        if path is not None:
            content = client.rebuilds.report(rebuild_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    if as_json:
        terminal.document(shown["comparison"])
    else:
        terminal.say(f"report: {path}")


def findings(
    context: typer.Context,
    rebuild_id: Id,
    kind: Annotated[
        str | None, typer.Option(help="missing, unreadable, crashed, kept or ambiguous.", metavar="KIND")
    ] = None,
    collection: Whose = None,
    as_json: Json = False,
) -> None:
    """Faces and photos that a rebuild could not simply carry over, and what was decided of them."""
    with context.obj.client(collection) as client:
        found = list(client.rebuilds.findings(rebuild_id, kind))
    if as_json:
        terminal.document(found)
    else:
        rebuild_table.findings(found)


def decide(
    context: typer.Context,
    rebuild_id: Id,
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="Of the finding.")],
    candidate: Annotated[
        str, typer.Argument(metavar="FACE", help="The candidate that is the face; or none: it stays as it was.")
    ],
    collection: Whose = None,
    as_json: Json = False,
) -> None:
    """Say which of the faces found anew an ambiguous face is: it takes over the id and the person."""
    chosen = None if candidate == "none" else candidate
    with context.obj.client(collection) as client:
        changed = client.rebuilds.decide(rebuild_id, number, chosen)
    _told(changed, f"decided: {'it stays as it was' if chosen is None else f'it is {chosen}'}", as_json)


def _asked(done: Document) -> bool:
    """Whether a person at the terminal wants to switch. Elsewhere nobody does."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    try:
        return typer.confirm(f"Switch to {done['model']} with {done['detector']}?", err=True)
    except typer.Abort:
        return False  # Ctrl-C, or nothing more to read: it stays ready.


def _told(changed: Document, sentence: str, as_json: bool) -> None:
    if as_json:
        terminal.document(changed)
    else:
        terminal.say(sentence)

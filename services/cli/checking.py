"""``check``, and the part of it that ``rebuild --verify`` asks for."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from services.cli import computing, terminal
from services.cli.computing import Failed
from services.cli.main import Context, Exit, Json
from services.cli.service import Document

PATH = "/v1/checks"
_NAMED = ("photo", "face", "model", "object")


def register(app: typer.Typer) -> None:
    """Add the command to *app*."""
    app.command("check")(check)


def check(
    context: typer.Context,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Every photo and every face, not 1,000 of each.")] = False,
    sample: Annotated[
        int | None, typer.Option(min=0, help="So many photos and faces instead of 1,000.", metavar="N")
    ] = None,
    collection: Annotated[
        str | None, typer.Option("--collection", help="One of them; else all are looked at.", metavar="C")
    ] = None,
    offline_: Annotated[
        bool, typer.Option("--offline", help="Here, over catalog and photo store, without a service.")
    ] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return at once; the checks go on.")] = False,
    as_json: Json = False,
) -> None:
    """See that catalog, photo store and embeddings still agree: nothing lost, altered, left over or exchanged.

    Ends with 0 where nothing is wrong and 1 where something is, or was mended.
    """
    depth: int | str = "all" if full else 1000 if sample is None else sample
    wanted = {"objects": True, "checksums": depth, "embeddings": depth, "repair": repair}
    if offline_:
        from services.local import offline  # noqa: PLC0415 - Brings the catalog, which other commands do without.

        with offline.photo_store(context.obj.environment):
            names = [collection] if collection else offline.collections(context.obj.environment)
            _report(_here(context.obj, names, wanted), as_json=as_json)
    names = [collection] if collection else _collections(context.obj)
    found = {name: _asked(context.obj, name, wanted, wait=not no_wait, as_json=as_json) for name in names}
    if not no_wait:
        _report({name: told for name, told in found.items() if told is not None}, as_json=as_json)


def verify(context: Context, collection: str, *, sample: int | None, as_json: bool) -> None:
    """Embed faces anew from their chips and compare them with what is stored: ``rebuild --verify``.

    Args:
        context: Which service.
        collection: Whose faces.
        sample: So many under each model that is kept ready; None: 1,000.
        as_json: How it is printed.

    Raises:
        typer.Exit: 0 where nothing is wrong, 1 where something is.
    """
    wanted = {"objects": False, "checksums": 0, "embeddings": 1000 if sample is None else sample, "repair": False}
    told = _asked(context, collection, wanted, wait=True, as_json=as_json)
    assert told is not None, "It was waited for."
    _report({collection: told}, as_json=as_json)


def _asked(
    context: Context, collection: str, wanted: Mapping[str, Any], *, wait: bool, as_json: bool
) -> Document | None:
    """The result of a check by the service; None where nobody waits for it."""
    try:
        job = computing.at_service(context, collection, PATH, wanted, wait=wait, as_json=as_json)
    except Failed as error:
        raise _failed(collection, error) from None
    return None if job is None else {**job["result"], "job": job["id"]}


def _here(context: Context, names: list[str], wanted: Mapping[str, Any]) -> dict[str, Document]:
    """The results of checks in processes of their own on this machine."""
    found = {}
    for name in names:
        try:
            found[name] = computing.here(context, "check", wanted, output=None, collection=name)
        except Failed as error:
            raise _failed(name, error) from None
    return found


def _failed(collection: str, error: Failed) -> typer.Exit:
    terminal.complain(f"colega: the check of {collection} failed: {error}")
    return typer.Exit(Exit.UNREACHABLE)


def _collections(context: Context) -> list[str]:
    with context.client() as client:
        return [str(found["name"]) for found in client.pages("/v1/collections")]


def _report(found: Mapping[str, Document], *, as_json: bool) -> None:
    """Print what was found, and end.

    Raises:
        typer.Exit: Always.
    """
    well = all(told["ok"] for told in found.values())
    if as_json:
        terminal.document({"ok": well, "collections": dict(found)})
    else:
        for name, told in found.items():
            _show(name, told)
    raise typer.Exit(Exit.OK if well else Exit.SOME_REJECTED)


def _show(name: str, told: Document) -> None:
    looked_at = ", ".join(f"{count:,} {what}" for what, count in told["looked_at"].items() if count)
    terminal.say(f"{name}: {_verdict(told)} (looked at: {looked_at or 'nothing is there'})")
    for one in told.get("compared", []):
        if one["faces"]:
            least = f"least cosine to what is stored {one['least_cosine']:.6f}"
            terminal.say(f"  {one['faces']:,} faces embedded anew under {one['model']}; {least}")
    if not told["problems"]:
        return
    rows = [
        [kind, count, told["mended"].get(kind, 0), told["remaining"].get(kind, 0), told["advice"][kind]]
        for kind, count in told["problems"].items()
    ]
    terminal.table(["problem", "found>", "mended>", "left>", "meaning"], rows)
    named = [
        [
            kind,
            ", ".join(str(one[what]) for what in _NAMED if what in one),
            "mended" if one["mended"] else "left",
            one.get("why"),
        ]
        for kind, some in told["named"].items()
        for one in some
    ]
    terminal.table(["problem", "what", "state", "detail"], named)


def _verdict(told: Document) -> str:
    if told["ok"]:
        return "all is well"
    left, mended = sum(told["remaining"].values()), sum(told["mended"].values())
    if told["repair"]:
        return f"{mended:,} mended, {left:,} left"
    return f"{left:,} wrong; `colega check --repair` mends what can be mended"

"""``status``, ``settings`` and ``models``."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr

from services.cli import terminal
from services.cli.main import Exit, Json, existing
from services.cli.service import Document
from services.settings import GROUPS

_POLL_S = 0.2
_CHECKED_WITHIN_S = 60.0


def register(app: typer.Typer) -> None:
    """Add the commands to *app*."""
    app.command("status")(status)
    app.command("settings")(settings)
    models = typer.Typer(help="Models as data.", no_args_is_help=True, rich_markup_mode=None)
    models.command("list")(list_models)
    models.command("show")(show_model)
    models.command("add")(add_model)
    models.command("activate")(activate)
    models.command("retire")(retire)
    app.add_typer(models, name="models")


def status(context: typer.Context, as_json: Json = False) -> None:
    """What runs, how full it is, and how far each replica is."""
    with context.obj.client() as client:
        found = client.status()
    well = set(found["checks"].values()) == {"ok"}
    if as_json:
        terminal.document(found)
        raise typer.Exit(Exit.OK if well else Exit.UNREACHABLE)
    terminal.say(f"colega {found['version']}: {'all parts work' if well else 'not all parts work'}")
    terminal.table(["part", "state"], found["checks"].items())
    galleries = found.get("collections", [])
    rows: list[list[Any]] = []
    for gallery in galleries:
        lags = ", ".join(_replica(replica) for replica in gallery["replicas"]) or "not loaded"
        named = [gallery[part] for part in ("name", "people", "faces", "photos", "head", "model", "detector")]
        rows.append([*named, lags])
    terminal.table(["collection", "people>", "faces>", "photos>", "head>", "model", "detector", "replicas"], rows)
    running = [
        [p["kind"], p["host"], p["pid"], p["device"] or ", ".join(p["variants"])] for p in found.get("processes", [])
    ]
    terminal.table(["process", "host", "pid>", "variant or device"], running)
    if isinstance(found["queues"], dict) and "error" not in found["queues"]:
        waiting = {queue: depth for queue, depth in found["queues"].items() if depth}
        terminal.say("queues: " + (", ".join(f"{queue} {depth}" for queue, depth in waiting.items()) or "empty"))
    terminal.say(f"disk: {found['disk']['free_mb']:,} MB free of {found['disk']['total_mb']:,}")
    raise typer.Exit(Exit.OK if well else Exit.UNREACHABLE)


def settings(context: typer.Context, as_json: Json = False) -> None:
    """Every setting with value, default and meaning; secrets are masked."""
    rows = []
    for group in GROUPS:
        values = context.obj.environment.load(group)
        for name, field in group.model_fields.items():
            rows.append(
                {
                    "setting": f"COLEGA_{name.upper()}",
                    "value": _shown(getattr(values, name)),
                    "default": _shown(field.default),
                    "meaning": field.description,
                }
            )
    if as_json:
        terminal.document(rows)
    else:
        terminal.table(["setting", "value", "default", "meaning"], (list(row.values()) for row in rows))


def list_models(context: typer.Context, as_json: Json = False) -> None:
    """Every model: embedders and detectors."""
    with context.obj.client() as client:
        found = client.models.list()
    _models(found, as_json=as_json)


def show_model(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name or id.")],
    as_json: Json = False,
) -> None:
    """One model with its licence and provenance."""
    with context.obj.client() as client:
        found = client.models.show(model)
    if as_json:
        terminal.document(found)
        return
    _models([found], as_json=False)
    terminal.say(f"licence: {found['licence'] or 'not stated'}")
    terminal.say(f"digest: {found['digest']}")


def add_model(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A YuNet detector (ONNX).")],
    name: Annotated[str, typer.Option(help="What to call it.")],
    as_json: Json = False,
) -> None:
    """Bring a detector along. A worker tries it; then new collections use it."""
    with context.obj.client() as client:
        model = client.models.add(existing(file), name)
        give_up_at = time.monotonic() + _CHECKED_WITHIN_S
        while model["state"] == "checking" and time.monotonic() < give_up_at:
            time.sleep(_POLL_S)
            model = client.models.show(model["id"])
    _models([model], as_json=as_json)
    if model["state"] == "refused":
        terminal.complain(f"colega: {model['error']}")
    raise typer.Exit(Exit.OK if model["state"] in {"candidate", "active"} else Exit.REFUSED)


def activate(
    context: typer.Context, model: Annotated[str, typer.Argument(metavar="MODEL")], as_json: Json = False
) -> None:
    """Make a model what new collections use."""
    with context.obj.client() as client:
        _models([client.models.change(model, "activate")], as_json=as_json)


def retire(
    context: typer.Context, model: Annotated[str, typer.Argument(metavar="MODEL")], as_json: Json = False
) -> None:
    """Put a model aside."""
    with context.obj.client() as client:
        _models([client.models.change(model, "retire")], as_json=as_json)


def _models(found: Sequence[Document], *, as_json: bool) -> None:
    if as_json:
        terminal.document(list(found))
        return
    rows = [[m["name"], m["kind"], m["state"], m["dimension"], m["licence"][:60], m["id"]] for m in found]
    terminal.table(["model", "kind", "state", "dimension>", "licence", "id"], rows)


def _replica(replica: Document) -> str:
    """How a replica is, in a few words."""
    words = [f"{replica['lag']} behind" if replica["lag"] else "up to date"]
    if replica["reloading"]:
        words.append("being made anew")
    if replica["refused"]:
        words.append(f"{replica['refused']} embeddings refused")
    if replica["trouble"]:
        words.append(replica["trouble"])
    return "; ".join(words)


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return "********" if value.get_secret_value() else ""
    return "" if value is None else str(value)

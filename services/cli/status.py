"""``status`` and ``settings``."""

from typing import Any

import typer
from pydantic import SecretStr

from services.cli import computing, rebuild_table, sealing, terminal
from services.cli.main import Exit, Json
from services.cli.service import Document
from services.settings.service import GROUPS

_KEPT = {"building": "is being made", "prepared": "is kept ready", "dropped": "is being removed"}
"""What may be said of a generation that is not searched."""


def register(app: typer.Typer) -> None:
    """Add the commands to *app*."""
    app.command("status")(status)
    app.command("settings")(settings)


def status(context: typer.Context, as_json: Json = False) -> None:
    """What runs, how full it is, and how far each replica is."""
    with context.obj.client() as client:
        found = client.status()
    well = set(found["checks"].values()) <= {"ok", "slow"}
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
    for gallery in galleries:
        for line in _of_gallery(gallery):
            terminal.say(line)
    running = [
        [p["kind"], p["host"], p["pid"], p["device"] or ", ".join(p["variants"])] for p in found.get("processes", [])
    ]
    terminal.table(["process", "host", "pid>", "variant or device"], running)
    computed = [
        [c["job"], c["kind"], c["collection"], c["state"], computing.told(c["progress"] or {})]
        for c in found.get("computations", [])
    ]
    if computed:
        terminal.table(["computation", "kind", "of", "state", "progress"], computed)
    if isinstance(found["queues"], dict) and "error" not in found["queues"]:
        waiting = {queue: depth for queue, depth in found["queues"].items() if depth}
        terminal.say("queues: " + (", ".join(f"{queue} {depth}" for queue, depth in waiting.items()) or "empty"))
    if (kept := found.get("sealing")) and kept["state"] != "sealed":
        terminal.say(sealing.sentence(kept))
    for line in _of_service(found):
        terminal.say(line)
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


def _of_gallery(told: Document) -> list[str]:
    """What there is to say of a collection beside its counts."""
    return [*_calibration(told), *_generations(told), *_rebuild(told), *_check(told), *_held(told)]


def _of_service(found: Document) -> list[str]:
    """What is amiss beside the parts."""
    troubles = [f"{one['id']}: {trouble}" for one in found.get("processes", []) for trouble in one["trouble"]]
    duties = [*_erasures(found.get("erasures")), *_audit(found.get("audit"))]
    return [*troubles, *_webhooks(found.get("webhooks")), *duties]


def _calibration(gallery: Document) -> list[str]:
    """What a collection decides by, and what that costs; nothing of an empty one."""
    told = gallery["calibration"]
    if told is None:
        why = f"{gallery['name']}: not calibrated; decides by the table of {gallery['model']}"
        return [f"{why} (colega calibrate --collection {gallery['name']})"] if gallery["people"] else []
    stale = "" if told["stale"] is None else f"; stale: {told['stale']}"
    about = f"{gallery['name']}: calibrated {told['created_at'][:10]} on {told['people']:,} people{stale}"
    return [about, *(f"  {cost['sentence']}" for cost in told["rates"] if cost["kind"] == "fpir")]


def _generations(gallery: Document) -> list[str]:
    """The generations of a collection beside the one that is searched."""
    return [
        f"{gallery['name']}: {one['model']} with {one['detector']} {_KEPT[one['state']]}"
        for one in gallery["generations"]
        if not one["active"]
    ]


def _rebuild(gallery: Document) -> list[str]:
    """The rebuild of a collection that is under way."""
    told = gallery["rebuild"]
    if told is None:
        return []
    whose = "" if gallery["name"] == "default" else f" --collection {gallery['name']}"
    about = f"{gallery['name']}: {told['id']} to {told['model']} with {told['detector']}"
    return [f"{about}: {rebuild_table.progress(told)} (colega rebuild status {told['id']}{whose})"]


def _check(gallery: Document) -> list[str]:
    """What the last check of a collection has left, where it has left anything."""
    told = gallery["check"]
    if told is None or not told["remaining"]:
        return []
    left = ", ".join(f"{count:,} {kind}" for kind, count in told["remaining"].items())
    about = f"{gallery['name']}: checked {told['finished_at'][:10]}: {left}"
    return [f"{about} (colega check --repair --collection {gallery['name']})"]


def _held(gallery: Document) -> list[str]:
    """Who is due to be erased and is not before somebody confirms it."""
    told = gallery["retention"]
    if not told["held"]:
        return []
    why = "the clock has jumped" if told["why"] == "clock" else "they are many at once"
    about = f"{gallery['name']}: {told['held']:,} people are due to be erased and held back: {why}"
    return [f"{about} (colega collections retention {gallery['name']})"]


def _erasures(told: Document | None) -> list[str]:
    """Erasures whose time is over."""
    if not told or not told["overdue"]:
        return []
    return [f"erasures: {told['overdue']:,} overdue (colega erase --list)"]


def _webhooks(told: Document | None) -> list[str]:
    """What webhooks are still to be told, where there is anything."""
    if told is None or not (told["waiting"] or told["given_up"]):
        return []
    words = (
        f"{told['waiting']:,} deliveries wait, {told['failing']:,} of them failed before; {told['given_up']:,} given up"
    )
    return [f"webhooks: {words} (colega webhooks list)"]


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


def _audit(told: Document | None) -> list[str]:
    """What there is to say of the audit: only where something is not as it should be."""
    if told is None or (told["on"] and told["well"]):
        return []
    if not told["on"]:
        return ["audit: off (COLEGA_AUDIT): nobody will know who did what"]
    return [f"audit: the catalog cannot be written; {told['waiting']} entries wait"]

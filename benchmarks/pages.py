"""The generated pages of docs/: settings, problems, commands, API. ``make docs`` writes them; a test sees that they are current."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from flask import Flask
from pydantic import SecretStr
from werkzeug.routing import Rule

from benchmarks import packages
from services import errors, rejections
from services.broker.app import celery_app
from services.broker.requests import Asking
from services.broker.send import Queue
from services.broker.waking import Waking
from services.catalog.engine import Catalog
from services.cli import main as cli
from services.gateway.app import create_app
from services.gateway.doors import SCOPES, Gateway
from services.photos.store import PhotoStore
from services.settings import service as settings
from services.vault import Vault

DOCS = Path(__file__).resolve().parents[1] / "docs"


def pages() -> dict[Path, str]:
    """Every generated page, by its path."""
    return {
        DOCS / "settings.md": settings_page(),
        DOCS / "problems.md": problems_page(),
        DOCS / "commands.md": commands_page(),
        DOCS / "api.md": api_page(),
        DOCS / "licences.md": licences_page(),
    }


def settings_page() -> str:
    """All settings with default and meaning, a table a group."""
    lines = [
        "# Settings",
        "",
        "`COLEGA_*` in the environment, or in a file named by `COLEGA_ENV_FILE` (the environment wins). A secret may also",
        "come from a file: append `_FILE` to its name. An unknown `COLEGA_` name is refused with the nearest valid one.",
        "`colega settings` prints these with the values in force. This page is generated: `make docs`.",
        "",
    ]
    for group in settings.GROUPS:
        lines += [f"## {group.__doc__.strip().splitlines()[0].rstrip('.')}" if group.__doc__ else "", ""]
        lines += ["| setting | default | meaning |", "| --- | --- | --- |"]
        for name, field in group.model_fields.items():
            secret = field.annotation is SecretStr or "SecretStr" in str(field.annotation)
            default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
            shown = "" if default in {None, ""} else f"`{default}`"
            note = " Secret: also as `…_FILE`." if secret else ""
            lines.append(f"| `COLEGA_{name.upper()}` | {shown} | {field.description}{note} |")
        lines.append("")
    return "\n".join(lines)


def problems_page() -> str:
    """All problem types and all reasons of rejected items."""
    lines = [
        "# Problems",
        "",
        "Every error over HTTP is `application/problem+json` (RFC 9457). Its `type` is `/problems/` and one of the names below,",
        "stable across versions; `detail` says what went wrong with which value and what to do next; `request_id` is also in the",
        "header `X-Request-ID` and in the logs. An answer with 503 has `Retry-After`. This page is generated: `make docs`.",
        "",
        "| type | status | when |",
        "| --- | --- | --- |",
    ]
    lines += [f"| `{kind.type}` | {kind.status} | {_first_line(kind)} |" for kind in _tree(errors.ColegaError)]
    lines += [
        "",
        "## Reasons of rejected items",
        "",
        "As `reason` of an item, and as `/problems/photo-REASON` where one photo is refused at once.",
        "",
    ]
    lines += ["| reason | meaning |", "| --- | --- |"]
    lines += [f"| `{reason}` | {meaning} |" for reason, meaning in rejections.REJECTIONS.items()]
    return "\n".join([*lines, ""])


def commands_page() -> str:
    """Every command with its help."""
    lines = [
        "# Commands",
        "",
        "`--json` on every command prints one JSON document and nothing else. Exit codes: 0 done; 1 done with rejected items,",
        "or different people (`verify`); 2 usage or refused input; 3 the service cannot be reached or failed. Service and key",
        "are taken from `COLEGA_URL` and `COLEGA_API_KEY`, else from `instance.json` in `COLEGA_DATA` (default `./data`), which",
        "`colega up` keeps. This page is generated: `make docs`.",
        "",
    ]
    if not cli.colega.registered_groups:
        cli.register()
    root = typer.main.get_command(cli.colega)
    for name, command in sorted(_commands(root, "colega"), key=lambda named: named[0]):
        options = []
        for parameter in command.params:
            about = getattr(parameter, "help", "") or ""
            if "--help" in parameter.opts or "--version" in parameter.opts:
                continue
            shown = (
                ", ".join(f"`{option}`" for option in parameter.opts) if parameter.param_type_name == "option" else ""
            )
            shown = shown or f"`{parameter.metavar or (parameter.name or '').upper()}`"
            options.append(f"| {shown} | {about} |")
        text = " ".join((command.help or "").split())
        lines += [f"## `{name}`", "", text, ""]
        if options:
            lines += ["| argument or option | meaning |", "| --- | --- |", *options, ""]
    return "\n".join(lines)


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - Typer's copy of click is not public
    if isinstance(command, typer.core.TyperGroup):
        if command.invoke_without_command and name != "colega":
            yield name, command
        for word, below in command.commands.items():
            yield from _commands(below, f"{name} {word}")
    else:
        yield name, command


def api_page() -> str:
    """Every endpoint with the scope that it needs."""
    lines = [
        "# API",
        "",
        "`Authorization: Bearer KEY` on everything under `/v1`; `collection` as a query field of every endpoint that is about one",
        "(default `default`). `/openapi.json` has the fields, `/docs` shows them in a browser. Lists take `limit` and `cursor`.",
        "`Idempotency-Key` is honoured on every POST that creates. Errors are [problems](problems.md). This page is generated: `make docs`.",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        app = create_app(unconnected(Path(scratch)))
        rules = [
            rule
            for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule)
            if not rule.endpoint.startswith(("openapi.", "swagger", "compreface.not_offered"))
        ]
        pages = [rule for rule in rules if rule.endpoint.startswith("console.") or rule.endpoint == "asset"]
        compreface = [rule for rule in rules if rule.rule.startswith("/api/v1/")]
        ours = [rule for rule in rules if rule not in pages and rule not in compreface]
        lines += _endpoints(app, ours)
        lines += ["", "## CompreFace", "", "For [its clients](compreface.md), with the header `x-api-key`."]
        lines += _endpoints(app, compreface)
        lines += [
            "",
            "## Pages",
            "",
            "The [console](console.md), for people in a browser, who [sign in](console.md) with a key.",
        ]
        lines += _endpoints(app, pages)
    return "\n".join([*lines, ""])


def _endpoints(app: Flask, rules: Sequence[Rule]) -> Iterator[str]:
    yield from ("", "| method and path | scope | |", "| --- | --- | --- |")
    for rule in rules:
        about = " ".join((app.view_functions[rule.endpoint].__doc__ or "").split())
        path = rule.rule.replace("<path:", "<").replace("<", "{").replace(">", "}")
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield f"| `{method} {path}` | {SCOPES.get(rule.endpoint, 'none')} | {about} |"


def licences_page() -> str:
    """The page of licences as it is written, with the table of all packages at its end."""
    written, _, _ = (DOCS / "licences.md").read_text(encoding="utf-8").partition("| package |")
    return "\n".join([written.rstrip(), "", *packages.table(), ""])


def unconnected(data: Path) -> Gateway:
    """What a gateway has open, at addresses where nothing answers: nothing is asked of them here."""
    url = "redis://127.0.0.1:1/0"
    app = celery_app(url)
    store = PhotoStore("http://127.0.0.1:1", "none", "none", "none")
    catalog = Catalog(f"sqlite:///{data}/catalog.sqlite")
    return Gateway(
        catalog=catalog,
        store=Vault(store, catalog, None),
        probe=store,
        queue=Queue(url, app),
        asking=Asking(url, app),
        waking=Waking(url),
        limits=settings.Limits(),
        settings=settings.GatewaySettings(),
        data=data,
        spool=data,
    )


def _tree(kind: type[errors.ColegaError]) -> Iterator[type[errors.ColegaError]]:
    yield kind
    for below in (k for k in kind.__subclasses__() if k.__module__ == errors.__name__):
        yield from _tree(below)


def _first_line(kind: type[errors.ColegaError]) -> str:
    return (kind.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ").replace("    ", "").split(" ``str(")[0]


def main() -> None:
    """Write every page."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""``live``: a fixed camera, and who is before it."""

import signal
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from types import FrameType
from typing import Annotated

import typer

from services.cli import cameras, terminal
from services.cli.cameras import Camera
from services.cli.client import Client
from services.cli.main import Collection, Context, Exit
from services.cli.mqtt import Address, Mqtt
from services.cli.telling import ENDS_WITHIN_S, Lines, Table, Teller, Webhooks
from services.cli.watching import How, InView, Summary, Watch
from services.errors import InvalidRequest
from services.settings.service import MqttSettings


def register(app: typer.Typer) -> None:
    """Add the command to *app*."""
    app.command("live")(live)


def live(
    context: typer.Context,
    camera: Annotated[
        str,
        typer.Option(metavar="0|URL|FILE", help="Number of a camera here, an address such as rtsp://…, or a video."),
    ],
    on_match: Annotated[
        list[str] | None,
        typer.Option(
            metavar="jsonl|webhook|mqtt://…",
            help="Whom to tell: jsonl writes a line of JSON for each match, webhook has the service tell its webhooks, "
            "mqtt://host[:port][/prefix] (mqtts:// for TLS) publishes; repeatable.",
        ),
    ] = None,
    label: Annotated[str | None, typer.Option(help="What the camera is called; else made of --camera.")] = None,
    every: Annotated[
        float, typer.Option(min=0.02, max=1, metavar="S", help="Seconds from one question to the next at least.")
    ] = 0.2,
    threshold: Annotated[float | None, typer.Option(min=-1, max=1, help="Accept from this similarity.")] = None,
    fmr: Annotated[float | None, typer.Option(help="Accept at this false-match rate.")] = None,
    fpir: Annotated[float | None, typer.Option(help="Accept so that this share of strangers would be named.")] = None,
    again_after: Annotated[
        float, typer.Option(min=0, metavar="S", help="Tell of somebody again who was out of view so long.")
    ] = 60.0,
    unknown: Annotated[bool, typer.Option("--unknown", help="Tell of strangers too, without a picture.")] = False,
    seconds: Annotated[float | None, typer.Option(min=0, metavar="N", help="End after so long.")] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="A file as quickly as answers come, not at its own speed.")
    ] = False,
    home_assistant: Annotated[
        bool, typer.Option("--home-assistant", help="With mqtt: announce the camera to Home Assistant.")
    ] = False,
    collection: Collection = "default",
    as_json: Annotated[
        bool, typer.Option("--json", help="As --on-match jsonl: a line of JSON for each match.")
    ] = False,
) -> None:
    """Who comes before a camera: told once an appearance, decided over several frames. Nothing is stored. Ctrl-C ends it."""
    source = cameras.source(camera, label)
    wanted = _wanted(on_match or [], as_json=as_json)
    if home_assistant and not any(isinstance(one, Address) for one in wanted):
        raise InvalidRequest("--home-assistant goes with --on-match mqtt://….")
    query = {"threshold": threshold, "fmr": fmr, "fpir": fpir}
    how = How(query, every, again_after, seconds, unknown=unknown)
    _end_like_ctrl_c()
    with ExitStack() as stack:
        client = stack.enter_context(context.obj.client(collection))
        opened = stack.enter_context(Camera(source, fast_every_s=every if fast else None))
        tellers = _tellers(context.obj, client, wanted, source.label, home_assistant=home_assistant)
        watch = Watch(client, opened, how)
        terminal.complain(f"Watching {source.shown}; Ctrl-C ends it.")
        try:
            with suppress(KeyboardInterrupt):
                _follow(watch, tellers)
        finally:
            for teller in tellers:
                teller.close(ENDS_WITHIN_S)
        terminal.complain(_said(watch.summary))
    raise typer.Exit(_status(watch.summary))


def _follow(watch: Watch, tellers: Sequence[Teller]) -> None:
    for events in watch.events():
        for teller in tellers:
            for event in events:
                teller.told(event)
            teller.in_view(watch.in_view)
    for teller in tellers:
        teller.in_view(InView())


def _wanted(on_match: Sequence[str], *, as_json: bool) -> list[str | Address]:
    """Whom to tell, checked.

    Raises:
        InvalidRequest: One is none that can be told.
    """
    named = [*on_match, *(["jsonl"] if as_json and "jsonl" not in on_match else [])]
    wanted: list[str | Address] = []
    for name in named:
        if name in {"jsonl", "webhook"}:
            wanted.append(name)
        elif name.startswith(("mqtt://", "mqtts://")):
            wanted.append(Address.of(name))
        else:
            raise InvalidRequest(f"--on-match {name}: say jsonl, webhook, or mqtt://host[:port][/prefix].")
    return wanted


def _tellers(
    context: Context, client: Client, wanted: Sequence[str | Address], camera: str, *, home_assistant: bool
) -> list[Teller]:
    tellers: list[Teller] = [Lines() if "jsonl" in wanted else Table()]
    if "webhook" in wanted:
        tellers.append(Webhooks(client))
    settings = context.environment.load(MqttSettings)
    tellers += [
        Mqtt(one, settings, camera, home_assistant=home_assistant) for one in wanted if isinstance(one, Address)
    ]
    return tellers


def _said(summary: Summary) -> str:
    people = ", ".join(
        name if count == 1 else f"{name} ({count} times)" for name, count in summary.people.most_common()
    )
    strangers = f"; {summary.unknown} unknown" if summary.unknown else ""
    return f"{summary.answered:,} of {summary.frames:,} frames looked at. Seen: {people or 'nobody'}{strangers}."


def _status(summary: Summary) -> Exit:
    """Frames that were asked about and never answered: the service was away all the time."""
    return Exit.UNREACHABLE if summary.asked and not summary.answered else Exit.OK


def _end_like_ctrl_c() -> None:
    """A supervisor's signal ends it as Ctrl-C does."""

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, interrupted)

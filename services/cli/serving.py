"""``up``, ``import`` and ``migrate``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from services.cli import compreface, importing, stepping, sync_told, terminal
from services.cli.main import Collection, Context, Exit, Json, existing
from services.local.door import LOOPBACK, Wanted
from services.settings.service import Home
from services.sources.layouts import Labels, Layout


def register(app: typer.Typer) -> None:
    """Add the commands to *app*."""
    app.command("up")(up)
    app.command("import")(import_photos)
    app.command("migrate")(migrate)


def up(
    context: typer.Context,
    data: Annotated[Path | None, typer.Option(help="Folder of this machine's own files.", metavar="DIR")] = None,
    port: Annotated[int | None, typer.Option(help="Of the service; else 8000 or the next that is free.")] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on: 0.0.0.0 for all of this machine's.", metavar="ADDRESS")
    ] = LOOPBACK,
    tls: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Serve HTTPS with this certificate and key (PEM).", metavar="CERT KEY"),
    ] = None,
    self_signed: Annotated[
        bool, typer.Option("--self-signed", help="Serve HTTPS with a certificate made here, in DIR/tls.")
    ] = False,
    photos: Annotated[str | None, typer.Option(help="A directory of people to import.", metavar="DIR")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that compute; else one a core.", min=1)] = None,
) -> None:
    """Start the whole service on this machine and serve until Ctrl-C."""
    from services.local import up as local_up  # noqa: PLC0415 - Brings the photo store's client: only here.

    home: Context = context.obj
    if tls is not None and self_signed:
        raise typer.BadParameter("Give --tls or --self-signed, not both.")
    folder = data or home.environment.load(Home).data
    wanted = Wanted(port, host, tls, self_signed)
    raise typer.Exit(local_up.run(folder, wanted, existing(Path(photos)) if photos else None, workers))


def import_photos(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="A directory, zip, tar or CSV manifest; with --from a dump or an address, too."
        ),
    ],
    layout: Annotated[Layout, typer.Option(help="How the source says whom its photos show.")] = Layout.AUTO,
    faces: Annotated[
        str, typer.Option(help="Of a photo with several faces: largest, all (the rest for review) or reject.")
    ] = "largest",
    report: Annotated[Path | None, typer.Option(help="Write a CSV with one line a file.", metavar="FILE.csv")] = None,
    from_: Annotated[
        Literal["compreface"] | None,
        typer.Option("--from", help="PATH is CompreFace's: a pg_dump of its database, or http://HOST:PORT."),
    ] = None,
    compreface_key: Annotated[
        str | None,
        typer.Option(envvar="COMPREFACE_KEY", help="API key of CompreFace's recognition service.", metavar="KEY"),
    ] = None,
    sync: Annotated[
        bool, typer.Option("--sync", help="Keep the collection in step with PATH: what is unchanged is not read again.")
    ] = False,
    remove_missing: Annotated[
        bool,
        typer.Option(
            "--remove-missing", help="With --sync: erase who is no longer in PATH, and delete photos that are not."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --sync: change nothing, tell what would be.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --sync: although more than a tenth would leave, or nothing is there.")
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(
            "--source", help="With --sync: what PATH is remembered as; else as it is written.", metavar="NAME"
        ),
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return when all is sent.")] = False,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Enrol the people in PATH, named by directory, by file name, or by a manifest.

    Of a photo with several faces the largest central one is taken. Stop it when you like; started again, it goes on where
    it was, and nothing is imported twice.
    """
    if faces not in {"largest", "all", "reject"}:
        raise typer.BadParameter("--faces is largest, all or reject.")
    if not sync and (remove_missing or dry_run or yes or name):
        raise typer.BadParameter("--remove-missing, --dry-run, --yes and --source go with --sync.")
    if sync:
        if from_ is not None or no_wait:
            raise typer.BadParameter("--sync goes neither with --from nor with --no-wait.")
        path = existing(Path(source))
        wanted = sync_told.Wanted(path, name or source, layout, faces, remove_missing, dry_run, yes)
        raise typer.Exit(stepping.synchronise(context.obj, collection, wanted, report, as_json=as_json))
    bar = terminal.progress()
    with context.obj.client(collection) as client, bar:
        task = bar.add_task("importing", total=None, rate="")

        def on_progress(ended: int, total: int, rate: float | None) -> None:
            told = f"{rate:.0f}/s" if rate else ""
            bar.update(task, completed=ended, total=total, rate=told)

        if from_ is not None:
            with compreface.opened(source, compreface_key) as found:
                labels = Labels(Layout.MANIFEST, found.shown)
                outcomes = importing.enrol(
                    client, f"CompreFace: {source}", found.listed, labels, faces=faces, wait_for_end=not no_wait,
                    on_progress=on_progress,
                )  # fmt: skip
        else:
            outcomes = importing.run(
                client,
                existing(Path(source)),
                layout=layout,
                faces=faces,
                wait_for_end=not no_wait,
                on_progress=on_progress,
            )
    if report is not None:
        importing.write_report(outcomes, report)
    summary = outcomes.summary()
    if as_json:
        terminal.document(summary)
    else:
        _show(outcomes)
    raise typer.Exit(Exit.SOME_REJECTED if summary["rejected"] else Exit.OK)


def migrate(context: typer.Context, as_json: Json = False) -> None:
    """Bring the catalog's schema to the present version; needs no running gateway."""
    from services.local import offline  # noqa: PLC0415 - Brings the catalog, which other commands do without.

    revision = offline.migrate(context.obj.environment)
    if as_json:
        terminal.document({"revision": revision})
    else:
        terminal.say(f"The catalog is at revision {revision}.")


def _show(outcomes: importing.Outcomes) -> None:
    summary = outcomes.summary()
    ends = ("done", "duplicate", "rejected", "skipped", "cancelled", "queued")
    terminal.table(["files>", *(f"{end}>" for end in ends)], [[summary["files"], *(summary[end] for end in ends)]])
    if summary["several_faces"]:
        terminal.say(
            f"{summary['several_faces']} photos show several faces; the largest central one was taken of each."
        )
    rejected = [line for line in outcomes.lines if line.status == "rejected"]
    if rejected:
        shown = [(line.path, line.person, line.reason, line.detail) for line in rejected[:20]]
        terminal.table(["rejected file", "person", "reason", "detail"], shown)
        if len(rejected) > 20:
            terminal.say(f"… and {len(rejected) - 20} more. --report FILE.csv lists all.")

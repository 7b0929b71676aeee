"""``evaluate`` and ``calibrate``."""

import csv
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli import computing, terminal
from services.cli.main import Context, Json, existing
from services.cli.service import Document
from services.errors import InvalidRequest

REPORT = "report.html"
_RATES = ("1e-2", "1e-3", "1e-4")

Whose = Annotated[str | None, typer.Option("--collection", help="Whose faces.", metavar="C")]
Dataset = Annotated[Path | None, typer.Option("--dataset", help="Photos, in a folder a person.", metavar="DIR")]
Local = Annotated[bool, typer.Option("--local", help="In a process of its own on this machine.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Return when the job is taken.")]


def register(app: typer.Typer) -> None:
    """Add the commands to *app*."""
    app.command("evaluate")(evaluate)
    app.command("calibrate")(calibrate)


def evaluate(
    context: typer.Context,
    pairs: Annotated[
        Path | None, typer.Option(help="A CSV of pairs, or LFW's pairs.txt; paths are relative to --dataset.")
    ] = None,
    dataset: Dataset = None,
    collection: Whose = None,
    model: Annotated[list[str] | None, typer.Option(help="Name, id or folder; repeat it to compare.")] = None,
    groups: Annotated[Path | None, typer.Option(help="A CSV: a column person, and groups in the others.")] = None,
    report: Annotated[Path | None, typer.Option(help="Where the report goes.", metavar="FILE.html")] = None,
    output: Annotated[Path | None, typer.Option(help="Where report, plots and figures go.", metavar="DIR")] = None,
    thumbnails: Annotated[bool, typer.Option(help="Whether the report shows faces.")] = True,
    local: Local = False,
    no_wait: NoWait = False,
    as_json: Json = False,
) -> None:
    """Measure how good models are on labelled faces: those of a directory, of a list of pairs, or of a collection.

    --pairs and --dataset are computed here and need no service; a collection's faces by a worker. Several models are compared
    on the same faces. The report shows the plots and the worst mistakes.
    """
    name = one_source(pairs, dataset, collection)
    wanted: dict[str, Any] = {"models": list(model or [])}
    if not thumbnails:
        wanted["thumbnails"] = False
    if name is None:
        wanted |= on_disk(pairs=pairs, dataset=dataset, groups=groups)
        told = computing.here(context.obj, "evaluation", wanted, output=output, collection=None)
    else:
        wanted |= {} if groups is None else {"groups": _groups(existing(groups))}
        done = computing.on_collection(
            context.obj, "evaluation", wanted, name, local=local, wait=not no_wait, as_json=as_json
        )
        if done is None:
            return
        told = done
        fetched = (output / REPORT) if output is not None else report
        if fetched is not None:
            _fetch(context.obj, name, told["evaluation"], fetched)
            told["files"] = {REPORT: str(fetched)}
    if report is not None and str(report) != told["files"].get(REPORT):
        shutil.copyfile(told["files"][REPORT], report)
        told["files"][REPORT] = str(report)
    if as_json:
        terminal.document(told)
    else:
        _show(told)


def calibrate(
    context: typer.Context,
    collection: Whose = None,
    dataset: Dataset = None,
    model: Annotated[str | None, typer.Option(help="Name, id or folder; else the collection's.")] = None,
    local: Local = False,
    no_wait: NoWait = False,
    as_json: Json = False,
) -> None:
    """Learn from a collection's own faces which rates a similarity stands for; its searches decide by them from then on.

    With --dataset nothing is kept: it shows what a gallery of these people would be told.
    """
    name = one_source(None, dataset, collection)
    wanted = {} if model is None else {"model": model}
    if name is None:
        told: Document | None = computing.here(
            context.obj, "calibration", wanted | on_disk(dataset=dataset), output=None, collection=None
        )
    else:
        told = computing.on_collection(
            context.obj, "calibration", wanted, name, local=local, wait=not no_wait, as_json=as_json
        )
    if told is None:
        return
    if as_json:
        terminal.document(told)
        return
    for line in told["lines"]:
        terminal.say(line)


def one_source(pairs: Path | None, dataset: Path | None, collection: str | None) -> str | None:
    """The collection whose faces are meant: ``default`` where nothing is named; None where photos on disk are.

    Raises:
        InvalidRequest: Both are named.
    """
    if collection is not None and (pairs is not None or dataset is not None):
        raise InvalidRequest("Give --collection, or photos on this machine (--dataset, --pairs); not both.")
    return None if pairs is not None or dataset is not None else collection or "default"


def on_disk(**paths: Path | None) -> dict[str, str]:
    """The paths that are named, absolute: the process that reads them may be elsewhere."""
    return {name: str(existing(path).absolute()) for name, path in paths.items() if path is not None}


def _groups(path: Path) -> dict[str, dict[str, str]]:
    """By person, the group in each other column of a CSV.

    Raises:
        InvalidRequest: It cannot be read, or has no column ``person``.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidRequest(f"{path} cannot be read: {error}.") from None
    if not rows or "person" not in rows[0]:
        raise InvalidRequest(
            f"{path} has no column person. Its first line names the columns: person, and a group each."
        )
    return {row["person"]: {k: v or "" for k, v in row.items() if k and k != "person"} for row in rows}


def _fetch(context: Context, collection: str, evaluation: str, path: Path) -> None:
    with context.client(collection) as client:
        content = client.send("GET", f"/v1/evaluations/{evaluation}/report")["content"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _show(told: Document) -> None:
    source = told["source"]
    without = f", {source['undetected']['count']} photos without a face" if source["undetected"]["count"] else ""
    terminal.say(f"{source['people']:,} people, {source['faces']:,} faces{without}")
    rows = [
        [
            one["name"],
            one["variant"],
            _percent(one["verification"]["accuracy"]["mean"], 2),
            *(_percent(one["verification"]["tmr_at_fmr"].get(rate)) for rate in _RATES),
            _percent(one["verification"]["eer"], 2),
            _percent(one["identification"].get("rank1")),
            _percent(one["identification"].get("fnir_at_fpir", {}).get("1e-2")),
            _percent(one["failure_to_detect"]),
        ]
        for one in told["models"]
    ]
    tmr = [f"TMR at {rate}>" for rate in _RATES]
    columns = ["model", "variant", "accuracy>", *tmr, "EER>", "rank-1>", "FNIR at 1e-2>", "no face>"]
    terminal.table(columns, rows)
    ways = sorted(told["models"][0]["n_way"], key=int)
    shots = [[one["name"], *(_percent(one["n_way"][way], 2) for way in ways)] for one in told["models"]]
    terminal.table(["one shot", *(f"{way}-way>" for way in ways)], shots)
    unsaid: dict[str, list[str]] = {}
    for figure, why in told["models"][0].get("not_said", {}).items():
        unsaid.setdefault(why, []).append(figure)
    for why, figures in unsaid.items():
        terminal.say(f"{', '.join(figures)}: {why}")
    for note in told.get("notes", []):
        terminal.say(note)
    if isinstance(told["files"], dict) and REPORT in told["files"]:
        terminal.say(f"report: {told['files'][REPORT]}")
    elif "evaluation" in told:
        terminal.say(f"report: GET /v1/evaluations/{told['evaluation']}/report, or --report FILE.html")


def _percent(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:.{digits}%}"

"""Computations followed to their end: jobs that a worker computes, and processes of one's own (``--local``)."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import typer

from services.cli import terminal
from services.cli.client import Client
from services.cli.main import Context, Exit
from services.cli.service import Document
from services.errors import ColegaError, InvalidRequest, Unavailable
from services.local.instance import FILE_NAME, Instance
from services.settings.service import Home

_POLL_S = 0.5
_PLACES = {"stage", "model", "done", "total", "step", "steps", "eta_s", "number", "of"}
"""What a bar shows in its own way; whatever else is told stands beside it."""
_STOPPED = 130
OnProgress = Callable[[Mapping[str, Any]], None]


class Failed(ColegaError):
    """A computation ended otherwise than done; ``str(error)`` is what its job or process said."""


KINDS = {"training", "evaluation", "calibration", "quantisation", "comparison", "check", "backup"}
"""Of jobs that compute: they have no items."""
ENDS = {"done", "failed", "cancelled"}
PATHS = {"training": "/v1/trainings", "evaluation": "/v1/evaluations", "calibration": "/v1/calibrations"}


def on_collection(
    context: Context,
    kind: str,
    wanted: Mapping[str, Any],
    collection: str,
    *,
    local: bool,
    wait: bool,
    as_json: bool,
) -> Document | None:
    """Compute on a collection's faces, by a worker or here; the result, or None where nobody waits for it."""
    if local:
        return here(context, kind, wanted, output=None, collection=collection)
    job = at_service(context, collection, PATHS[kind], wanted, wait=wait, as_json=as_json)
    return None if job is None else {**job["result"], "job": job["id"]}


def at_service(
    context: Context, collection: str, path: str, body: Mapping[str, Any], *, wait: bool, as_json: bool = False
) -> Document | None:
    """Have a worker compute; the job when it has ended, or None where nobody waits for it.

    Args:
        context: Which service.
        collection: Whose faces.
        path: Of the API, from ``/v1`` on.
        body: What is wanted.
        wait: Until its end, with a progress bar; else the job's id is printed.
        as_json: How it is printed.
    """
    with context.client(collection) as client:
        job = str(client.send("POST", path, body=body)["job"])
        if not wait and as_json:
            terminal.document({"job": job})
        elif not wait:
            terminal.say(f"{job} is under way: colega jobs {job} --watch --collection {collection}")
        if not wait:
            return None
        return followed(client, job)


def followed(client: Client, job: str) -> Document:
    """A job that computes, when it has ended; how far it is shows on a terminal meanwhile.

    Raises:
        Failed: It failed, or somebody cancelled it.
        typer.Exit: Ctrl-C; the job goes on.
    """
    try:
        with terminal.progress() as bar:
            show = shown_on(bar)
            while (told := client.jobs.show(job))["state"] not in ENDS:
                show(told["progress"] or {"stage": told["state"]})
                time.sleep(_POLL_S)
    except KeyboardInterrupt:
        terminal.complain(
            f"colega: {job} goes on. See `colega jobs {job} --watch`, or end it: `colega jobs cancel {job}`."
        )
        raise typer.Exit(_STOPPED) from None
    if told["state"] != "done":
        raise Failed(told["error"] or f"{job} was cancelled. `colega jobs retry {job}` takes it up again.")
    return told


def output_of(context: Context, kind: str, output: Path | None) -> Path:
    """Where the results of a computation on this machine go."""
    return (output or context.environment.load(Home).data / "results" / kind).absolute()


def here(
    context: Context, kind: str, wanted: Mapping[str, Any], *, output: Path | None, collection: str | None
) -> Document:
    """Compute in a process of its own on this machine; the result.

    Args:
        context: Where this machine keeps its files.
        kind: ``training``, ``evaluation``, ``calibration`` or ``quantisation``.
        wanted: What the verb takes.
        output: Where results go, see :func:`output_of`. Of no meaning for a collection.
        collection: Whose faces, by the catalog and the photo store of the service here; None: those in ``wanted``.

    Raises:
        Failed, InvalidRequest, Unavailable: What the process said.
        typer.Exit: Ctrl-C; the same command goes on.
    """
    data = context.environment.load(Home).data.absolute()
    request = {"kind": kind, "wanted": dict(wanted), "output": str(output_of(context, kind, output))}
    if collection is not None:
        request["collection"] = collection
    with tempfile.TemporaryFile("w+", encoding="utf-8") as answer:  # A pipe would be full while nobody reads it.
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.tasks.alone"],
            stdin=subprocess.PIPE,
            stdout=answer,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(context, data),
            start_new_session=True,  # Ctrl-C reaches it through us alone.
        )
        try:
            error = _heard(process, json.dumps(request))
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            terminal.complain("colega: stopped. The same command goes on where it was.")
            raise typer.Exit(_STOPPED) from None
        if process.returncode == 0:
            answer.seek(0)
            return dict(json.load(answer))
    if process.returncode == Exit.REFUSED:
        raise InvalidRequest(error)
    killed = f"The process was ended by signal {-process.returncode}; memory may be short. The same command goes on."
    raise Unavailable(
        error or (killed if process.returncode < 0 else f"It ended with {process.returncode}, see above.")
    )


def shown_on(bar: Any) -> OnProgress:  # noqa: ANN401 - rich's Progress, or one that shows nothing
    """Shows what a computation tells on *bar*."""
    task = bar.add_task("waiting", total=None, rate="")

    def show(told: Mapping[str, Any]) -> None:
        done, total = _place(told)
        bar.update(task, description=_words(told), completed=done or 0, total=total, rate=_numbers(told))

    return show


def told(progress: Mapping[str, Any]) -> str:
    """What a computation tells, as a line of text."""
    done, total = _place(progress)
    place = f"{done}/{total}" if total else ""
    left = progress.get("eta_s")
    return " ".join(filter(None, [_words(progress), place, _numbers(progress), f"{left:.0f} s left" if left else ""]))


def _place(told: Mapping[str, Any]) -> tuple[Any, Any]:
    return told.get("done", told.get("step")), told.get("total", told.get("steps"))


def _words(told: Mapping[str, Any]) -> str:
    return " ".join(str(told[name]) for name in ("stage", "model") if told.get(name))


def _numbers(told: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in told.items()
        if name not in _PLACES and value is not None
    )


def _heard(process: "subprocess.Popen[str]", request: str) -> str:
    """Show what *process* tells until it ends. Returns the error that it said, or nothing."""
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(request)
    process.stdin.close()
    error, noise = "", []
    with terminal.progress() as bar:
        show = shown_on(bar)
        for line in process.stderr:
            told = _told(line)
            if told is None:
                noise.append(line)
            elif "progress" in told:
                show(told["progress"])
            else:
                error = str(told.get("error", ""))
    process.wait()
    if process.returncode not in {0, Exit.REFUSED} and not error:
        sys.stderr.writelines(noise[-40:])
    return error


def _told(line: str) -> Document | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _environment(context: Context, data: Path) -> dict[str, str]:
    """Of the process: the user's settings, and where the servers are that ``colega up`` has started here."""
    from services.local import programs  # noqa: PLC0415 - Brings the photo store's client; most commands do without.

    instance = Instance.read(data) if (data / FILE_NAME).is_file() else Instance()
    given = programs.Given.by(context.environment)
    if not (data / FILE_NAME).is_file():
        given = programs.Given(catalog=True, photos=True, broker=True)  # None of ours runs here.
    made = programs.environment(data, instance, given)
    del made["OMP_NUM_THREADS"], made["OPENBLAS_NUM_THREADS"]  # It is alone.
    return made

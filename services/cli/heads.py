"""``models attach`` and ``models detach``: a model's Siamese head, which a training can attach as well."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli import terminal
from services.cli.main import Collection, Context, Json, existing
from services.errors import InvalidRequest

_JOB = "job_"

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Name or id.")]


def attach(
    context: typer.Context,
    model: Model,
    head: Annotated[
        str,
        typer.Argument(metavar="JOB|HEAD.json", help="The training's job; or the file that train --dataset wrote."),
    ],
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Have a model judge pairs by a trained Siamese head: verify then says a probability, and search can rank by it.

    The head must be of this model: another one's says nothing of its vectors.
    """
    found = _of_job(context.obj, collection, head) if head.startswith(_JOB) else _head(existing(Path(head)))
    _attached(context.obj, model, found, as_json=as_json)


def detach(context: typer.Context, model: Model, as_json: Json = False) -> None:
    """Take a model's Siamese head away."""
    _attached(context.obj, model, None, as_json=as_json)


def described(trained_on: Mapping[str, Any] | None) -> str:
    """What a head was trained on, in a line."""
    if trained_on is None:
        return "none"
    faces, pairs = trained_on.get("faces", {}), trained_on.get("pairs")
    learnt = (
        f"trained on {faces['photos']} photos of {faces['people']} people"
        if {"photos", "people"} <= faces.keys()
        else "attached"
    )
    return learnt if pairs is None else f"{learnt}, {pairs} pairs"


def attach_result(context: Context, told: Mapping[str, Any]) -> None:
    """Attach the head that a training ended with to the model that it was trained on."""
    with context.client() as client:
        changed = client.models.change(told["base"]["name"], "head", {"head": told["head"]})
    terminal.complain(f"{changed['name']} judges pairs by this head within a minute.")


def next_step(told: Mapping[str, Any], output: Path) -> str:
    """How to attach the head that a training ended with, by a worker or in the folder *output*."""
    held = told["job"] if "job" in told else output / "head.json"
    return f"Attach it: colega models attach {told['base']['name']} {held}"


def _of_job(context: Context, collection: str, job: str) -> Mapping[str, Any]:
    """The head that a training by a worker ended with.

    Raises:
        InvalidRequest: It has none.
    """
    with context.client(collection) as client:
        result = client.jobs.show(job).get("result") or {}
    if not isinstance(result.get("head"), Mapping):
        raise InvalidRequest(f"{job} did not end with a Siamese head: it is no training of one, or has not ended.")
    return dict(result["head"])


def _head(path: Path) -> Mapping[str, Any]:
    """The head in a file, or in the result of a training.

    Raises:
        InvalidRequest: There is none in it.
    """
    try:
        held = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"{path} is no JSON: {error}.") from error
    found = held.get("head", held) if isinstance(held, Mapping) else None
    if not isinstance(found, Mapping) or "weights" not in found:
        raise InvalidRequest(f"{path} has no Siamese head. colega train --method siamese writes one: head.json.")
    return found


def _attached(context: Context, model: str, head: Mapping[str, Any] | None, *, as_json: bool) -> None:
    with context.client() as client:
        changed = client.models.change(model, "head", {"head": head})
    if as_json:
        terminal.document(changed)
    else:
        terminal.say(
            f"{changed['name']}: "
            + ("the head is gone" if head is None else "judges pairs by this head within a minute")
        )

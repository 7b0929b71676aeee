"""``models attach`` and ``models detach``: a model's Siamese head, which a training can attach as well."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli import terminal
from services.cli.main import Context, Json, existing
from services.errors import InvalidRequest

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Name or id.")]


def attach(
    context: typer.Context,
    model: Model,
    head: Annotated[
        Path, typer.Argument(metavar="HEAD.json", help="As train --method siamese writes it, or its whole result.")
    ],
    as_json: Json = False,
) -> None:
    """Have a model judge pairs by a trained Siamese head: verify then says a probability, and search can rank by it.

    The head must be of this model: another one's says nothing of its vectors.
    """
    _attached(context.obj, model, _head(existing(head)), as_json=as_json)


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

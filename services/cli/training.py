"""``train``."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli import computing, heads, terminal
from services.cli.evaluating import Dataset, Local, NoWait, Whose, on_disk, one_source
from services.cli.main import Json
from services.cli.service import Document
from services.errors import InvalidRequest


class Method(StrEnum):
    """What is trained."""

    TRIPLET = "triplet"
    SIAMESE = "siamese"


class Network(StrEnum):
    """Of the method siamese: which network."""

    SCRATCH = "scratch"
    EMBEDDING = "embedding"


def register(app: typer.Typer) -> None:
    """Add the command to *app*."""
    app.command("train")(train)


def train(
    context: typer.Context,
    method: Annotated[Method, typer.Option(help="Fine-tune FaceNet with triplets, or train a Siamese network.")],
    network: Annotated[
        Network | None,
        typer.Option(help="Of siamese: a head on the embedding (the default), or twin networks from scratch."),
    ] = None,
    collection: Whose = None,
    dataset: Dataset = None,
    pairs: Annotated[
        Path | None, typer.Option(help="Of siamese: a CSV of pairs; paths are relative to --dataset.", metavar="CSV")
    ] = None,
    base: Annotated[
        str | None, typer.Option("--from", help="The model to start from; else the one in use.", metavar="MODEL")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call the new model.", metavar="N")] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Where the new model's folder goes, of a training on this machine.", metavar="DIR"),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything that is drawn.")] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            help="Another choice of the recipe, as steps=600; repeat it (docs/training.md).", metavar="KEY=VALUE"
        ),
    ] = None,
    attach: Annotated[
        bool,
        typer.Option("--attach", help="Of siamese: attach the head to the service's model, which verify then asks."),
    ] = False,
    local: Local = False,
    no_wait: NoWait = False,
    as_json: Json = False,
) -> None:
    """Train on a company's own photos: a candidate model and its figures on people that were kept apart.

    --dataset and --pairs are computed here and need no service; a collection's faces by the training worker. Stop it when you
    like: started again it goes on from its last checkpoint. Needs torch.
    """
    if attach and (method is not Method.SIAMESE or network is Network.SCRATCH or no_wait):
        raise typer.BadParameter("--attach is for the head that --method siamese --network embedding ends with.")
    whose = one_source(pairs, dataset, collection)
    chosen = _recipe(recipe or []) | ({} if seed is None else {"seed": seed})
    wanted: dict[str, Any] = {
        "method": method.value,
        "network": None if network is None else network.value,
        "base": base,
        "name": name,
        "recipe": chosen or None,
    }
    wanted = {key: value for key, value in wanted.items() if value is not None}
    if whose is not None and output is not None:
        raise InvalidRequest("--output is for photos on this machine; the model of a collection goes to the registry.")
    if whose is None:
        wanted |= on_disk(dataset=dataset, pairs=pairs)
        told: Document | None = computing.here(context.obj, "training", wanted, output=output, collection=None)
    else:
        told = computing.on_collection(
            context.obj, "training", wanted, whose, local=local, wait=not no_wait, as_json=as_json
        )
    if told is None:
        return
    if attach:
        heads.attach_result(context.obj, told)
    if as_json:
        terminal.document(told)
    else:
        _show(told)
        if told.get("head") and not attach:
            terminal.say(heads.next_step(told, computing.output_of(context.obj, "training", output)))


def _recipe(given: list[str]) -> dict[str, Any]:
    """Choices as ``KEY=VALUE``: numbers and true or false as these, anything else as text.

    Raises:
        InvalidRequest: One has no value.
    """
    chosen: dict[str, Any] = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not key or not equals or not value:
            raise InvalidRequest(f"--recipe {one}: write KEY=VALUE, such as steps=600.")
        try:
            chosen[key] = json.loads(value)
        except ValueError:
            chosen[key] = value
    return chosen


def _show(told: Document) -> None:
    for line in told.get("lines", []):
        terminal.say(line)
    if told.get("model"):
        terminal.say(f"model: {told['model']}")

"""What the gateway answers of models beside :class:`answers.ModelOut`, and what processes tell of them."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from services.catalog.rebuilding import kept
from services.catalog.running import processes
from services.catalog.schema import Model
from services.gateway import answers
from services.gateway.doors import key
from services.gateway.guarding.auth import may_touch
from services.gateway.modelling.rebuild_answers import GenerationOut


class ListedModelOut(answers.ModelOut):
    """A model, and how it is computed now."""

    running: dict[str, dict[str, Any]] = Field(
        description="By variant: how many processes have it open, and the least agreement with the reference that they saw."
    )


class ModelsOut(BaseModel):
    """Every model."""

    items: list[ListedModelOut]
    next_cursor: str | None


class HeldOut(GenerationOut):
    """A generation that needs the model, and whose it is."""

    collection: str


class WholeModelOut(ListedModelOut):
    """A model with its description and what uses it."""

    details: dict[str, Any]
    uses: list[str]
    generations: list[HeldOut]


class ActivatedOut(answers.ModelOut):
    """A model that new collections use from now on, and what it takes for the collection to use it."""

    rebuild: str | None = Field(description="The rebuild that was begun, or is under way; null where none is needed.")


class PrunedOut(BaseModel):
    """What is freed of a model."""

    id: str
    name: str
    embeddings: int = Field(description="Of generations that were kept and are not searched; they are being removed.")
    collections: list[str] = Field(description="Whose those are: there is no rollback to them any more.")
    files: int
    gone: bool = Field(description="The model itself was removed: it was retired or refused, and nothing uses it.")


def uses_of(session: Session, model: Model) -> list[str]:
    """What still needs a model; to a key that is limited to collections, which of those do."""
    if key().collections is None:
        return kept.uses(session, model)
    return [
        f"collection {name}"
        for name in sorted({one.collection.name for one in kept.of_model(session, model)})
        if may_touch(name)
    ]


def details_of(model: Model) -> dict[str, Any]:
    """A model's description; to a key that is limited to collections, without what it was trained on, which may be others'."""
    hidden = set() if key().collections is None else {"provenance", "head"}
    return {name: value for name, value in model.details.items() if name not in hidden}


def running_of(session: Session) -> Mapping[str, dict[str, dict[str, Any]]]:
    """By digest and variant, what the processes that run tell of the models they have open."""
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for process in processes.running(session):
        for embedder in process.details.get("embedders", []):
            told = found[embedder["model"]].setdefault(embedder["variant"], {"processes": 0, "agreement": 1.0})
            told["processes"] += 1
            told["agreement"] = min(told["agreement"], round(embedder["agreement"], 6))
    return found

"""Models as people see them: the table, and what its columns say."""

from collections.abc import Mapping, Sequence
from typing import Any

from services import licences
from services.cli import terminal
from services.cli.service import Document


def table(found: Sequence[Document], *, as_json: bool) -> None:
    """Models for people, or as JSON."""
    if as_json:
        terminal.document(list(found))
        return
    rows: list[list[Any]] = [
        [m["name"], m["kind"], m["state"], m["dimension"], int8(m), running(m), _short(m), m["id"]] for m in found
    ]
    terminal.table(["model", "kind", "state", "dimension>", "int8", "running", "licence", "id"], rows)


def int8(model: Mapping[str, Any]) -> str:
    """What int8 costs, in a word: its cosine to fp32 in the mean and on the worst face."""
    told = model.get("int8")
    if told is None:
        return ""
    return (
        "left out"
        if not told["files"]
        else f"{told['loss']['mean']:.4f} (worst {told['loss']['least']:.4f})"
        if "loss" in told
        else "yes"
    )


def running(model: Document) -> str:
    """The variants that processes have open, with how they agree with the reference."""
    told = model.get("running", {}).items()
    return ", ".join(f"{name} ({of['agreement']:.4f}, {of['processes']} processes)" for name, of in told)


def _short(model: Document) -> str:
    """A licence as a list has room for it, with a mark where it is still to be accepted."""
    stated = model["licence"] or licences.NOT_STATED
    to_accept = not model["permissive"] and model["accepted"] is None
    return f"{stated[:40]}{'…' if len(stated) > 40 else ''}{' (to be accepted)' if to_accept else ''}"


def licence(model: Document) -> str:
    """A licence in full, and who accepted it."""
    stated = model["licence"] or licences.NOT_STATED
    if model["permissive"]:
        return stated
    if model["accepted"] is not None:
        return f"{stated} (accepted by {model['accepted']['by']}, {model['accepted']['at'][:10]})"
    return f"{stated} (not plainly permissive: activate it with --accept-licence)"


def kept(generations: Sequence[Mapping[str, Any]]) -> None:
    """What collections hold of a model; nothing where none does."""
    if not generations:
        return
    rows = [
        [
            one["collection"],
            one["model"],
            one["detector"],
            "searched" if one["active"] else "kept" if one["state"] == "prepared" else one["state"],
            one["embeddings"],
        ]
        for one in generations
    ]
    terminal.table(["in collection", "model", "detector", "as", "embeddings>"], rows)


def pruned(told: Mapping[str, Any]) -> str:
    """What was freed of a model."""
    if told["gone"]:
        return f"{told['name']} is gone, with {told['files']} files"
    return (
        f"{told['name']}: {told['embeddings']:,} embeddings of {', '.join(told['collections'])} are being removed; "
        "there is no rollback to them any more"
    )

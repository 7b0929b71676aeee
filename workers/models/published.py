"""Models that others publish, and what is known of them: what they say of the reference chips, and what was measured.

A file is such a model if it says the same. Not one bit more is known of the files themselves: their publishers state no
checksum.
"""

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np

from services.errors import InvalidModel
from workers.faces.values import Vectors
from workers.models import assembly, description
from workers.models.bundle import Bundle

LEAST = 0.9999
"""Cosine to the known vectors; those of vggface2 were computed from weights rounded to float16, which costs 0.00001."""

NAMES: Mapping[str, str] = {"vggface2": "published/vggface2.npy", "casia-webface": description.VECTORS}


def check(name: str, opened: Bundle) -> None:
    """See that *opened* is the model published as *name*.

    Raises:
        InvalidModel: It says other things of the reference chips, or nothing is known of that name.
    """
    if name not in NAMES:
        raise InvalidModel(f"No model is known to be published as {name}; known are {', '.join(NAMES)}.")
    if not _is(name, opened):
        raise InvalidModel(
            f"The file is not the model published as {name}: it says other things of the reference chips. If it is meant, "
            "add it under a name of its own."
        )


def informed(opened: Bundle) -> Bundle:
    """*opened*, with thresholds and the measured loss of its int8 variant where it is a published model that brings none."""
    name = next((name for name in NAMES if _is(name, opened)), None)
    known = {} if name is None else _measured(name)
    if not known or opened.thresholds.fmr:
        return opened
    int8: dict[str, Any] = dict(opened.variants["int8"])
    if int8["files"]:
        int8 |= known.get("int8", {})
    return assembly.redescribe(
        opened, {"thresholds": known["thresholds"], "variants": {**opened.variants, "int8": int8}}
    )


def _is(name: str, opened: Bundle) -> bool:
    with resources.files("workers.models").joinpath(NAMES[name]).open("rb") as file:
        known: Vectors = np.load(file, allow_pickle=False).astype(np.float32)
    known /= np.linalg.norm(known, axis=1, keepdims=True)
    _, vectors = opened.reference()
    return vectors.shape == known.shape and float((vectors * known).sum(1).min()) >= LEAST


def _measured(name: str) -> Mapping[str, Any]:
    """Thresholds, and the loss of int8 made with the reference chips, as ``benchmarks/int8_loss.py`` wrote them.

    The default model's thresholds lie with it; its shipped int8 is made with other faces, so its loss says nothing here.
    """
    home = resources.files("workers.models")
    if name == "casia-webface":
        return {"thresholds": json.loads(home.joinpath("casia_webface.json").read_text("utf-8"))}
    path = home.joinpath(f"published/{name}.json")
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}

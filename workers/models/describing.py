"""The description of a face embedder that somebody brings as ONNX: a small YAML (docs/models.md has every field).

licence: Apache-2.0
source: https://example.com/arcface
dimension: 512
input: {layout: NCHW, size: 112, channels: BGR, mean: 127.5, std: 127.5}
crop: {kind: five-point, template: arcface-112}
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from services.errors import InvalidModel
from workers.faces import chips, crops
from workers.models.description import LARGEST_DIMENSION

TEMPLATES = {"arcface-112": (112, crops.ARCFACE_112)}
"""Well-known five points, with the size of the crop that they are meant for."""

LARGEST_BYTES = 64_000

_FIELDS = {"licence", "source", "dimension", "input", "output", "crop"}
_INPUT = {"name", "layout", "size", "channels", "mean", "std"}
_OUTPUT = {"name", "normalised"}
_CROP = {"kind", "template", "window_px"}


@dataclass(frozen=True, slots=True)
class Described:
    """What a description says, with what it leaves out filled in."""

    licence: str
    source: str
    dimension: int
    input_name: str | None
    layout: str
    """``NCHW`` or ``NHWC``."""
    size_px: int
    channels: str
    """``RGB`` or ``BGR``."""
    mean: tuple[float, float, float]
    """Taken off pixels of 0..255, in the order of *channels*."""
    std: tuple[float, float, float]
    """What is left is divided by this."""
    output_name: str | None
    normalised: bool
    """The output is said to be of norm 1."""
    crop: Mapping[str, Any]
    """As ``model.json`` has it."""


def parse(text: str) -> Described:
    """Read a description.

    Raises:
        InvalidModel: It is no YAML, or a field is missing, unknown or out of range; the sentence names it.
    """
    held = _fields(_loaded(text), "the description", _FIELDS)
    taken, given = _fields(held.get("input", {}), "input", _INPUT), _fields(held.get("output", {}), "output", _OUTPUT)
    size_px = _whole(taken.get("size"), "input.size", crops.SMALLEST_PX, crops.LARGEST_PX)
    return Described(
        licence=_text(held.get("licence"), "licence"),
        source=_text(held.get("source"), "source"),
        dimension=_whole(held.get("dimension"), "dimension", 2, LARGEST_DIMENSION),
        input_name=_text(taken["name"], "input.name") if "name" in taken else None,
        layout=_one_of(taken.get("layout", "NCHW"), "input.layout", ("NCHW", "NHWC")),
        size_px=size_px,
        channels=_one_of(taken.get("channels"), "input.channels", ("RGB", "BGR")),
        mean=_three(taken.get("mean", 0.0), "input.mean", -1e6),
        std=_three(taken.get("std", 1.0), "input.std", 1e-6),
        output_name=_text(given["name"], "output.name") if "name" in given else None,
        normalised=_truth(given.get("normalised", False), "output.normalised"),
        crop=_crop(_fields(held.get("crop"), "crop", _CROP), size_px),
    )


def _loaded(text: str) -> object:
    if len(text.encode()) > LARGEST_BYTES:
        raise InvalidModel(f"The description has more than {LARGEST_BYTES:,} bytes.")
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise InvalidModel("The description uses an alias (*name); write values out.")
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidModel(f"The description is no YAML that can be read: {_first_line(error)}") from error


def _crop(held: Mapping[str, Any], size_px: int) -> Mapping[str, Any]:
    kind = _one_of(held.get("kind"), "crop.kind", (crops.FIVE_POINT, crops.STRETCHED_BOX))
    described: dict[str, Any] = {"kind": kind, "chip_px": chips.CHIP_PX, "crop_px": size_px}
    if kind == crops.STRETCHED_BOX and "window_px" in held:
        described["window_px"] = held["window_px"]
    if "template" in held:
        described["template"] = _template(held["template"], size_px)
    crops.of_description(described)
    return described


def _template(held: object, size_px: int) -> object:
    if not isinstance(held, str):
        return held
    if held not in TEMPLATES:
        raise InvalidModel(
            f"crop.template is {held[:40]!r}; known by name: {', '.join(TEMPLATES)}. Or give five points."
        )
    meant_px, points = TEMPLATES[held]
    if size_px != meant_px:
        raise InvalidModel(f"The template {held} is for crops of {meant_px} pixels, and input.size is {size_px}.")
    return [list(point) for point in points]


def _fields(held: object, name: str, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(held, dict):
        raise InvalidModel(f"{name} must have fields: {', '.join(sorted(known))}.")
    if unknown := [key for key in held if key not in known]:
        raise InvalidModel(f"{name} has the field {str(unknown[0])[:40]}; known are {', '.join(sorted(known))}.")
    return held


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 200:
        raise InvalidModel(f"{name} must be a text of 1 to 200 characters.")
    return value.strip()


def _whole(value: object, name: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidModel(f"{name} must be a whole number from {least} to {most}.")
    return value


def _one_of(value: object, name: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise InvalidModel(f"{name} must be {' or '.join(known)}.")
    return str(value)


def _truth(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidModel(f"{name} must be true or false.")
    return value


def _three(value: object, name: str, least: float) -> tuple[float, float, float]:
    """One number for all channels, or three."""
    listed: list[object] = value if isinstance(value, list) else [value] * 3
    numbers = [float(one) for one in listed if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(listed) != 3 or len(numbers) != 3:
        raise InvalidModel(f"{name} must be a number or three of them.")
    if not all(math.isfinite(one) and one >= least for one in numbers):
        raise InvalidModel(f"{name} must be finite and at least {least:g}.")
    return numbers[0], numbers[1], numbers[2]


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

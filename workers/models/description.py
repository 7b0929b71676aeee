"""``model.json``: what a bundle says of itself, read strictly.

Who reads it need not trust it: a field of another kind than is meant, a file outside of the bundle or an unknown field is
refused by name.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np

from services.errors import InvalidModel
from workers.faces import crops
from workers.faces.crops import Crop
from workers.models.heads import Head

FILE: Final = "model.json"
WEIGHTS: Final = "weights.safetensors"
FP32: Final = "model.onnx"
INT8: Final = "int8.onnx"
INT8_NARROW: Final = "int8-narrow.onnx"
REFERENCE: Final = "reference"
VECTORS: Final = "reference/vectors.npy"
LANDMARKS: Final = "reference/landmarks.json"
FORMAT: Final = 1

NO_THRESHOLDS: Mapping[str, Any] = {"fpir": {}, "fmr": {}, "source": "none: calibrate the collection"}

LARGEST_BYTES: Final = 4_000_000
"""Of a ``model.json``; that of the default model has 4 kB."""
LARGEST_DIMENSION: Final = 4096

_REQUIRED = {"format", "name", "digest", "architecture", "dimension", "crop", "normalisation", "licence", "files"}
_OPTIONAL = {"provenance", "thresholds", "variants", "head"}
_OBJECTS = {"provenance", "variants"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEXADECIMAL = re.compile(r"[0-9a-f]{64}")
_CHIP = re.compile(r"reference/[0-9]{2}\.jpg")
_FILES = {WEIGHTS, FP32, INT8, INT8_NARROW, VECTORS, LANDMARKS}
_NEEDED = (WEIGHTS, FP32, VECTORS, LANDMARKS)
_MOST_CHIPS = 100


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Similarities to decide by until a collection is calibrated, with where they come from.

    ``fpir`` maps a false-positive identification rate ("0.05") to rows of gallery size in people, threshold, and the
    false-negative identification rate it costs; ``fmr`` maps a false-match rate ("0.001") to a threshold. Both are empty
    where nothing was measured.
    """

    fpir: Mapping[str, list[tuple[int, float, float]]]
    fmr: Mapping[str, float]
    source: str

    def for_gallery(self, people: int, fpir: float = 0.05) -> float:
        """The threshold at which a share *fpir* of strangers is named in a gallery of *people*.

        Between the sizes of the table it goes with the logarithm of the size, beyond them along its last slope. Of
        the rates in the table the next smaller (stricter) one counts.

        Raises:
            InvalidModel: The table is empty.
        """
        if not self.fpir:
            raise InvalidModel("The model brings no thresholds. Calibrate the collection.")
        rates = sorted(float(rate) for rate in self.fpir)
        rate = max((r for r in rates if r <= fpir * (1 + 1e-9)), default=rates[0])
        rows = next(rows for key, rows in self.fpir.items() if float(key) == rate)
        sizes, levels = np.log([row[0] for row in rows]), np.array([row[1] for row in rows])
        at = np.log(max(people, 1))
        if at >= sizes[-1]:
            slope = (levels[-1] - levels[-2]) / (sizes[-1] - sizes[-2])
            return float(min(levels[-1] + max(slope, 0.0) * (at - sizes[-1]), 1.0))
        return float(np.interp(at, sizes, levels))


@dataclass(frozen=True, slots=True)
class Description:
    """A ``model.json`` whose every field was looked at."""

    name: str
    digest: str
    architecture: str
    dimension: int
    crop: Crop
    licence: str
    thresholds: Thresholds
    files: Mapping[str, str]
    """SHA-256 of every other file, by its name in the bundle."""
    held: Mapping[str, Any]
    """The document itself."""


def digest_of(architecture: str, weights_sha256: str, crop: Mapping[str, Any], normalisation: Mapping[str, Any]) -> str:
    """The name of a model by its content: SHA-256 in hexadecimal of what its vectors depend on."""
    content = {"architecture": architecture, "weights": weights_sha256, "crop": crop, "normalisation": normalisation}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def parse(text: bytes) -> Description:
    """Read a ``model.json``.

    Raises:
        InvalidModel: A field is missing, unknown, or not what it must be; or the digest is not that of the content.
    """
    held = _document(text)
    dimension = held["dimension"]
    if isinstance(dimension, bool) or not isinstance(dimension, int) or not 2 <= dimension <= LARGEST_DIMENSION:
        raise InvalidModel(f"dimension in {FILE} is {dimension!r}; it must be a number from 2 to {LARGEST_DIMENSION}.")
    crop, normalisation, files = (_object(held, name) for name in ("crop", "normalisation", "files"))
    for optional in _OBJECTS & held.keys():
        _object(held, optional)
    architecture, digest = _string(held, "architecture", 100), _string(held, "digest", 64)
    _check_files(files)
    if digest_of(architecture, files[WEIGHTS], crop, normalisation) != digest:
        raise InvalidModel(f"The content of the bundle does not have the digest that {FILE} states.")
    name = _string(held, "name", 64)
    if not _NAME.fullmatch(name):
        raise InvalidModel(f"{name!r} is no name of a model: letters, digits, dot, dash and underscore are taken.")
    if held.get("head") is not None:
        Head.of_json(held["head"], dimension)
    licence, thresholds = _string(held, "licence", 200), thresholds_of(held.get("thresholds", NO_THRESHOLDS))
    cut = crops.of_description(crop)
    return Description(name, digest, architecture, dimension, cut, licence, thresholds, files, held)


def thresholds_of(held: object) -> Thresholds:
    """The table of thresholds that a ``model.json`` brings.

    Raises:
        InvalidModel: It is not one.
    """
    try:
        table = cast("Mapping[str, Any]", held)
        fpir = {
            str(rate): [(int(n), float(t), float(miss)) for n, t, miss in rows] for rate, rows in table["fpir"].items()
        }
        fmr = {str(rate): float(level) for rate, level in table["fmr"].items()}
        numbers = [float(rate) for rate in (*fpir, *fmr)] + [row[1] for rows in fpir.values() for row in rows]
        if not all(np.isfinite(numbers)) or any(len(rows) < 2 or rows[0][0] < 1 for rows in fpir.values()):
            raise InvalidModel(f"thresholds in {FILE} have a value that is not finite, or fewer than two sizes a rate.")
        return Thresholds(fpir, fmr, str(table["source"]))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidModel(f"thresholds in {FILE} cannot be read: {error!r}.") from error


def is_file_of_bundle(name: str) -> bool:
    """Whether a file of a bundle, but for ``model.json``, may be called so."""
    return name in _FILES or _CHIP.fullmatch(name) is not None


def _check_files(files: Mapping[str, Any]) -> None:
    for needed in _NEEDED:
        if needed not in files:
            raise InvalidModel(f"{FILE} does not list {needed} among its files.")
    for name, sha256 in files.items():
        if not is_file_of_bundle(name):
            raise InvalidModel(f"{FILE} lists {name!r}, which is no file of a bundle.")
        if not isinstance(sha256, str) or not _HEXADECIMAL.fullmatch(sha256):
            raise InvalidModel(f"{FILE} lists {name} without its SHA-256.")
    if not 2 <= sum(bool(_CHIP.fullmatch(name)) for name in files) <= _MOST_CHIPS:
        raise InvalidModel(f"{FILE} must list from 2 to {_MOST_CHIPS} reference chips.")


def _document(text: bytes) -> Mapping[str, Any]:
    try:
        held = json.loads(text.decode())
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InvalidModel(f"{FILE} is not JSON: {error}.") from error
    if not isinstance(held, dict):
        raise InvalidModel(f"{FILE} holds no JSON object.")
    if held.get("format") != FORMAT:
        raise InvalidModel(f"{FILE} is of format {held.get('format')!r}; {FORMAT} is read here.")
    if missing := sorted(_REQUIRED - held.keys()):
        raise InvalidModel(f"{FILE} lacks the field {missing[0]}.")
    if unknown := sorted(held.keys() - _REQUIRED - _OPTIONAL):
        raise InvalidModel(f"{FILE} has the field {unknown[0]}, which is not known here.")
    return held


def _object(held: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if not isinstance(held[name], dict):
        raise InvalidModel(f"{name} in {FILE} is {held[name]!r}; it must be an object.")
    return cast("Mapping[str, Any]", held[name])


def _string(held: Mapping[str, Any], name: str, longest: int) -> str:
    if not isinstance(held[name], str) or not 1 <= len(held[name]) <= longest:
        raise InvalidModel(f"{name} in {FILE} must be a text of 1 to {longest} characters.")
    return cast("str", held[name])

"""A bundle: a recognition model as data, in one folder, named by what its vectors depend on.

    model.json            what it is: crop, normalisation, dimension, licence, thresholds, the SHA-256 of every other file
    weights.safetensors   the weights, float32
    model.onnx            the graph over them: the fp32 variant
    int8.onnx             the int8 variant, whole, for processors that add 8-bit products in 32 bits (VNNI)
    int8-narrow.onnx      the same with weights of 7 bits, whose sums of two products fit the 16 bits that others have
    reference/*.jpg       chips on which a process checks its variant when it starts
    reference/vectors.npy what the model says of them in float32

Its digest covers architecture, weights, crop and normalisation. A variant is a way to compute the same model, so it has
the same digest; so has a bundle with other thresholds.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np

from services.errors import InvalidModel
from workers.faces import chips
from workers.faces.embed import Crops, Embedder, Network
from workers.faces.values import Vectors
from workers.models import onnx_session

DESCRIPTION, WEIGHTS, FP32 = "model.json", "weights.safetensors", "model.onnx"
INT8, INT8_NARROW = "int8.onnx", "int8-narrow.onnx"
REFERENCE, VECTORS = "reference", "reference/vectors.npy"
FORMAT = 1

LEAST_AGREEMENT = {"int8": 0.998, "fp32": 0.9999}
"""Cosine to the reference vectors below which a variant is not used."""

Variant = Literal["fp32", "int8"]
_WAYS: Mapping[Variant, tuple[str, ...]] = {"int8": (INT8, INT8_NARROW), "fp32": (FP32,)}
"""The files that compute a variant, the one to be preferred first."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Similarities to decide by until a collection is calibrated, with where they come from.

    ``fpir`` maps a false-positive identification rate ("0.05") to rows of gallery size in people, threshold, and the
    false-negative identification rate it costs; ``fmr`` maps a false-match rate ("0.001") to a threshold.
    """

    fpir: Mapping[str, list[tuple[int, float, float]]]
    fmr: Mapping[str, float]
    source: str

    def for_gallery(self, people: int, fpir: float = 0.05) -> float:
        """The threshold at which a share *fpir* of strangers is named in a gallery of *people*.

        Between the sizes of the table it goes with the logarithm of the size, beyond them along its last slope. Of
        the rates in the table the next smaller (stricter) one counts.
        """
        rates = sorted(float(rate) for rate in self.fpir)
        rate = max((r for r in rates if r <= fpir * (1 + 1e-9)), default=rates[0])
        rows = next(rows for key, rows in self.fpir.items() if float(key) == rate)
        sizes, levels = np.log([row[0] for row in rows]), np.array([row[1] for row in rows])
        at = np.log(max(people, 1))
        if at >= sizes[-1]:
            slope = (levels[-1] - levels[-2]) / (sizes[-1] - sizes[-2])
            return float(min(levels[-1] + max(slope, 0.0) * (at - sizes[-1]), 1.0))
        return float(np.interp(at, sizes, levels))


def digest_of(architecture: str, weights_sha256: str, crop: Mapping[str, Any], normalisation: Mapping[str, Any]) -> str:
    """The name of a model by its content: SHA-256 in hexadecimal of what its vectors depend on."""
    content = {"architecture": architecture, "weights": weights_sha256, "crop": crop, "normalisation": normalisation}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Bundle:
    """An opened bundle: its files are what ``model.json`` says they are."""

    def __init__(self, directory: Path, description: Mapping[str, Any]) -> None:
        self.directory = directory
        self.description = description
        self.digest = cast("str", description["digest"])
        self.name = cast("str", description["name"])
        self.dimension = cast("int", description["dimension"])
        self.licence = cast("str", description["licence"])
        self.crop_px = cast("int", description["crop"]["crop_px"])
        self.thresholds = _thresholds(description["thresholds"])

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open the bundle in *directory* and check every file in it.

        Raises:
            InvalidModel: A file is missing or altered, or ``model.json`` is not of a kind this version reads.
        """
        try:
            description = json.loads((directory / DESCRIPTION).read_text("utf-8"))
            if description["format"] != FORMAT:
                raise InvalidModel(f"{directory} is a bundle of format {description['format']}; {FORMAT} is read here.")
            files = description["files"]
            for name in (WEIGHTS, FP32, INT8, INT8_NARROW, VECTORS):
                if name not in files:
                    raise InvalidModel(f"{directory} does not list {name} among its files.")
            for name, expected in files.items():
                if _sha256(directory / name) != expected:
                    raise InvalidModel(f"{name} in {directory} is not the file that {DESCRIPTION} describes.")
            named = digest_of(
                description["architecture"], files[WEIGHTS], description["crop"], description["normalisation"]
            )
            if named != description["digest"]:
                raise InvalidModel(f"The content of {directory} does not have the digest that {DESCRIPTION} states.")
            return cls(directory, description)
        except FileNotFoundError as error:
            raise InvalidModel(f"{directory} is not a whole bundle: {error.filename} is missing.") from error
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidModel(f"{directory / DESCRIPTION} cannot be read: {error!r}.") from error

    def embedder(self, variant: Literal["auto", "fp32", "int8"] = "auto") -> Embedder:
        """Open a variant and check it on the reference chips.

        ``auto`` is int8 where that agrees with the reference on this machine, else fp32. Only one model is in memory at a
        time: the reference is stored, not computed.

        Raises:
            InvalidModel: The variant asked for does not agree with the reference.
        """
        variants: tuple[Variant, ...] = ("int8", "fp32") if variant == "auto" else (variant,)
        best = -1.0
        for tried in variants:
            for file in _WAYS[tried]:
                embedder = self._open(tried, file)
                if embedder.agreement >= LEAST_AGREEMENT[tried]:
                    return embedder
                best = embedder.agreement
                del embedder
        raise InvalidModel(
            f"The {variants[-1]} variant of {self.name} agrees with its reference to {best:.5f} on this machine; "
            f"{LEAST_AGREEMENT[variants[-1]]} is needed."
        )

    def reference(self) -> tuple[Crops, Vectors]:
        """The crops of the reference chips, in the order of their names, and the vectors expected of them."""
        start = (chips.CHIP_PX - self.crop_px) // 2
        if start < 0:
            raise InvalidModel(f"A crop of {self.crop_px} pixels does not fit into a chip.")
        paths = sorted((self.directory / REFERENCE).glob("*.jpg"))
        crops = np.stack([chips.central(chips.decode(path.read_bytes()), self.crop_px) for path in paths])
        vectors = np.load(self.directory / VECTORS, allow_pickle=False)
        if vectors.shape != (len(paths), self.dimension):
            raise InvalidModel(f"{self.directory} has {len(paths)} reference chips and vectors of {vectors.shape}.")
        return crops, vectors.astype(np.float32)

    def _open(self, variant: Variant, file: str) -> Embedder:
        run = _network(self.directory / file)
        crops, expected = self.reference()
        embedder = Embedder(
            run, digest=self.digest, variant=variant, dimension=self.dimension, crop_px=self.crop_px, agreement=0.0
        )
        embedder.agreement = float((embedder.embed(crops) * expected).sum(1).min())
        return embedder


def _network(path: Path) -> Network:
    session = onnx_session.session(path)
    (taken,), (given,) = session.get_inputs(), session.get_outputs()

    def run(crops: Crops) -> Vectors:
        return cast("Vectors", session.run([given.name], {taken.name: crops})[0])

    return run


def _thresholds(held: Mapping[str, Any]) -> Thresholds:
    fpir = {rate: [(int(n), float(t), float(miss)) for n, t, miss in rows] for rate, rows in held["fpir"].items()}
    return Thresholds(fpir, {rate: float(t) for rate, t in held["fmr"].items()}, str(held["source"]))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

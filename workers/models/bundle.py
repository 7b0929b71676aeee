"""A bundle: a recognition model as data, in one folder, named by what its vectors depend on.

    model.json            what it is: crop, normalisation, dimension, licence, provenance, the SHA-256 of every other file;
                          beside these thresholds, a trained head, and its variants with their measured loss
    weights.safetensors   the weights, float32
    model.onnx            the graph over them: the fp32 variant
    int8.onnx             the int8 variant, whole, for processors that add 8-bit products in 32 bits (VNNI)
    int8-narrow.onnx      the same with weights of 7 bits, whose sums of two products fit the 16 bits that others have
    reference/*.jpg       chips on which a process checks its variant when it starts, with landmarks.json
    reference/vectors.npy what the model says of them in float32

Its digest covers architecture, weights, crop and normalisation. A variant is a way to compute the same model, so it has
the same digest; so has a bundle with other thresholds. Every graph takes (n, side, side, 3) uint8 RGB and gives
(n, dimension) float32 of norm 1.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np

from services.errors import CannotStart, InvalidModel, Unavailable
from workers.faces.batching import NoRoom
from workers.faces.embed import BATCH, Crops, Embedder, Network
from workers.faces.values import Chip, Vectors
from workers.models import description, onnx_session, runtimes, safetensors
from workers.models.description import FP32, INT8, INT8_NARROW, LANDMARKS, REFERENCE, VECTORS, WEIGHTS, Description
from workers.models.facenet_graph import ARCHITECTURE as FACENET
from workers.models.facenet_graph import Weights
from workers.models.onnx_session import Provider
from workers.models.runtimes import Asked, Computing, Variant, Way

_log = logging.getLogger(__name__)

DESCRIPTION = description.FILE

LEAST_AGREEMENT: Mapping[Variant, float] = {"int8": 0.998, "fp32": 0.9999, "fp16": 0.998, "bf16": 0.998}
"""Cosine to the reference vectors below which a variant is not used."""

ON_PROCESSORS = Computing()
_WAYS: Mapping[Variant, tuple[str, ...]] = {"int8": (INT8, INT8_NARROW), "fp32": (FP32,)}
"""The files that compute a variant, the one to be preferred first."""


class Bundle:
    """An opened bundle: its files are what ``model.json`` says they are."""

    def __init__(self, directory: Path, read: Description) -> None:
        self.directory = directory
        self.description = read.held
        """The ``model.json`` itself."""
        self.digest, self.name, self.dimension = read.digest, read.name, read.dimension
        self.architecture, self.licence = read.architecture, read.licence
        self.crop, self.crop_px = read.crop, read.crop.side_px
        self.thresholds = read.thresholds
        self.files: Mapping[str, str] = read.files

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open the bundle in *directory* and check every file in it.

        Raises:
            InvalidModel: A file is missing, altered or a link, or ``model.json`` is not of a kind this version reads.
        """
        try:
            read = description.parse(_plain(directory, DESCRIPTION).read_bytes())
            for name, expected in read.files.items():
                _check_file(directory, name, expected)
        except FileNotFoundError as error:
            raise InvalidModel(f"{directory} is not a whole bundle: {error.filename} is missing.") from error
        except OSError as error:
            raise InvalidModel(f"The bundle in {directory} cannot be read: {error.strerror}.") from error
        except InvalidModel as error:
            raise InvalidModel(f"The bundle in {directory} cannot be used. {error}") from error
        return cls(directory, read)

    @property
    def head(self) -> Mapping[str, Any] | None:
        """The trained head that judges pairs of this model's vectors, where it has one."""
        return cast("Mapping[str, Any] | None", self.description.get("head"))

    @property
    def variants(self) -> Mapping[str, Any]:
        """By name: its ``files`` (none where it was refused, with ``why``), and what was measured of its loss."""
        return cast("Mapping[str, Any]", self.description.get("variants", {}))

    def weights(self) -> Weights:
        """The weights by name, float32. Arrays of their own, so they may be changed.

        Raises:
            InvalidModel: The file is damaged.
        """
        return safetensors.read_ours(self.directory / WEIGHTS)

    def ways(self, variant: Variant) -> list[str]:
        """The files that compute a variant, the one to be preferred first; none where the bundle lacks it."""
        return [name for name in _WAYS.get(variant, ()) if name in self.files]

    def embedder(self, variant: Asked = "auto", computing: Computing = ON_PROCESSORS) -> Embedder:
        """Open the best way to compute the model here and check it on the reference chips.

        ``auto`` is on processors int8 where that agrees with the reference on this machine, else fp32; on a GPU fp16. Only
        one model is in memory at a time: the reference is stored, not computed.

        Args:
            variant: One in particular, whatever *computing* says.
            computing: As the settings say; the processor if nothing is.

        Raises:
            InvalidModel: The variant asked for does not agree with the reference, or the bundle lacks it.
            CannotStart: A GPU or a library was asked for that is not here.
        """
        wanted = computing if variant == "auto" else replace(computing, variant=variant)
        if wanted.variant == "int8" and not self.ways("int8"):
            why = self.variants.get("int8", {}).get("why", "")
            raise InvalidModel(f"{self.name} has no int8 variant. {why}".strip())
        seen: list[str] = []
        for way in runtimes.ways(wanted, self._paths, network, self.weights if self.architecture == FACENET else None):
            try:
                embedder = self._opened(way)
            except (CannotStart, NoRoom, Unavailable, InvalidModel) as error:
                if wanted.device != "auto" or way.device == "cpu":
                    raise
                _log.warning("%s by %s is passed over: %s", way.variant, way.runtime, error)
                continue
            if embedder.agreement >= LEAST_AGREEMENT[way.variant]:
                return embedder
            seen.append(
                f"The {way.variant} variant of {self.name} agrees with its reference to {embedder.agreement:.5f} on this "
                f"machine ({way.runtime}); {LEAST_AGREEMENT[way.variant]} is needed. COLEGA_VARIANT=auto takes one that does."
            )
            del embedder
        raise InvalidModel(seen[-1] if seen else f"{self.name} cannot be computed on this machine.")

    def preferred(self, computing: Computing) -> str:
        """The variant that :meth:`embedder` would take here if all agreed with the reference.

        Raises:
            CannotStart: As :meth:`embedder`.
        """
        known = self.weights if self.architecture == FACENET else None
        return next(iter(runtimes.ways(computing, self._paths, network, known))).variant

    def chips(self) -> list[Chip]:
        """The reference chips, in the order of their names. They count as photos of their own: their map is the identity.

        Raises:
            InvalidModel: Their landmarks are not to be read.
        """
        return reference_chips(self.directory)

    def reference(self) -> tuple[Crops, Vectors]:
        """The crops of the reference chips, in the order of their names, and the vectors expected of them.

        Raises:
            InvalidModel: Chips and vectors do not belong together.
        """
        crops = np.stack([self.crop.cut(chip) for chip in self.chips()])
        try:
            vectors = np.load(self.directory / VECTORS, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InvalidModel(f"{VECTORS} in {self.directory} cannot be read: {error}.") from error
        if vectors.shape != (len(crops), self.dimension) or not np.isfinite(vectors).all():
            raise InvalidModel(f"{self.directory} has {len(crops)} reference chips and vectors of {vectors.shape}.")
        return crops, vectors.astype(np.float32)

    def opened(self, variant: Variant, file: str) -> Embedder:
        """One file of a variant, with how it agrees with the reference, whatever that is.

        Raises:
            InvalidModel: It cannot be run, or gives another dimension.
        """
        return self._opened(Way(variant, "onnxruntime", "cpu", BATCH, lambda: network(self.directory / file)))

    def _opened(self, way: Way) -> Embedder:
        crops, expected = self.reference()
        embedder = Embedder(
            way.open(),
            digest=self.digest,
            variant=way.variant,
            runtime=way.runtime,
            device=way.device,
            dimension=self.dimension,
            crop=self.crop,
            agreement=0.0,
            batch=way.batch,
        )
        embedder.agreement = float((embedder.embed(crops) * expected).sum(1).min())
        return embedder

    def _paths(self, variant: Variant) -> list[Path]:
        return [self.directory / name for name in self.ways(variant)]


def network(path: Path, provider: Provider = "cpu", memory_mb: int = 0) -> Network:
    """The graph in *path*, which is one of a bundle's. One that takes a single crop is given one after the other.

    Raises:
        InvalidModel: It is not such a graph.
        CannotStart: *provider* is not to be had.
    """
    try:
        session = onnx_session.session(path, provider, memory_mb=memory_mb)
        (taken,), (given,) = session.get_inputs(), session.get_outputs()
    except CannotStart:
        raise
    except Exception as error:  # ONNX Runtime's errors share no root but this.
        raise InvalidModel(f"{path.name} cannot be run: {type(error).__name__}: {error}") from error
    alone = taken.shape[0] == 1

    def run(crops: Crops) -> Vectors:
        with onnx_session.room():
            if alone:
                return np.concatenate([session.run([given.name], {taken.name: crop[None]})[0] for crop in crops])
            return cast("Vectors", session.run([given.name], {taken.name: crops})[0])

    return run


def reference_chips(directory: Path) -> list[Chip]:
    """The reference chips in a bundle's *directory*, in the order of their names.

    Raises:
        InvalidModel: Their landmarks are not to be read.
    """
    try:
        landmarks = np.asarray(json.loads((directory / LANDMARKS).read_text("utf-8")), np.float32)
    except (OSError, ValueError, TypeError) as error:
        raise InvalidModel(f"{LANDMARKS} in {directory} cannot be read: {error}.") from error
    paths = sorted((directory / REFERENCE).glob("*.jpg"))
    if landmarks.shape != (len(paths), 5, 2) or not np.isfinite(landmarks).all():
        raise InvalidModel(f"{directory} has {len(paths)} reference chips and landmarks of {landmarks.shape}.")
    return [Chip(path.read_bytes(), np.eye(2, 3), points) for path, points in zip(paths, landmarks, strict=True)]


def _check_file(directory: Path, name: str, expected: str) -> None:
    if _sha256(_plain(directory, name)) != expected:
        raise InvalidModel(f"{name} is not the file that {DESCRIPTION} describes.")


def _plain(directory: Path, name: str) -> Path:
    """The path of a file that is in *directory* itself: neither it nor its folder is a link."""
    path = directory / name
    if path.is_symlink() or path.parent.is_symlink():
        raise InvalidModel(f"{name} is a link; the files of a bundle are plain files.")
    if name == DESCRIPTION and path.stat().st_size > description.LARGEST_BYTES:
        raise InvalidModel(f"{DESCRIPTION} has more than {description.LARGEST_BYTES:,} bytes.")
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""A described face embedder as a bundle: its graph in the form of our own, its weights beside it, int8 where that is good enough."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from services.errors import InvalidModel
from workers.faces import crops
from workers.faces.embed import Crops
from workers.faces.values import Vectors
from workers.models import assembly, bundle, description, foreign_onnx, quantisation, safetensors, trial, variants
from workers.models.bundle import Bundle
from workers.models.describing import Described
from workers.models.facenet_bundle import ON_REFERENCE, mirrored
from workers.models.facenet_graph import INPUT

ARCHITECTURE = "onnx-"
"""Begins the architecture of such a model; the SHA-256 of its graph follows."""


def write(
    directory: Path, content: bytes, described: Described, *, name: str, licence: str, provenance: Mapping[str, Any]
) -> Bundle:
    """Write the bundle of a described embedder to *directory*; whole, or not at all.

    Args:
        directory: Its parent is there.
        content: The ONNX file.
        described: What somebody says of it.
        name: How people call it.
        licence: Of the weights; the description's where nobody said another.
        provenance: Where it comes from.

    Raises:
        InvalidModel: It is not what is described, cannot be run, or gives vectors that are of no use.
        DiskFull: There is no room.
    """
    found = foreign_onnx.looked_through(content, described)

    def fill(scratch: Path) -> Mapping[str, Any]:
        chips = assembly.put_reference(scratch)
        cut = crops.of_description(described.crop)
        seen = np.stack([cut.cut(chip) for chip in chips])
        model, vectors = _tried(scratch, found, described, seen)
        assembly.put_vectors(scratch, vectors)
        return {
            "name": name,
            "architecture": f"{ARCHITECTURE}{hashlib.sha256((scratch / description.FP32).read_bytes()).hexdigest()}",
            "dimension": described.dimension,
            "crop": dict(described.crop),
            "normalisation": {"mean": list(described.mean), "std": list(described.std), "channels": described.channels},
            "licence": licence,
            "provenance": dict(provenance),
            "thresholds": dict(description.NO_THRESHOLDS),
            "variants": {
                "fp32": {"files": [description.FP32]},
                "int8": put_int8(scratch, model, mirrored(seen), seen, vectors, made_with=ON_REFERENCE),
            },
        }

    return assembly.assemble(directory, fill)


def rewrite(
    directory: Path,
    opened: Bundle,
    *,
    name: str,
    licence: str,
    provenance: Mapping[str, Any],
    head: Mapping[str, Any] | None = None,
) -> Bundle:
    """Write the bundle of such a model anew, from graph and weights of *opened*, tried and quantised here.

    Raises:
        InvalidModel: It is none of ours, or cannot be used.
        DiskFull: There is no room.
    """
    sha256 = opened.files[description.FP32]
    if opened.architecture != f"{ARCHITECTURE}{sha256}":
        raise InvalidModel(f"{description.FP32} is not the graph that the architecture names.")
    graph = (opened.directory / description.FP32).read_bytes()
    foreign_onnx.parsed(graph, weights_in=description.WEIGHTS)
    model = whole(opened)

    def fill(scratch: Path) -> Mapping[str, Any]:
        seen = np.stack([opened.crop.cut(chip) for chip in assembly.put_reference(scratch)])
        for copied in (description.WEIGHTS, description.FP32):
            assembly.put(scratch / copied, (opened.directory / copied).read_bytes())
        vectors = trial.vectors_of(bundle.network(scratch / description.FP32), seen, opened.dimension)
        assembly.put_vectors(scratch, vectors)
        kept = ("architecture", "dimension", "crop", "normalisation")
        return {
            "name": name,
            **{key: opened.description[key] for key in kept},
            "licence": licence,
            "provenance": dict(provenance),
            "thresholds": opened.description.get("thresholds", description.NO_THRESHOLDS),
            "variants": {
                "fp32": {"files": [description.FP32]},
                "int8": put_int8(scratch, model, mirrored(seen), seen, vectors, made_with=ON_REFERENCE),
            },
            **({} if head is None else {"head": dict(head)}),
        }

    return assembly.assemble(directory, fill)


def put_int8(
    scratch: Path, model: onnx.ModelProto, faces: Crops, reference: Crops, expected: Vectors, *, made_with: str
) -> dict[str, Any]:
    """Quantise with ONNX Runtime's own tool, one scale an output channel, and measure; what is not good enough goes again.

    Args:
        scratch: The bundle's folder.
        model: In the form of our own, with its weights inside.
        faces: Crops whose activations give the ranges.
        reference: Reference crops.
        expected: What the model says of them in float32.
        made_with: Whose faces *faces* are.

    Returns:
        What ``model.json`` says of int8.
    """
    alone = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    try:
        for name, narrow in {description.INT8: False, description.INT8_NARROW: True}.items():
            quantisation.with_onnxruntime(model, scratch / name, _batches(faces, alone=alone), narrow=narrow)
    except Exception as error:  # noqa: BLE001 - The tool's errors share no root; a model without int8 is a model.
        for name in (description.INT8, description.INT8_NARROW):
            (scratch / name).unlink(missing_ok=True)
        why = f"ONNX Runtime cannot quantise it: {type(error).__name__}."
        return {"files": [], "made_with": made_with, "why": why}
    return variants.kept_int8(scratch, reference, expected, made_with=made_with)


def whole(opened: Bundle) -> onnx.ModelProto:
    """The fp32 graph of a bundle with its weights inside."""
    model = onnx.ModelProto()
    model.ParseFromString((opened.directory / description.FP32).read_bytes())
    weights = opened.weights()
    for item in model.graph.initializer:
        if item.data_location == TensorProto.EXTERNAL:
            item.CopyFrom(numpy_helper.from_array(weights[item.name], item.name))
    return model


def _tried(
    scratch: Path, found: foreign_onnx.Found, described: Described, seen: Crops
) -> tuple[onnx.ModelProto, Vectors]:
    """Write graph and weights, and run them; a graph that says it takes any number and does not is given one at a time."""
    alone, refused = found.alone, None
    while True:
        model = foreign_onnx.wrapped(found, described, alone=alone)
        _put_graph(scratch, model)
        try:
            return model, trial.vectors_of(bundle.network(scratch / description.FP32), seen, described.dimension)
        except InvalidModel as error:
            if alone:
                raise (refused or error) from None
            alone, refused = True, error


def _put_graph(scratch: Path, model: onnx.ModelProto) -> None:
    weights = foreign_onnx.weights_of(model)
    content, places = safetensors.write(weights)
    assembly.put(scratch / description.WEIGHTS, content)
    lean = onnx.ModelProto()
    lean.CopyFrom(model)
    for item in lean.graph.initializer:
        if item.name in places:
            dims, name, place = list(item.dims), item.name, places[item.name]
            item.Clear()
            item.name, item.data_type, item.data_location = name, TensorProto.FLOAT, TensorProto.EXTERNAL
            item.dims.extend(dims)
            told = {"location": description.WEIGHTS, "offset": place.offset, "length": place.length}
            for key, value in told.items():
                item.external_data.add(key=key, value=str(value))
    with contextlib.suppress(FileNotFoundError):
        (scratch / description.FP32).unlink()
    assembly.put(scratch / description.FP32, lean.SerializeToString(deterministic=True))


def _batches(faces: Crops, *, alone: bool) -> Iterator[dict[str, Crops]]:
    size = 1 if alone else 8
    for start in range(0, len(faces), size):
        yield {INPUT: np.ascontiguousarray(faces[start : start + size])}

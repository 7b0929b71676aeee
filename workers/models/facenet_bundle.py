"""FaceNet as a bundle: written from its folded weights, whoever they come from, with an int8 variant where that is good enough."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto

from services.errors import InvalidModel
from workers.faces.chips import CHIP_PX
from workers.faces.crops import STRETCHED_BOX, StretchedBox
from workers.faces.embed import Crops
from workers.faces.values import Vectors
from workers.models import (
    activations,
    assembly,
    bundle,
    description,
    facenet_graph,
    facenet_layers,
    quantisation,
    safetensors,
    trial,
    variants,
)
from workers.models.bundle import Bundle
from workers.models.facenet_graph import Network, Weights
from workers.models.quantisation import Measured

CROP = StretchedBox(facenet_graph.CROP_PX, facenet_graph.CROP_PX)
ON_REFERENCE = "the reference chips, as they are and mirrored"
_CROP_DESCRIBED = {"kind": STRETCHED_BOX, "chip_px": CHIP_PX, "crop_px": facenet_graph.CROP_PX}
_NORMALISATION = {"subtract": facenet_graph.SUBTRACT, "divide": facenet_graph.DIVIDE, "channels": "RGB"}


def write(
    directory: Path,
    weights: Weights,
    *,
    name: str,
    licence: str,
    provenance: Mapping[str, Any],
    thresholds: Mapping[str, Any] | None = None,
    ranges: Measured | None = None,
    head: Mapping[str, Any] | None = None,
    vectors: Vectors | None = None,
) -> Bundle:
    """Write the bundle of a FaceNet to *directory*, in place of what is there; whole, or not at all.

    Args:
        directory: Its parent is there.
        weights: Folded, as :func:`workers.models.facenet_state.network_of` gives them.
        name: How people call it.
        licence: Of the weights.
        provenance: Where they come from: anything that JSON holds.
        thresholds: As in ``model.json``; None where nothing was measured.
        ranges: What int8 is made with; None measures the reference chips, as they are and mirrored.
        head: Of trained pairs, as in ``model.json``.
        vectors: What the model is known to say of the reference chips; None takes what it says.

    Raises:
        InvalidModel: The weights are not FaceNet's, or give vectors that are of no use.
        DiskFull: There is no room; what was there stays.
    """
    network = checked(weights)

    def fill(scratch: Path) -> Mapping[str, Any]:
        put_graph(scratch, network)
        crops = np.stack([CROP.cut(chip) for chip in assembly.put_reference(scratch)])
        said = trial.vectors_of(bundle.network(scratch / description.FP32), crops, facenet_graph.DIMENSION)
        assembly.put_vectors(scratch, said if vectors is None else vectors)
        known = ranges or activations.measured(network, mirrored(crops), ON_REFERENCE)
        int8 = put_int8(scratch, network, known, crops, said if vectors is None else vectors)
        return {
            "name": name,
            "architecture": facenet_graph.ARCHITECTURE,
            "dimension": facenet_graph.DIMENSION,
            "crop": _CROP_DESCRIBED,
            "normalisation": _NORMALISATION,
            "licence": licence,
            "provenance": dict(provenance),
            "thresholds": dict(thresholds or description.NO_THRESHOLDS),
            "variants": {"fp32": {"files": [description.FP32]}, "int8": int8},
            **({} if head is None else {"head": dict(head)}),
        }

    return assembly.assemble(directory, fill)


def checked(weights: Mapping[str, Any]) -> Network:
    """The network over *weights*.

    Raises:
        InvalidModel: They are not FaceNet's folded weights; the sentence names the first that is not.
    """
    layers = facenet_layers.layers().values()
    shapes = {f"{layer.name}/weights": layer.shape for layer in layers}
    shapes |= {f"{layer.name}/biases": layer.shape[:1] for layer in layers}
    for tensor, shape in shapes.items():
        if tensor not in weights:
            raise InvalidModel(f"FaceNet's weights lack {tensor}.")
        if weights[tensor].shape != shape:
            raise InvalidModel(f"The weights {tensor} have the shape {weights[tensor].shape}; FaceNet's have {shape}.")
        if weights[tensor].dtype != np.float32 or not np.isfinite(weights[tensor]).all():
            raise InvalidModel(f"The weights {tensor} are not finite float32; the file is damaged.")
    if unknown := sorted(weights.keys() - shapes.keys()):
        raise InvalidModel(f"The weights {unknown[0]} have no place in FaceNet.")
    return Network(facenet_layers.nodes(), {tensor: weights[tensor] for tensor in shapes})


def put_graph(scratch: Path, network: Network) -> None:
    """Write ``weights.safetensors``, and the graph with every weight a place in it."""
    content, places = safetensors.write(network.weights)
    assembly.put(scratch / description.WEIGHTS, content)
    graph = network.graph()
    for name, array in network.weights.items():
        weight = graph.initializer.add(name=name, data_type=TensorProto.FLOAT, dims=array.shape)
        weight.data_location = TensorProto.EXTERNAL
        place = {"location": description.WEIGHTS, "offset": places[name].offset, "length": places[name].length}
        for key, value in place.items():
            weight.external_data.add(key=key, value=str(value))
    model = facenet_graph.model_of(graph)
    assembly.put(scratch / description.FP32, model.SerializeToString(deterministic=True))


def put_int8(scratch: Path, network: Network, measured: Measured, crops: Crops, expected: Vectors) -> dict[str, Any]:
    """Write the int8 variants and measure them; those that are not good enough are taken away again.

    Args:
        scratch: The bundle's folder.
        network: In float32.
        measured: What int8 is made with.
        crops: Reference crops.
        expected: What the model says of them in float32.

    Returns:
        What ``model.json`` says of int8.
    """
    for name, greatest in {description.INT8: quantisation.WIDE, description.INT8_NARROW: quantisation.NARROW}.items():
        model = quantisation.quantise(network, measured.ranges, greatest, means=measured.means)
        assembly.put(scratch / name, model.SerializeToString(deterministic=True))
    return variants.kept_int8(scratch, crops, expected, made_with=measured.source)


def mirrored(crops: Crops) -> Crops:
    """*crops*, and each seen in a mirror: twice the faces to measure on."""
    return np.concatenate([crops, crops[:, :, ::-1]])

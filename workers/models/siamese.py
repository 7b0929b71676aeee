"""Siamese networks that were trained from scratch, as data: a folder with their weights, and what judges pairs by them.

    siamese.json          what it is: length of the vectors, crop, what it was trained on, SHA-256 of the weights
    weights.safetensors   float32: conv1 … conv4 and dense with weight and bias, and the judge, which is a Siamese head

Twin convolutional subnets with shared weights (Koch et al. 2015) make a vector of each crop; one sigmoid unit over the
absolute difference of two says how likely they are one person's. Vectors of such a network are no FaceNet embeddings:
their cosines mean nothing, and they are searched by no index.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from services.errors import InvalidModel
from workers.faces.crops import StretchedBox
from workers.faces.embed import Crops, Embedder
from workers.faces.values import Vectors
from workers.models import assembly, facenet_graph, onnx_session, safetensors
from workers.models.heads import Head
from workers.models.siamese_layers import CROP_PX, KERNELS, WINDOW_PX, Layers, check

DESCRIPTION, WEIGHTS = "siamese.json", "weights.safetensors"
ARCHITECTURE = "koch-2015"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Siamese:
    """A network that was opened."""

    name: str
    digest: str
    """SHA-256 of its weights."""
    licence: str
    trained_on: Mapping[str, Any]
    layers: Layers

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the network in *folder*.

        Raises:
            InvalidModel: A file is missing or altered, or the weights are not such a network's.
        """
        try:
            held = json.loads((folder / DESCRIPTION).read_text("utf-8"))
            if held["format"] != FORMAT or held["architecture"] != ARCHITECTURE:
                raise InvalidModel(f"{folder} holds a network of a kind that is not read here.")
            expected, name, told = str(held["weights_sha256"]), str(held["name"]), dict(held["trained_on"])
            licence = str(held.get("licence", ""))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise InvalidModel(f"{folder / DESCRIPTION} cannot be read: {error!r}.") from error
        try:
            with (folder / WEIGHTS).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InvalidModel(f"{folder} is not a whole network: {WEIGHTS} is missing.") from error
        if digest != expected:
            raise InvalidModel(f"{WEIGHTS} in {folder} is not the file that {DESCRIPTION} describes.")
        layers = safetensors.read(folder / WEIGHTS)
        check(layers)
        return cls(name, digest, licence, told, layers)

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return len(self.layers["judge.weight"])

    @property
    def head(self) -> Head:
        """The unit that judges two vectors."""
        return Head(self.layers["judge.weight"], float(self.layers["judge.bias"][0]), self.trained_on)

    def embedder(self) -> Embedder:
        """What makes vectors of chips; they are not of norm 1, but of numbers in (0, 1)."""
        session = onnx_session.session(_model(self.layers).SerializeToString())
        (taken,), (given,) = session.get_inputs(), session.get_outputs()

        def run(crops: Crops) -> Vectors:
            return cast("Vectors", session.run([given.name], {taken.name: crops})[0])

        crop = StretchedBox(CROP_PX, WINDOW_PX)
        return Embedder(
            run, digest=self.digest, variant="fp32", dimension=self.dimension, crop=crop, agreement=float("nan")
        )


def write(folder: Path, layers: Layers, *, name: str, licence: str, trained_on: Mapping[str, Any]) -> Siamese:
    """Write a network to *folder*, which is made; the description last, so that a folder that has one is whole.

    Raises:
        InvalidModel: The weights are not such a network's.
        OSError: There is no room.
    """
    check(layers)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DESCRIPTION).unlink(missing_ok=True)
    content, _ = safetensors.write(layers)
    digest = hashlib.sha256(content).hexdigest()
    assembly.put(folder / WEIGHTS, content)
    held = {
        "format": FORMAT,
        "architecture": ARCHITECTURE,
        "name": name,
        "licence": licence,
        "dimension": len(layers["judge.weight"]),
        "crop": {"kind": "stretched-box", "window_px": WINDOW_PX, "crop_px": CROP_PX},
        "trained_on": dict(trained_on),
        "weights_sha256": digest,
    }
    assembly.put(folder / DESCRIPTION, json.dumps(held, indent=1, ensure_ascii=False).encode() + b"\n")
    return Siamese(name, digest, licence, dict(trained_on), layers)


def _model(layers: Layers) -> Any:  # noqa: ANN401 - onnx has no types
    """The twin as ONNX: crops (n, 105, 105, 3) uint8 to vectors (n, features) float32."""
    constants = {"per_pixel": np.float32(1 / 127.5), "one": np.float32(1)}
    arrays = {name: array for name, array in layers.items() if not name.startswith("judge")} | constants
    nodes = [
        helper.make_node("Cast", ["crops"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["numbers"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["planes", "per_pixel"], ["up_to_two"]),
        helper.make_node("Sub", ["up_to_two", "one"], ["maps0"]),
    ]
    for number in range(1, len(KERNELS) + 1):
        convolved, kept = f"convolved{number}", f"kept{number}"
        weights = [f"conv{number}.weight", f"conv{number}.bias"]
        nodes.append(helper.make_node("Conv", [f"maps{number - 1}", *weights], [convolved]))
        last = number == len(KERNELS)
        nodes.append(helper.make_node("Relu", [convolved], [f"maps{number}" if last else kept]))
        if not last:
            nodes.append(helper.make_node("MaxPool", [kept], [f"maps{number}"], kernel_shape=[2, 2], strides=[2, 2]))
    nodes += [
        helper.make_node("Flatten", [f"maps{len(KERNELS)}"], ["flat"]),
        helper.make_node("Gemm", ["flat", "dense.weight", "dense.bias"], ["sums"], transB=1),
        helper.make_node("Sigmoid", ["sums"], ["vectors"]),
    ]
    taken = helper.make_tensor_value_info("crops", TensorProto.UINT8, ["n", CROP_PX, CROP_PX, 3])
    given = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", len(layers["judge.weight"])])
    held = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    return facenet_graph.model_of(helper.make_graph(nodes, ARCHITECTURE, [taken], [given], held))

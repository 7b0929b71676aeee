"""What somebody brings along, by its content and never by its name, made a bundle."""

import shutil
import struct
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from onnx import numpy_helper

from services.errors import InvalidModel
from workers.models import (
    describing,
    description,
    facenet_bundle,
    facenet_graph,
    facenet_layers,
    facenet_state,
    foreign_bundle,
    foreign_onnx,
    published,
    safetensors,
    torch_state,
)
from workers.models.bundle import Bundle
from workers.models.facenet_graph import Weights

NOT_STATED = "not stated"
LARGEST_STATE_BYTES = 300_000_000
"""Of FaceNet's weights: 94 MB in float32, 188 in float64, some more with a classifier."""

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_HEAD_BYTES = 512
_ALLOWED_FILES = 200


@dataclass(frozen=True, slots=True)
class Brought:
    """A file with what was said of it."""

    path: Path
    name: str
    """How the model is to be called."""
    file_name: str
    """How the file was called: told in errors, believed nowhere."""
    licence: str | None = None
    describe: str | None = None
    """The YAML."""
    provenance: Mapping[str, Any] | None = None
    published: str | None = None
    """It is said to be a published model of that name."""


def bundle_of(brought: Brought, directory: Path) -> Bundle:
    """Make a bundle of it in *directory*, tried on the reference chips.

    Takes a bundle's folder as tar, FaceNet's state dict as safetensors or in PyTorch's format, FaceNet as ONNX with the
    weights of a bundle, and any face embedder as ONNX with its description.

    Raises:
        InvalidModel: It is none of these, or cannot be used; the sentence says why.
        CannotStart: It needs torch, which is not installed.
        DiskFull: There is no room.
    """
    made = _made(brought, directory)
    if brought.published is not None:
        published.check(brought.published, made)
    return published.informed(made)


def _made(brought: Brought, directory: Path) -> Bundle:
    head = _head(brought.path)
    if head[257:262] == b"ustar":  # Not asked of tarfile, which unpacks what is packed to find out.
        return _of_folder(brought, directory)
    # First what has a length in front, whose lowest byte may be any: that of a pickle among them.
    if len(head) > 8 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] < brought.path.stat().st_size:
        _bound(brought)
        return _of_state(brought, directory, safetensors.read(brought.path, brought.file_name))
    if head.startswith((_ZIP, _PICKLE)):
        _bound(brought)
        return _of_state(brought, directory, torch_state.read(brought.path, brought.file_name))
    return _of_onnx(brought, directory)


def _of_state(brought: Brought, directory: Path, state: Mapping[str, Any]) -> Bundle:
    if brought.describe is not None:
        raise InvalidModel(f"{brought.file_name} holds FaceNet's weights, which need no description; leave it out.")
    return _facenet(brought, directory, facenet_state.network_of(state).weights)


def _of_onnx(brought: Brought, directory: Path) -> Bundle:
    content = brought.path.read_bytes()
    try:
        if brought.describe is None:
            return _facenet(brought, directory, _facenet_weights(content))
        described = describing.parse(brought.describe)
        return foreign_bundle.write(
            directory,
            content,
            described,
            name=brought.name,
            licence=brought.licence or described.licence,
            provenance={"source": described.source, **(brought.provenance or {})},
        )
    except InvalidModel as error:
        raise InvalidModel(f"{brought.file_name} cannot be used. {error}") from error


def _facenet_weights(content: bytes) -> Weights:
    model = foreign_onnx.parsed(content)
    wanted = {f"{name}/{part}" for name in facenet_layers.layers() for part in ("weights", "biases")}
    weights = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer if item.name in wanted}
    if len(weights) != len(wanted):
        raise InvalidModel(
            "It is an ONNX model that is not known here. Describe it: --describe FILE.yaml (docs/models.md)."
        )
    return weights


def _facenet(brought: Brought, directory: Path, weights: Weights) -> Bundle:
    licence, provenance = brought.licence or NOT_STATED, brought.provenance or {}
    return facenet_bundle.write(directory, weights, name=brought.name, licence=licence, provenance=provenance)


def _of_folder(brought: Brought, directory: Path) -> Bundle:
    """Of a bundle only the data is taken; graphs and variants of a FaceNet are written anew from its weights."""
    if brought.describe is not None:
        raise InvalidModel("A bundle describes itself; leave the description out.")
    with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=directory.parent) as folder:
        _unpack(brought, Path(folder))
        opened = Bundle.open(Path(folder))
        facenet = opened.architecture == facenet_graph.ARCHITECTURE
        if not facenet and not opened.architecture.startswith(foreign_bundle.ARCHITECTURE):
            raise InvalidModel(
                f"{brought.file_name} is of the architecture {opened.architecture}, which is not known here."
            )
        held, licence = opened.description, brought.licence or opened.licence
        provenance = {**held.get("provenance", {}), **(brought.provenance or {})}
        if facenet:
            made = facenet_bundle.write(
                directory,
                opened.weights(),
                name=brought.name,
                licence=licence,
                provenance=provenance,
                thresholds=held.get("thresholds"),
                head=opened.head,
            )
        else:
            made = foreign_bundle.rewrite(
                directory, opened, name=brought.name, licence=licence, provenance=provenance, head=opened.head
            )
        if made.digest != opened.digest:
            shutil.rmtree(directory, ignore_errors=True)
            raise InvalidModel(
                f"{brought.file_name} describes a crop or normalisation that its architecture does not have."
            )
        return made


def _unpack(brought: Brought, folder: Path) -> None:
    """Plain files with the names that a bundle's may have; what else is in the archive is refused."""
    (folder / description.REFERENCE).mkdir()
    try:
        with tarfile.open(brought.path, "r:") as archive:
            members = archive.getmembers()
            if len(members) > _ALLOWED_FILES:
                raise InvalidModel(f"{brought.file_name} has {len(members)} entries; no bundle has so many.")
            for member in members:
                if member.isdir():
                    continue
                path = PurePosixPath(member.name)
                inside = path.parent.name if path.parent.name == description.REFERENCE else ""
                name = f"{inside}/{path.name}".lstrip("/")
                plain = member.isfile() and not member.issparse()  # Of a sparse file hardly anything need be there.
                if not plain or path.is_absolute() or ".." in path.parts or not _may_be_called(name):
                    raise InvalidModel(
                        f"{brought.file_name} has the entry {member.name[:80]!r}, which is no file of a bundle."
                    )
                source = archive.extractfile(member)
                assert source is not None
                with (folder / name).open("xb") as target:
                    shutil.copyfileobj(source, target)
    except (tarfile.TarError, FileExistsError, EOFError) as error:
        raise InvalidModel(f"{brought.file_name} is no whole archive of a bundle: {error}.") from error


def _may_be_called(name: str) -> bool:
    return name == description.FILE or description.is_file_of_bundle(name)


def _bound(brought: Brought) -> None:
    if (size := brought.path.stat().st_size) > LARGEST_STATE_BYTES:
        raise InvalidModel(
            f"{brought.file_name} has {size:,} bytes; FaceNet's weights have at most {LARGEST_STATE_BYTES:,}."
        )


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)

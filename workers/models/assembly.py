"""Writing bundles: beside their place, checked, then renamed into it. There is a whole bundle, or the one before, or none."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from services.errors import DiskFull, InvalidModel
from workers.faces.values import Chip, Vectors
from workers.models import bundle, description
from workers.models.bundle import Bundle

Fill = Callable[[Path], Mapping[str, Any]]
"""Writes every file but ``model.json`` into a folder, and says what that is to hold beside ``format``, ``digest`` and
``files``."""


def assemble(directory: Path, fill: Fill) -> Bundle:
    """Write a bundle to *directory*, in place of what is there.

    Raises:
        InvalidModel: What *fill* wrote is no bundle.
        DiskFull: There is no room; what was there stays.
    """
    scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        (scratch / description.REFERENCE).mkdir()
        described = dict(fill(scratch))
        _describe(scratch, described)
        Bundle.open(scratch)
        scratch.chmod(0o755)
        _exchange(scratch, directory)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFull(f"There is no room for a model in {directory.parent}. Free some and do it again.") from error
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Bundle(directory, description.parse((directory / description.FILE).read_bytes()))


def redescribe(opened: Bundle, changes: Mapping[str, Any]) -> Bundle:
    """Change what *opened* says beside its digest, such as its name, its thresholds or its variants, in place.

    Raises:
        InvalidModel: The digest would not be right any more.
    """
    kept = {key: value for key, value in opened.description.items() if key not in {"format", "digest", "files"}}
    _describe(opened.directory, {**kept, **changes})
    return Bundle.open(opened.directory)


def put(path: Path, content: bytes | bytearray) -> None:
    """Write *content* to *path*, and to the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def put_reference(scratch: Path) -> list[Chip]:
    """Put the reference chips of this package into a bundle. Returns them in the order of their names."""
    home = resources.files("workers.models").joinpath(description.REFERENCE)
    for file in home.iterdir():
        if file.name.endswith((".jpg", ".json")):
            put(scratch / description.REFERENCE / file.name, file.read_bytes())
    return bundle.reference_chips(scratch)


def put_vectors(scratch: Path, vectors: Vectors) -> None:
    """Put in what the model says of the reference chips."""
    with (scratch / description.VECTORS).open("wb") as file:
        np.save(file, vectors.astype(np.float32), allow_pickle=False)


def _describe(directory: Path, described: Mapping[str, Any]) -> None:
    paths = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != description.FILE)
    files = {str(path.relative_to(directory)): _sha256(path) for path in paths}
    if description.WEIGHTS not in files:
        raise InvalidModel(f"A bundle needs {description.WEIGHTS}.")
    covered = (described["architecture"], files[description.WEIGHTS], described["crop"], described["normalisation"])
    whole = {"format": description.FORMAT, "digest": description.digest_of(*covered), **described, "files": files}
    text = json.dumps(whole, indent=1, ensure_ascii=False).encode()
    description.parse(text)
    put(directory / f".{description.FILE}", text)
    (directory / f".{description.FILE}").rename(directory / description.FILE)


def _exchange(scratch: Path, directory: Path) -> None:
    """Put *scratch* where *directory* is; the old one is out of the way for a moment, and gone afterwards."""
    old = scratch.with_name(f"{scratch.name}.old")
    if directory.exists():
        directory.rename(old)
    try:
        scratch.rename(directory)
    except OSError:
        if old.exists():
            old.rename(directory)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""The safetensors format: a header in JSON, then the arrays, back to back.

Ours hold float32 in the order of the names: the same weights give the same bytes, so their SHA-256 names them, and NumPy
reads them. Those that somebody brings along are read by the library that defines the format, whatever floats they hold.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidModel

_ALIGNMENT = 64
_FLOATS = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
_WHOLE = {"I8": "<i1", "U8": "<u1", "I16": "<i2", "I32": "<i4", "I64": "<i8", "BOOL": "<u1"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of one array lie in the file."""

    offset: int
    length: int


def write(weights: Mapping[str, NDArray[np.float32]]) -> tuple[bytearray, dict[str, Place]]:
    """The file's bytes, and where each array lies in them; arrays stand in the order of their names."""
    header: dict[str, object] = {}
    at = 0
    for name in sorted(weights):
        end = at + weights[name].nbytes
        header[name] = {"dtype": "F32", "shape": list(weights[name].shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    start = 8 + len(text)
    data = bytearray(start + at)
    data[:8], data[8:start] = struct.pack("<Q", len(text)), text
    places: dict[str, Place] = {}
    at = start
    for name in sorted(weights):
        raw = np.ascontiguousarray(weights[name], "<f4")
        data[at : at + raw.nbytes] = raw.tobytes()
        places[name] = Place(at, raw.nbytes)
        at += raw.nbytes
    return data, places


def read_ours(path: Path) -> dict[str, NDArray[np.float32]]:
    """Every array of a file that :func:`write` wrote, by name.

    Raises:
        InvalidModel: It is no such file, or is damaged.
    """
    data = path.read_bytes()
    try:
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        found: dict[str, NDArray[np.float32]] = {}
        for name, held in header.items():
            start, end = (8 + length + int(offset) for offset in held["data_offsets"])
            if held["dtype"] != "F32" or not 8 + length <= start <= end <= len(data):
                raise InvalidModel(f"{name} in {path.name} is not where its header says, or no float32.")
            found[name] = np.frombuffer(data[start:end], "<f4").reshape(held["shape"]).copy()
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidModel(f"{path.name} cannot be read: {error!r}.") from error
    return found


def read(path: Path, called: str | None = None) -> dict[str, NDArray[np.float32]]:
    """Every array of a file by name, as float32; 16-bit and 64-bit floats are converted, whole numbers passed over.

    Errors name the file as *called*, where it has another name than its path.

    Raises:
        InvalidModel: *path* is no safetensors file, is cut short, or holds arrays of a kind that is not read.
    """
    import safetensors  # noqa: PLC0415 - only where models are added, and not on every machine that computes

    called = called or path.name
    try:
        found = safetensors.deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except OSError as error:
        raise InvalidModel(f"{called} cannot be read: {error.strerror}.") from error
    except Exception as error:  # The library's own error has no other root.
        raise InvalidModel(f"{called} is no whole safetensors file: {error}.") from error
    return {name: _array(called, name, held) for name, held in found if held["dtype"] not in _WHOLE}


def _array(called: str, name: str, held: Mapping[str, object]) -> NDArray[np.float32]:
    dtype, shape, data = held["dtype"], held["shape"], held["data"]
    assert isinstance(shape, list)
    assert isinstance(data, bytes | bytearray)
    if dtype == "BF16":  # The upper half of a float32.
        wide = np.frombuffer(data, "<u2").astype("<u4") << 16
        return wide.view("<f4").reshape(shape)
    if dtype not in _FLOATS:
        raise InvalidModel(f"{name} in {called} is of the kind {dtype}; 16-, 32- and 64-bit floats are read.")
    return np.frombuffer(data, _FLOATS[str(dtype)]).astype(np.float32).reshape(shape)

"""The safetensors format, as much of it as float32 weights need: a header in JSON, then the arrays, back to back.

The same weights give the same bytes, so their SHA-256 names them.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ALIGNMENT = 64


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

"""Writing safetensors."""

import json
import struct

import numpy as np

from workers.models import safetensors


def test_every_array_is_where_the_header_says() -> None:
    """Read back by the format's own description: eight bytes of length, JSON, then offsets from its end."""
    arrays = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array([7.5], np.float32)}

    data, places = safetensors.write(arrays)

    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    for name, array in arrays.items():
        start, end = header[name]["data_offsets"]
        raw = bytes(data[8 + length + start : 8 + length + end])
        np.testing.assert_array_equal(np.frombuffer(raw, "<f4").reshape(header[name]["shape"]), array)
        assert (places[name].offset, places[name].length) == (8 + length + start, array.nbytes)


def test_the_same_weights_give_the_same_bytes() -> None:
    """In whatever order they are handed over, so that their hash can name them."""
    one, two = np.ones(3, np.float32), np.zeros((2, 2), np.float32)

    assert safetensors.write({"x": one, "y": two})[0] == safetensors.write({"y": two, "x": one})[0]

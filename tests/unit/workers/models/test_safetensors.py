"""Writing safetensors."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from services.errors import InvalidModel
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


def test_what_was_written_is_read_by_both(tmp_path: Path) -> None:
    """By NumPy alone and by the format's own library."""
    weights = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "none": np.zeros((0, 4), np.float32)}
    path = tmp_path / "weights.safetensors"
    path.write_bytes(safetensors.write(weights)[0])

    for found in (safetensors.read_ours(path), safetensors.read(path)):
        assert found.keys() == weights.keys()
        assert all((found[name] == array).all() and found[name].shape == array.shape for name, array in weights.items())


@pytest.mark.parametrize("content", [b"", b"\0" * 7, b"\2" + b"\0" * 7 + b"[]", b"\xff" * 16])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)

    for read in (safetensors.read_ours, safetensors.read):
        with pytest.raises(InvalidModel):
            read(path)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(safetensors.write({"x": np.ones(9, np.float32)})[0][:-4])

    for read in (safetensors.read_ours, safetensors.read):
        with pytest.raises(InvalidModel):
            read(path)

"""Static int8 from a table of ranges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import InvalidModel
from workers.models import quantisation
from workers.models.facenet_graph import Network
from workers.models.quantisation import Range

finite = st.floats(-1e4, 1e4, width=32)


@given(low=finite, high=finite)
def test_zero_is_exact_and_the_range_is_covered(low: float, high: float) -> None:
    """Padding is zero, so an error in it would be in every border pixel."""
    low, high = min(low, high), max(low, high)

    scale, zero = Range(low, high).quantised()

    ends = (np.array([0, 255]) - float(zero)) * float(scale)
    assert scale > 0
    assert ends[0] <= min(low, 0) + scale
    assert ends[1] >= max(high, 0) - scale


def test_a_table_without_a_tensor_is_refused() -> None:
    """Rather than quantised with a made-up range."""
    from onnx import helper

    nodes = [helper.make_node("Relu", ["pixels"], ["input"])] * 2
    network = Network([*nodes, helper.make_node("MaxPool", ["seen"], ["out"], kernel_shape=[3, 3])], {})

    with pytest.raises(InvalidModel, match="seen"):
        quantisation.quantise(network, {})


def test_narrow_weights_cannot_overflow_sixteen_bits() -> None:
    """Two products of an activation and a weight are added in 16 bits where there is no VNNI."""
    assert 2 * 255 * quantisation.NARROW <= np.iinfo(np.int16).max < 2 * 255 * quantisation.WIDE

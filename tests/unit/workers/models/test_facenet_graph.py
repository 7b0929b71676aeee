"""FaceNet translated into ONNX."""

import numpy as np
import pytest

from services.errors import InvalidModel
from workers.models import facenet_graph
from workers.models.bundle import Bundle
from workers.models.frozen_graph import Node


def test_fp32_says_of_real_faces_what_opencv_says_with_the_original_graph(bundle: Bundle) -> None:
    """The reference vectors are OpenCV 5.0.0's (benchmarks/opencv_parity.py), read from the graph without our code."""
    crops, expected = bundle.reference()

    vectors = bundle.embedder("fp32").embed(crops)

    assert (vectors * expected).sum(1).min() > 0.9999
    np.testing.assert_allclose(vectors, expected, atol=2e-6)


def test_another_graph_is_refused() -> None:
    """A node that FaceNet does not have at that place is no reason to guess."""
    stray = Node("stray", "MatMul", ("input", "weights"), {})

    with pytest.raises(InvalidModel):
        facenet_graph.translate([stray])

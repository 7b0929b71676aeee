"""Reading a frozen TensorFlow graph."""

from pathlib import Path

import pytest

from services.errors import InvalidModel
from workers.models import casia_webface, frozen_graph


def test_the_wheels_graph_is_read_whole() -> None:
    """As many operations of each kind as TensorFlow itself counts in it."""
    nodes = frozen_graph.read(casia_webface.graph_path())

    counted = {op: sum(node.op == op for node in nodes) for op in ("Const", "Conv2D", "ConcatV2", "MatMul")}
    assert (len(nodes), counted) == (793, {"Const": 318, "Conv2D": 132, "ConcatV2": 23, "MatMul": 1})
    assert sum(array.size for array in frozen_graph.constants(nodes).values()) == 23_469_414


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x0a\xff\xff\xff\x7f"], ids=["empty", "text", "cut off"])
def test_another_file_is_refused(content: bytes, tmp_path: Path) -> None:
    """With the error for models, whatever protobuf makes of it."""
    (tmp_path / "graph.pb").write_bytes(content)

    with pytest.raises(InvalidModel):
        frozen_graph.read(tmp_path / "graph.pb")

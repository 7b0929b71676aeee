"""Reads a frozen TensorFlow graph (a serialised ``GraphDef``) without TensorFlow.

The few message types that a frozen graph is made of are described here at run time, field by field as TensorFlow numbers
them (``tensorflow/core/framework/{graph,node_def,attr_value,tensor,tensor_shape}.proto``); what is left out is skipped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
from numpy.typing import NDArray

from services.errors import InvalidModel

Attribute = bytes | int | float | tuple[int, ...] | NDArray[Any]
"""What an attribute of a node holds; types and shapes are left out."""

_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bytes": _FIELD.TYPE_BYTES,
    "string": _FIELD.TYPE_STRING,
    "int64": _FIELD.TYPE_INT64,
    "int32": _FIELD.TYPE_INT32,
    "float": _FIELD.TYPE_FLOAT,
    "bool": _FIELD.TYPE_BOOL,
}
# message: field: (number, type, repeated). A capital begins the name of another message.
_MESSAGES: Mapping[str, Mapping[str, tuple[int, str, bool]]] = {
    "GraphDef": {"node": (1, "NodeDef", True)},
    "NodeDef": {
        "name": (1, "string", False),
        "op": (2, "string", False),
        "input": (3, "string", True),
        "attr": (5, "Entry", True),
    },
    "Entry": {"key": (1, "string", False), "value": (2, "AttrValue", False)},
    "AttrValue": {
        "list": (1, "ListValue", False),
        "s": (2, "bytes", False),
        "i": (3, "int64", False),
        "f": (4, "float", False),
        "b": (5, "bool", False),
        "tensor": (8, "TensorProto", False),
    },
    "ListValue": {"i": (3, "int64", True)},
    "TensorProto": {
        "dtype": (1, "int32", False),
        "tensor_shape": (2, "Shape", False),
        "tensor_content": (4, "bytes", False),
        "float_val": (5, "float", True),
        "int_val": (7, "int32", True),
    },
    "Shape": {"dim": (2, "Dimension", True)},
    "Dimension": {"size": (1, "int64", False)},
}
_DTYPES = {1: np.dtype("<f4"), 3: np.dtype("<i4")}


@dataclass(frozen=True, slots=True)
class Node:
    """One operation: what it computes, from the outputs of which nodes, with which attributes."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]


def read(path: Path) -> list[Node]:
    """The nodes of the frozen graph in *path*, in the file's order, which need not be topological.

    Raises:
        InvalidModel: *path* holds no frozen graph, or one with constants that are neither float32 nor int32.
    """
    graph = _graph_class()()
    try:
        graph.ParseFromString(path.read_bytes())
    except message.DecodeError as error:
        raise InvalidModel(f"{path.name} is not a frozen TensorFlow graph.") from error
    if not graph.node:
        raise InvalidModel(f"{path.name} holds no node of a TensorFlow graph.")
    return [_node(node) for node in graph.node]


def _node(node: Any) -> Node:  # noqa: ANN401 - a message class made at run time
    inputs = tuple(name.removeprefix("^").split(":")[0] for name in node.input)
    held = ((entry.key, _attribute(entry.value)) for entry in node.attr)
    return Node(node.name, node.op, inputs, {key: value for key, value in held if value is not None})


def _attribute(value: Any) -> Attribute | None:  # noqa: ANN401 - a message class made at run time
    fields = value.ListFields()
    if not fields:
        return None
    descriptor, held = fields[0]
    if descriptor.name == "list":
        return tuple(held.i)
    if descriptor.name == "tensor":
        return _tensor(held)
    return cast("Attribute", held)


def _tensor(tensor: Any) -> NDArray[Any]:  # noqa: ANN401 - a message class made at run time
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if tensor.dtype not in _DTYPES:
        raise InvalidModel(
            f"A constant of the graph has the TensorFlow type {tensor.dtype}; float32 and int32 are read."
        )
    dtype = _DTYPES[tensor.dtype]
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, dtype).reshape(shape)
    values = np.array(tensor.float_val if dtype.kind == "f" else tensor.int_val, dtype)
    # TensorFlow writes a constant of equal values as its first one.
    return np.full(shape, values[0]) if values.size == 1 else values.reshape(shape)


def _graph_class() -> Any:  # noqa: ANN401 - a message class made at run time
    file = descriptor_pb2.FileDescriptorProto(name="frozen_graph.proto", package="frozen", syntax="proto3")
    for name, fields in _MESSAGES.items():
        file.message_type.add(name=name, field=[_field(key, *of) for key, of in fields.items()])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("frozen.GraphDef"))


def _field(name: str, number: int, kind: str, repeated: bool) -> descriptor_pb2.FieldDescriptorProto:
    label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
    if kind in _SCALARS:
        return _FIELD(name=name, number=number, label=label, type=_SCALARS[kind])
    return _FIELD(name=name, number=number, label=label, type=_FIELD.TYPE_MESSAGE, type_name=f".frozen.{kind}")


def constants(nodes: Sequence[Node]) -> dict[str, NDArray[Any]]:
    """The constants among *nodes*, by name."""
    return {node.name: cast("NDArray[Any]", node.attributes["value"]) for node in nodes if node.op == "Const"}

"""A face embedder that somebody brings as ONNX: looked through before anything runs it, and given the form of our own.

In that form it takes (n, side, side, 3) uint8 RGB and gives (n, dimension) float32 of norm 1: colour order, mean, standard
deviation and layout become nodes before it, the norm one behind it. One that takes a single face keeps n = 1.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from services.errors import InvalidModel
from workers.models import facenet_graph
from workers.models.describing import Described

OWN = "colega/"
"""Begins the names of the nodes that are put before and behind."""

_DOMAINS = {"", "ai.onnx"}
_LOOPS = {"Loop", "Scan", "SequenceMap"}
_OLDEST_OPSET = 7
_LARGE_BYTES = 1024
_INPUTS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8}
_OUTPUTS = {TensorProto.FLOAT, TensorProto.FLOAT16}


@dataclass(frozen=True, slots=True)
class Found:
    """Where faces go into a graph, and where vectors come out."""

    model: onnx.ModelProto
    taken: onnx.ValueInfoProto
    given: onnx.ValueInfoProto
    alone: bool
    """It takes one face at a time."""


def looked_through(content: bytes, described: Described) -> Found:
    """Read a model and see that it is what *described* says, as far as that shows without running it.

    Raises:
        InvalidModel: It is no ONNX model, takes or gives something else, or has parts that are not run here: operators of
            other domains, loops, data in other files.
    """
    model = parsed(content)
    graph = model.graph
    initialised = {item.name for item in graph.initializer}
    taken = _chosen([item for item in graph.input if item.name not in initialised], described.input_name, "input")
    given = _chosen(list(graph.output), described.output_name, "output")
    if any(node.name.startswith(OWN) for node in graph.node):
        raise InvalidModel(f"The model has a node whose name begins with {OWN}; such names are kept for colega's own.")
    _check_type(taken, _INPUTS, "takes")
    _check_type(given, _OUTPUTS, "gives")
    shape = _shape(taken)
    side, expected = described.size_px, (3, described.size_px, described.size_px)
    if described.layout == "NHWC":
        expected = (side, side, 3)
    if len(shape) != 4 or any(found not in {None, wanted} for found, wanted in zip(shape[1:], expected, strict=True)):
        raise InvalidModel(
            f"The model's input {taken.name} has the shape {_told(shape)}; the description means (n, {expected[0]}, "
            f"{expected[1]}, {expected[2]}), {described.layout}."
        )
    if shape[0] not in {None, 1}:
        raise InvalidModel(f"The model takes {shape[0]} faces at a time; it must take any number, or one.")
    return Found(model, taken, given, shape[0] == 1)


def parsed(content: bytes, *, weights_in: str | None = None) -> onnx.ModelProto:
    """The model in *content*, if nothing in it is of a kind that is not run here.

    Args:
        content: The ONNX file.
        weights_in: The one other file in which data may lie, as in a bundle.

    Raises:
        InvalidModel: It is no ONNX model, or has operators of other domains, loops, or data in other files.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise InvalidModel("The file is no ONNX model.") from error
    if not model.graph.node or not model.graph.output or not model.opset_import:
        raise InvalidModel("The file is no ONNX model: it has no graph.")
    _check_operators(model)
    if outside := next((tensor.name for tensor in _tensors(model.graph) if _is_outside(tensor, weights_in)), None):
        raise InvalidModel(f"The model keeps {outside} in another file; save it with its weights inside.")
    if weights_in is not None:
        return model  # The checker would look for the other file.
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # The checker's own error, and what its parser raises.
        raise InvalidModel(f"The file is no valid ONNX model: {' '.join(str(error).split())[:200]}") from error
    return model


def wrapped(found: Found, described: Described, *, alone: bool) -> onnx.ModelProto:
    """*found* in the form of our own, with its weights inside; *alone* takes one face at a time."""
    model = onnx.ModelProto()
    model.CopyFrom(found.model)
    graph, side = model.graph, described.size_px
    kind = found.taken.type.tensor_type.elem_type
    before, arrays = _before(found.taken.name, described, kind)
    behind = _behind(found.given, described)
    nodes = [*before, *graph.node, *behind]
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    count = 1 if alone else "n"
    shapes: Sequence[Sequence[Any]] = ([count, side, side, 3], [count, described.dimension])
    graph.input.append(helper.make_tensor_value_info(facenet_graph.INPUT, TensorProto.UINT8, shapes[0]))
    graph.output.append(helper.make_tensor_value_info(facenet_graph.OUTPUT, TensorProto.FLOAT, shapes[1]))
    del model.metadata_props[:]
    model.producer_name, model.doc_string, graph.doc_string = "colega", "", ""
    return model


def weights_of(model: onnx.ModelProto) -> dict[str, NDArray[np.float32]]:
    """The float32 weights of any size, by name; others stay in the graph."""
    held = {
        item.name: numpy_helper.to_array(item)
        for item in model.graph.initializer
        if item.data_type == TensorProto.FLOAT and not item.name.startswith(OWN)
    }
    return {name: np.ascontiguousarray(array) for name, array in held.items() if array.nbytes >= _LARGE_BYTES}


def _check_operators(model: onnx.ModelProto) -> None:
    if foreign := sorted({opset.domain for opset in model.opset_import} - _DOMAINS):
        raise InvalidModel(f"The model uses operators of the domain {foreign[0]}; only ONNX's own are run here.")
    if len(model.functions):
        raise InvalidModel("The model defines operators of its own; export it with them written out.")
    if min(opset.version for opset in model.opset_import) < _OLDEST_OPSET:
        raise InvalidModel(f"The model is older than opset {_OLDEST_OPSET}; export it anew.")
    for graph in _graphs(model.graph):
        for node in graph.node:
            if node.domain not in _DOMAINS:
                raise InvalidModel(
                    f"The model uses {node.op_type} of the domain {node.domain}; only ONNX's own are run here."
                )
            if node.op_type in _LOOPS:
                raise InvalidModel(f"The model uses {node.op_type}; a face embedder needs no loop.")


def _before(name: str, described: Described, kind: int) -> tuple[list[onnx.NodeProto], Mapping[str, NDArray[Any]]]:
    """From pixels to what the model takes."""
    at = facenet_graph.INPUT
    nodes: list[onnx.NodeProto] = []
    arrays: dict[str, NDArray[Any]] = {}

    def put(op: str, *more: str, **attributes: Any) -> None:  # noqa: ANN401 - ONNX's
        nonlocal at
        output = f"{OWN}{op.lower()}_{len(nodes)}"
        nodes.append(helper.make_node(op, [at, *more], [output], name=output, **attributes))
        at = output

    if described.channels == "BGR":
        arrays[f"{OWN}bgr"] = np.array([2, 1, 0])
        put("Gather", f"{OWN}bgr", axis=3)
    put("Cast", to=TensorProto.FLOAT)
    for op, values, neutral in (("Sub", described.mean, 0.0), ("Div", described.std, 1.0)):
        if any(value != neutral for value in values):
            arrays[f"{OWN}{op.lower()}"] = np.array(values, np.float32)
            put(op, f"{OWN}{op.lower()}")
    if described.layout == "NCHW":
        put("Transpose", perm=[0, 3, 1, 2])
    if kind != TensorProto.FLOAT:
        put("Cast", to=kind)
    nodes[-1].output[0] = name
    return nodes, arrays


def _behind(given: onnx.ValueInfoProto, described: Described) -> list[onnx.NodeProto]:
    """From what the model gives to rows of norm 1; one whose rows are said to be that is left as it is."""
    flat, single = f"{OWN}rows", f"{OWN}float"
    last = facenet_graph.OUTPUT
    nodes = [helper.make_node("Flatten", [given.name], [flat], name=flat, axis=1)]
    nodes.append(helper.make_node("Cast", [flat], [single], name=single, to=TensorProto.FLOAT))
    if described.normalised:
        nodes.append(helper.make_node("Identity", [single], [last], name=f"{OWN}identity"))
    else:
        nodes.append(helper.make_node("LpNormalization", [single], [last], name=f"{OWN}norm", axis=1, p=2))
    return nodes


def _chosen(found: Sequence[onnx.ValueInfoProto], name: str | None, what: str) -> onnx.ValueInfoProto:
    names = ", ".join(item.name for item in found) or "none"
    if name is not None:
        chosen = [item for item in found if item.name == name]
        if not chosen:
            raise InvalidModel(f"The model has no {what} {name}; it has {names}.")
        return chosen[0]
    if len(found) != 1:
        raise InvalidModel(
            f"The model has {len(found)} {what}s ({names[:200]}); say which in the description's {what}.name."
        )
    return found[0]


def _check_type(item: onnx.ValueInfoProto, known: AbstractSet[int], verb: str) -> None:
    kind = item.type.tensor_type.elem_type
    if kind not in known:
        told = TensorProto.DataType.Name(kind) if kind in TensorProto.DataType.values() else str(kind)
        raise InvalidModel(f"The model {verb} {item.name} as {told}; a face embedder takes pixels and gives floats.")


def _shape(item: onnx.ValueInfoProto) -> list[int | None]:
    dims = item.type.tensor_type.shape.dim
    return [dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in dims]


def _told(shape: Sequence[int | None]) -> str:
    return f"({', '.join('n' if size is None else str(size) for size in shape)})"


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """*graph* and those inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs] if attribute.g.node or attribute.graphs else []:
                yield from _graphs(inner)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    for each in _graphs(graph):
        yield from each.initializer
        for sparse in each.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        for node in each.node:
            for attribute in node.attribute:
                yield from (attribute.t, *attribute.tensors)


def _is_outside(tensor: onnx.TensorProto, weights_in: str | None) -> bool:
    if tensor.data_location != TensorProto.EXTERNAL and not tensor.external_data:
        return False
    return weights_in is None or any(e.value != weights_in for e in tensor.external_data if e.key == "location")

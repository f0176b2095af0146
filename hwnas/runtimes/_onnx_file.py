"""What an ``.onnx`` file says of itself, read from its protobuf; no runtime is needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hwnas.errors import ExportError
from hwnas.runtimes.base import Description, Tensor, precision_of

_OWN = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"}
"""Domains whose operators ONNX Runtime brings."""
_WORKING = {"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN"}
"""Operators that multiply by weights, in the type that they are given."""
_WHOLE = {"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "QGemm"}
"""Those that multiply whole numbers."""
_COUNTING = {"int32", "int64", "bool"}
_MUST_COMPUTE = "an .onnx file must compute something to be measured"
_EIGHT_BITS = {"int8", "uint8"}


def describe(path: Path) -> Description:
    """Inputs, outputs, operators and precision of a file; weights in files beside it are not read.

    Raises:
        ExportError: It is damaged, no ``.onnx`` model, newer than the installed onnx, or computes nothing; or
            a file beside it that has its weights is not there.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        found = _described(onnx.load(str(path), load_external_data=False))
    except (DecodeError, TypeError, ValueError) as error:
        raise ExportError(
            f"an .onnx file must be one of ONNX, but this one is damaged, or of another format: {error}"
        ) from error
    if gone := [name for name in found.beside if not (path.parent / name).is_file()]:
        raise ExportError(
            f"an .onnx file must have the files with its weights beside it, but this one lacks "
            f"{', '.join(gone)}: put them there, or save it as one file"
        )
    return found


def _described(model: Any) -> Description:
    graph = model.graph
    if not (model.ir_version and model.HasField("graph")):
        raise ValueError("it holds no graph")
    if not graph.node:
        raise ExportError(f"{_MUST_COMPUTE}, but this one has no operators")
    if not graph.output:
        raise ExportError(f"{_MUST_COMPUTE}, but this one has no outputs")
    nodes = [node for inner in (graph, *model.functions) for node in _nodes(inner)]
    local = {(function.domain, function.name) for function in model.functions}
    weights = {tensor.name for tensor in graph.initializer}
    custom = {
        _text(node.op_type)
        for node in nodes
        if node.domain not in _OWN and (node.domain, node.op_type) not in local
    }
    return Description(
        tuple(_tensor(value) for value in graph.input if value.name not in weights),
        tuple(_tensor(value) for value in graph.output),
        dict(sorted(Counter(_text(node.op_type) for node in nodes).items())),
        _precision(graph, nodes),
        tuple(sorted(custom)),
        beside=tuple(sorted({_location(tensor) for tensor in _tensors(graph, nodes)} - {""})),
    )


def _tensors(graph: Any, nodes: Sequence[Any]) -> Iterator[Any]:
    """All that have values: weights, and constants."""
    for inner in (graph, *(found for node in nodes for found in _inner(node))):
        yield from inner.initializer
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        yield attribute.t
        yield from attribute.tensors


def _location(tensor: Any) -> str:
    """The file beside the model that the values of a tensor are in; empty where they are in the model."""
    from onnx import TensorProto

    if tensor.data_location != TensorProto.EXTERNAL:
        return ""
    return next((_text(entry.value) for entry in tensor.external_data if entry.key == "location"), "")


def _text(value: str | bytes) -> str:
    """A name, which protobuf gives as bytes where it is no text."""
    if isinstance(value, bytes):
        raise ValueError("a name in it is no text")
    return value


def _nodes(graph: Any) -> Iterator[Any]:
    """The operators of a graph or a function, and of the graphs within them: branches and bodies of loops."""
    for node in graph.node:
        yield node
        for inner in _inner(node):
            yield from _nodes(inner)


def _inner(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _precision(graph: Any, nodes: Sequence[Any]) -> str:
    """By the types of what goes into the operators with weights; by those of the ends where none has any."""
    graphs = [graph, *(inner for node in nodes for inner in _inner(node))]
    types = dict(pair for inner in graphs for pair in _known_types(inner))
    working = [_multiplied(node, types) for node in nodes if node.op_type in _WORKING | _WHOLE]
    ends = [{_dtype(value.type.tensor_type.elem_type)} - _COUNTING for value in (*graph.input, *graph.output)]
    return precision_of([found for found in working if found] or ends)


def _multiplied(node: Any, types: Mapping[str, str]) -> set[str]:
    """Types of what an operator multiplies.

    Files seldom say those of values between operators: they are floats, unless they are made of whole
    numbers on purpose. So whole weights beside one that is not said are weights that are stored so alone.
    """
    found = {types[name] for name in node.input if name in types} - _COUNTING
    is_said = all(name in types for name in node.input if name)
    if node.op_type in _WORKING and not is_said and found <= _EIGHT_BITS:
        found.add("float32")
    return found


def _known_types(graph: Any) -> Iterator[tuple[str, str]]:
    """Names of values with what they are computed in: constants, ends, and what stands for whole numbers."""
    constants = {tensor.name: _dtype(tensor.data_type) for tensor in graph.initializer}
    yield from constants.items()
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield value.name, _dtype(value.type.tensor_type.elem_type)
    for node in graph.node:
        yield from _of_node(node, constants)


def _of_node(node: Any, constants: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if node.op_type == "DequantizeLinear":  # a quantised graph in QDQ form: ONNX Runtime takes the pair away
        zero_point = node.input[2] if len(node.input) > 2 else ""
        yield node.output[0], constants.get(zero_point) or constants.get(node.input[0]) or "uint8"
    elif node.op_type == "Constant":
        for attribute in node.attribute:
            if attribute.name == "value":
                yield node.output[0], _dtype(attribute.t.data_type)


def _tensor(value: Any) -> Tensor:
    kind = value.type.tensor_type
    sizes = tuple(
        int(size.dim_value) if size.HasField("dim_value") and size.dim_value >= 0 else None
        for size in kind.shape.dim
    )
    shape = sizes if kind.HasField("shape") else None
    dtype = _dtype(kind.elem_type) if value.type.HasField("tensor_type") else "no tensor"
    return Tensor(_text(value.name), shape, dtype)


def _dtype(number: int) -> str:
    from onnx import TensorProto

    if number not in TensorProto.DataType.values():
        raise ExportError(
            f"an .onnx file must be of types that the installed onnx knows, but this one has type {number}: "
            "the file is newer, or damaged: update onnx, or fetch the file again"
        )
    name = str(TensorProto.DataType.Name(number)).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)

"""What a ``.tflite`` file says of itself, read from its flatbuffer; no runtime is needed."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from hwnas.errors import ExportError, in_words
from hwnas.runtimes.base import Description, Tensor, precision_of

_MAGIC = b"TFL3"
_LEAST = 4  # bytes of the smallest entry of a list: more entries than fit are a sign of damage
_DAMAGES = (struct.error, LookupError, TypeError, ValueError, ArithmeticError, AttributeError)
_WORKING = {
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "TRANSPOSE_CONV",
    "CONV_3D",
    "CONV_3D_TRANSPOSE",
    "FULLY_CONNECTED",
    "BATCH_MATMUL",
    "LSTM",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
    "RNN",
    "SVDF",
}
"""Operators that multiply by weights."""
_CONVERTING = {"QUANTIZE", "DEQUANTIZE", "CAST"}
_CALLING = {"IF", "WHILE", "CALL", "CALL_ONCE"}
"""Operators that run other graphs of their file; those of StableHLO may as well."""
_MUST_COMPUTE = "a .tflite file must compute something to be measured"
_COUNTING = {"int32", "int64", "uint32", "uint64", "bool", "string"}
"""Types of shapes, indices and biases: no operator multiplies in them."""


def describe(path: Path) -> Description:
    """Inputs, outputs, operators and precision of a file.

    Raises:
        ExportError: It is damaged, no ``.tflite`` model, newer than the schema, or computes nothing.
    """
    content = path.read_bytes()
    if content[4:8] != _MAGIC:
        raise ExportError(
            "a .tflite file must have TFL3 in its first eight bytes, but this one has not: it is damaged, or "
            "of another format"
        )
    try:
        return _described(content)
    except _DAMAGES as error:
        why = "it ends too early" if isinstance(error, struct.error) else in_words(error)
        raise ExportError(f"a .tflite file must be whole, but in this one {why}: fetch it again") from error


def _described(content: bytes) -> Description:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    for number in _all(model.BuffersLength(), content):
        buffer = model.Buffers(number)
        if buffer.DataLength():
            buffer.Data(buffer.DataLength() - 1)  # raises where the end of the file is missing
    if model.SubgraphsLength() < 1:
        raise ValueError("it holds no graph")
    operators, working, custom = [], [], set()
    for number in _all(model.SubgraphsLength(), content):
        graph = model.Subgraphs(number)
        types = [_dtype(graph.Tensors(n).Type()) for n in _all(graph.TensorsLength(), content)]
        for index in _all(graph.OperatorsLength(), content):
            operator = graph.Operators(index)
            name, is_custom = _name(model.OperatorCodes(operator.OpcodeIndex()))
            operators.append(name)
            if is_custom:
                custom.add(name)
            working.append((name, _multiplied(operator, types)))
    graph = model.Subgraphs(0)
    if not operators:
        raise ExportError(f"{_MUST_COMPUTE}, but this one has no operators")
    if not graph.OutputsLength():
        raise ExportError(f"{_MUST_COMPUTE}, but this one has no outputs")
    return Description(
        tuple(_tensor(graph.Tensors(graph.Inputs(n))) for n in _all(graph.InputsLength(), content)),
        tuple(_tensor(graph.Tensors(graph.Outputs(n))) for n in _all(graph.OutputsLength(), content)),
        dict(sorted(Counter(operators).items())),
        precision_of(
            [types for name, types in working if name in _WORKING]
            or [types for name, types in working if name not in _CONVERTING]
        ),
        tuple(sorted(custom)),
        _entries(model, operators, content),
    )


def _entries(model: Any, operators: list[str], content: bytes) -> int:
    """How many graphs can be run from outside: those of signatures; all where no operator calls one."""
    calls = any(name in _CALLING or name.startswith("STABLEHLO") for name in operators)
    if not calls:
        return int(model.SubgraphsLength())
    signed = {model.SignatureDefs(n).SubgraphIndex() for n in _all(model.SignatureDefsLength(), content)}
    return len(signed | {0})


def _all(count: int, content: bytes) -> Iterator[int]:
    if count > len(content) // _LEAST:
        raise ValueError(f"it speaks of {count} entries, which it cannot hold")
    return iter(range(count))


def _multiplied(operator: Any, types: list[str]) -> set[str]:
    read = (operator.Inputs(n) for n in range(operator.InputsLength()))
    return {types[index] for index in read if index >= 0} - _COUNTING


def _tensor(tensor: Any) -> Tensor:
    """The signature says which dimensions are open; the shape holds 1 for them."""
    shape = [int(tensor.Shape(n)) for n in range(tensor.ShapeLength())]
    signed = [int(tensor.ShapeSignature(n)) for n in range(tensor.ShapeSignatureLength())]
    sizes = tuple(None if size < 0 else size for size in (signed or shape))
    return Tensor((tensor.Name() or b"").decode(), sizes, _dtype(tensor.Type()))


def _name(code: Any) -> tuple[str, bool]:
    """The name of an operator, and whether it is a custom one."""
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    name = _named("BuiltinOperator", number)
    return ((code.CustomCode() or b"CUSTOM").decode(), True) if name == "CUSTOM" else (name, False)


def _dtype(number: int) -> str:
    return _named("TensorType", number).lower()


def _named(kind: str, number: int) -> str:
    """The name of a member of an enumeration; raises ExportError where the installed schema has none."""
    if number not in _names(kind):
        raise ExportError(
            "a .tflite file must be of operators and types that the installed ai-edge-litert knows, but this "
            f"one has {kind} {number}: the file is newer, or damaged: update ai-edge-litert, or fetch the "
            "file again"
        )
    return _names(kind)[number]


@cache
def _names(kind: str) -> dict[int, str]:
    """The names of an enumeration of the schema, by their numbers."""
    from ai_edge_litert import schema_py_generated as schema

    return {n: name for name, n in vars(getattr(schema, kind)).items() if isinstance(n, int)}

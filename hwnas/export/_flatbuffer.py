"""Writes TFLite flatbuffers with the object API of the schema that ai-edge-litert ships."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from hwnas.errors import ExportError

SIGNATURE = "serving_default"
ALIGNMENT = 16  # bytes; the schema demands it of every buffer

_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int32): schema.TensorType.INT32,
}
_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A buffer whose data start at a multiple of 16 bytes, which the stock packer does not see to."""

    def Pack(self, builder: Any) -> int:
        """Write the data, then the table; returns its offset."""
        if self.data is not None:
            builder.Prep(ALIGNMENT, len(self.data))
        return int(super().Pack(builder))


class Writer:
    """Collects tensors and operators of one subgraph, then packs them.

    Tensors are named by their index in the subgraph.
    """

    def __init__(self) -> None:
        self._buffers: list[Any] = [schema.BufferT()]  # the schema wants buffer 0 empty
        self._codes: dict[int, int] = {}
        self._tensors: list[Any] = []
        self._operators: list[Any] = []

    def tensor(self, name: str, shape: Sequence[int]) -> int:
        """A float32 tensor that is computed at run time."""
        return self._tensor(name, shape, np.dtype(np.float32), buffer=0)

    def constant(self, name: str, value: np.ndarray) -> int:
        """A float32 or int32 tensor with fixed content."""
        self._buffers.append(_aligned(np.ascontiguousarray(value).reshape(-1).view(np.uint8)))
        return self._tensor(name, value.shape, value.dtype, buffer=len(self._buffers) - 1)

    def operator(self, op: str, inputs: Sequence[int], outputs: Sequence[int], options: Any = None) -> None:
        """Append an operator, for example ``"CONV_2D"`` with a ``Conv2DOptionsT``."""
        code = getattr(schema.BuiltinOperator, op)
        node = schema.OperatorT()
        node.opcodeIndex = self._codes.setdefault(code, len(self._codes))
        node.inputs = np.asarray(inputs, np.int32)
        node.outputs = np.asarray(outputs, np.int32)
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            node.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            node.builtinOptions = options
        self._operators.append(node)

    def finish(self, sources: Sequence[int], results: Sequence[int], versions: Mapping[str, int]) -> bytes:
        """The file, with one signature.

        Args:
            sources: Tensors that go in; the signature calls them by their names.
            results: Tensors that come out.
            versions: Of operators; of others it is 1.
        """
        graph = schema.SubGraphT()
        graph.name = "main"
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs = np.asarray(sources, np.int32), np.asarray(results, np.int32)
        model = schema.ModelT()
        model.version = 3
        model.description = "hwnas"
        model.operatorCodes = [_operator_code(code, versions) for code in self._codes]
        model.subgraphs = [graph]
        model.buffers = self._buffers
        signature = schema.SignatureDefT()
        signature.signatureKey = SIGNATURE
        signature.subgraphIndex = 0
        signature.inputs, signature.outputs = self._named(sources), self._named(results)
        model.signatureDefs = [signature]
        return _pack(model)

    def _named(self, tensors: Sequence[int]) -> list[Any]:
        """The entries of a signature."""
        entries = []
        for index in tensors:
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = self._tensors[index].name, index
            entries.append(entry)
        return entries

    def _tensor(self, name: str, shape: Sequence[int], dtype: np.dtype[Any], buffer: int) -> int:
        tensor = schema.TensorT()
        tensor.name = name
        tensor.shape = np.asarray(shape, np.int32)
        tensor.type = _TYPES[dtype]
        tensor.buffer = buffer
        self._tensors.append(tensor)
        return len(self._tensors) - 1


def _aligned(data: np.ndarray) -> Any:
    buffer = _AlignedBuffer()
    buffer.data = data  # an array is copied at once, anything else byte by byte
    return buffer


def _operator_code(code: int, versions: Mapping[str, int]) -> Any:
    result = schema.OperatorCodeT()
    result.builtinCode = code
    result.deprecatedBuiltinCode = min(code, 127)
    result.version = versions.get(_NAMES[code], 1)
    return result


def _pack(model: Any) -> bytes:
    size = sum(len(buffer.data) for buffer in model.buffers if buffer.data is not None)
    builder = flatbuffers.Builder(size + (1 << 16))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def read(model: bytes) -> Any:
    """The model as objects; the data of its buffers are views of the file."""
    result = schema.ModelT.InitFromPackedBuf(model)
    for buffer in result.buffers:
        if buffer.offset > 1:  # larger buffers may lie behind the flatbuffer
            buffer.data = np.frombuffer(model, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return result


def computed_tensors(model: bytes) -> dict[int, str]:
    """Index and name of every tensor that is not a constant."""
    graph = schema.Model.GetRootAs(model).Subgraphs(0)
    tensors = ((index, graph.Tensors(index)) for index in range(graph.TensorsLength()))
    return {index: tensor.Name().decode() for index, tensor in tensors if tensor.Buffer() == 0}


def repack(quantized: bytes, versions: Mapping[str, int]) -> bytes:
    """The same int8 model with aligned buffers and the versions that its operators must have at least."""
    model = read(quantized)
    for code in model.operatorCodes:
        name = operator_name(code)
        code.version = max(code.version, versions.get(name, 1))
    return _pack_aligned(model)


def with_metadata(file: bytes, name: str, content: bytes) -> bytes:
    """The same model with a metadata entry; one of the same name is replaced."""
    model = read(file)
    entries = {_text(entry.name): entry for entry in model.metadata or ()}
    if name in entries:
        buffer = model.buffers[entries[name].buffer]
    else:
        buffer, entry = schema.BufferT(), schema.MetadataT()
        entry.name, entry.buffer = name, len(model.buffers)
        model.buffers.append(buffer)
        model.metadata = [*(model.metadata or ()), entry]
    buffer.data = np.frombuffer(content, np.uint8)
    return _pack_aligned(model)


def metadata(file: bytes) -> dict[str, bytes]:
    """Content of every metadata entry, by name.

    Raises:
        ExportError: The file is no TFLite model.
    """
    try:
        model = read(file)
        return {
            _text(entry.name): np.asarray(model.buffers[entry.buffer].data, np.uint8).tobytes()
            for entry in model.metadata or ()
        }
    except (struct.error, ValueError, IndexError, TypeError, AttributeError) as error:
        raise ExportError(f"a TFLite model must be a readable flatbuffer, but: {error}") from error


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _pack_aligned(model: Any) -> bytes:
    model.buffers = [
        buffer if buffer.data is None or not len(buffer.data) else _aligned(buffer.data)
        for buffer in model.buffers
    ]
    return _pack(model)


def operator_name(code: Any) -> str:
    """Name of an operator code, for example ``CONV_2D``."""
    return str(_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)])

"""Writes a graph as an ExecuTorch program for XNNPACK; ExecuTorch itself is only needed to run it.

ExecuTorch's own exporter takes seconds for a block and more for a network: it traces the module, decomposes,
verifies and partitions it, and for int8 traces it twice. A graph has all that XNNPACK must be told, so it is
told here, in XNNPACK's own schema (``schema.fbs`` of ExecuTorch) and the way that exporter does it:
channels last inside, channels first and float32 at both ends.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import singledispatchmethod
from hashlib import sha256
from typing import Any

import numpy as np

from hwnas.export import _levels
from hwnas.export._graph import (
    Arithmetic,
    Concat,
    Conv,
    Graph,
    HardSwish,
    Linear,
    MaxPool,
    Node,
    Pool,
    Resize,
    Shuffle,
    Sigmoid,
    Slice,
    Tensor,
)
from hwnas.export._levels import Levels
from hwnas.export._program import program
from hwnas.export._tables import Table, pack
from hwnas.runtimes._pte_file import NODES

_FLOAT, _INT8, _INT8_BY_CHANNEL, _INT32_BY_CHANNEL = 1, 3, 6, 7  # of XNNDatatype
_PLAIN, _QUANTIZED = 1, 2  # of XValueUnion
_BY_CHANNEL, _BY_TENSOR = 1, 2  # of XNNQuantParams
_INPUT, _OUTPUT = 1, 2  # flags of a value
_KEEP_DIMS = 64  # flag of pooling
_NONE = 2**32 - 1  # no value
_NAMED = 2**64 - 1  # the place of a constant that is found by its name
_TO_LAST, _TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
_LIMITS = {"relu": (0.0, np.inf), "relu6": (0.0, 6.0)}
_HEADER = "<4x4sHIIIQ"


def write(graph: Graph, batches: Sequence[np.ndarray] | None) -> bytes:
    """A program of one method, which XNNPACK runs in one piece.

    Args:
        graph: The network.
        batches: Images for the ranges of int8: for each input an array of shape (batches, *input shape);
            None for fp32.

    Raises:
        ExportError: Values on these images are none that int8 can show.
    """
    levels: Mapping[str, Levels] = {}
    if batches is not None:
        graph, levels = _levels.of(graph, batches)
    lowering = _Lowering(graph.results, levels)
    for source in graph.sources:
        lowering.enter(source)
    for node in graph.nodes:
        lowering.add(node)
    for result in graph.results:
        lowering.leave(result)
    sources, results = ([t.shape for t in tensors] for tensors in (graph.sources, graph.results))
    return program(lowering.finish(), lowering.constants, sources, results)


class _Lowering:
    """Maps nodes to XNNPACK's one by one.

    Args:
        results: What comes out.
        levels: Of every tensor by name; of none for fp32.

    Attributes:
        constants: Their content by a name that only the content decides.
    """

    def __init__(self, results: Sequence[Tensor], levels: Mapping[str, Levels]) -> None:
        self.constants: dict[str, bytes] = {}
        self._results = tuple(results)
        self._levels = levels
        self._ids: dict[str, int] = {}
        self._values: list[Table] = []
        self._nodes: list[Table] = []
        self._data: list[Table] = [{0: np.uint64(0), 1: np.uint64(0)}]  # of what is no constant
        self._ends: list[tuple[int, int]] = []  # the number and the flag of each, in their order

    def enter(self, source: Tensor) -> None:
        """Take an input of the program."""
        levels = self._levels.get(source.name)
        value = self._value(source.shape, flag=_INPUT)
        if levels is not None:
            outside, value = value, self._value(source.shape, levels)
            self._emit("Convert", outside, value, 0)
        self._ids[source.name] = self._value(_nhwc(source.shape), levels)
        self._transpose(value, _TO_LAST, self._ids[source.name])

    def leave(self, result: Tensor) -> None:
        """Give an output of the program; a node has given it where there is nothing left to do."""
        shape, levels = result.shape, self._levels.get(result.name)
        value = self._ids[result.name]
        if len(shape) == 4:
            inside, value = value, self._value(shape, levels, flag=0 if levels else _OUTPUT)
            self._transpose(inside, _TO_FIRST, value)
        if levels is not None:
            self._emit("Convert", value, self._value(shape, flag=_OUTPUT), 0)
        elif len(shape) != 4 and not self._is_given(result):
            self._reshape(value, shape, self._value(shape, flag=_OUTPUT))

    def finish(self) -> bytes:
        """The graph as XNNPACK's delegate takes it."""
        sources, results = ([n for n, flag in self._ends if flag == end] for end in (_INPUT, _OUTPUT))
        root = {
            0: "0",
            1: self._nodes,
            2: self._values,
            3: np.uint32(len(self._ends)),
            4: np.array(sources, np.uint32),
            5: np.array(results, np.uint32),
            8: self._data,
        }
        content, start = pack(root, b"XN01"), 32
        end = -(-(start + len(content)) // 16) * 16  # where constants would be that have no name
        header = struct.pack(_HEADER, b"XH00", struct.calcsize(_HEADER), start, len(content), end, 0)
        return (header.ljust(start, b"\0") + content).ljust(end, b"\0")

    @singledispatchmethod
    def add(self, node: Any) -> None:
        """Append what computes one node."""
        raise TypeError(f"no ExecuTorch lowering of {type(node).__name__}")

    @add.register
    def _(self, node: Conv) -> None:
        out, channels, *kernel = node.weight.shape
        (top, bottom), (left, right) = node.padding
        is_depthwise = channels == 1
        numbers = [top, right, bottom, left, *kernel, *node.stride, *node.dilation, channels]
        numbers.append(out // node.groups)
        order = (1, 2, 3, 0) if is_depthwise else (0, 2, 3, 1)
        weights = self._weights(node, node.weight.transpose(order), axis=order.index(0))
        ends = self._ids[node.source.name], *weights, self._made(node)
        name = "DepthwiseConv2d" if is_depthwise else "Conv2d"
        self._emit(name, *numbers, node.groups, 0, 0, *ends, 0, fused=node.fused)

    @add.register
    def _(self, node: Linear) -> None:
        weights = self._weights(node, node.weight, axis=0)
        ends = self._ids[node.source.name], *weights, self._made(node)
        self._emit("FullyConnected", *ends, 0, fused=node.fused)

    @add.register
    def _(self, node: Arithmetic) -> None:
        other = self._ids[node.other.name] if isinstance(node.other, Tensor) else self._number(node.other)
        name = "Add" if node.op == "add" else "Multiply"
        self._emit(name, self._ids[node.source.name], other, self._made(node), 0, fused=node.fused)

    @add.register
    def _(self, node: HardSwish) -> None:
        self._emit("Hardswish", self._ids[node.source.name], self._made(node), 0)

    @add.register
    def _(self, node: Sigmoid) -> None:
        self._emit("Sigmoid", self._ids[node.source.name], self._made(node), 0)

    @add.register
    def _(self, node: Pool) -> None:
        source, is_flat = self._ids[node.source.name], len(node.result.shape) == 2
        if not is_flat:
            self._emit("GlobalAvgPooling2d", source, self._made(node), _KEEP_DIMS)
            return
        n, channels = node.result.shape
        pooled = self._value((n, 1, 1, channels), self._levels.get(node.result.name))
        self._emit("GlobalAvgPooling2d", source, pooled, _KEEP_DIMS)
        self._reshape(pooled, node.result.shape, self._made(node))

    @add.register
    def _(self, node: MaxPool) -> None:
        (top, bottom), (left, right) = node.padding
        numbers = top, right, bottom, left, *node.kernel, *node.stride, 1, 1
        self._emit("MaxPooling2d", *numbers, self._ids[node.source.name], self._made(node), _KEEP_DIMS)

    @add.register
    def _(self, node: Slice) -> None:
        offsets = np.array([0, 0, 0, node.start], np.uint32)
        sizes = np.array(_nhwc(node.result.shape), np.uint32)
        self._emit("StaticSlice", 4, offsets, sizes, self._ids[node.source.name], self._made(node), 0)

    @add.register
    def _(self, node: Concat) -> None:
        parts = [self._ids[source.name] for source in node.sources]
        ends = *parts, *[_NONE] * (4 - len(parts)), self._made(node)
        self._emit(f"Concatenate{len(parts)}", 3, *ends, 0, _NONE)

    @add.register
    def _(self, node: Resize) -> None:
        height, width = node.result.shape[2:]
        self._emit("StaticResizeBilinear2D", height, width, self._ids[node.source.name], self._made(node), 0)

    @add.register
    def _(self, node: Shuffle) -> None:
        n, h, w, c = _nhwc(node.source.shape)
        levels = self._levels.get(node.result.name)
        split = self._value((n * h * w, node.groups, c // node.groups), levels)
        swapped = self._value((n * h * w, c // node.groups, node.groups), levels)
        self._reshape(self._ids[node.source.name], (n * h * w, node.groups, c // node.groups), split)
        self._transpose(split, (0, 2, 1), swapped)
        self._reshape(swapped, (n, h, w, c), self._made(node))

    def _made(self, node: Node) -> int:
        """The value of what a node makes."""
        shape, levels = node.result.shape, self._levels.get(node.result.name)
        flag = _OUTPUT if self._is_given(node.result) else 0
        self._ids[node.result.name] = self._value(_nhwc(shape), levels, flag=flag)
        return self._ids[node.result.name]

    def _is_given(self, tensor: Tensor) -> bool:
        """Whether its node gives it as the output; several outputs must be given in their order."""
        is_float = tensor.name not in self._levels
        return self._results == (tensor,) and is_float and len(tensor.shape) == 2

    def _weights(self, node: Conv | Linear, weight: np.ndarray, axis: int) -> tuple[int, int]:
        """Values of weights, in the order in which they are given, and of biases."""
        levels = self._levels.get(node.source.name)
        if levels is None:
            return self._constant(weight.astype(np.float32)), self._constant(node.bias.astype(np.float32))
        numbers, steps = _levels.of_weights(weight, axis)
        bias_steps = (steps * np.float32(levels.step)).astype(np.float32)
        biases = np.rint(node.bias / bias_steps).astype(np.int32)
        return (
            self._by_channel(_INT8_BY_CHANNEL, numbers, steps, axis),
            self._by_channel(_INT32_BY_CHANNEL, biases, bias_steps, 0),
        )

    def _number(self, number: float) -> int:
        """The value of a number that is computed with."""
        content = np.array([number])
        if not self._levels:
            return self._constant(content.astype(np.float32))
        levels = _levels.between(number, number)
        return self._value(content.shape, levels, data=self._stored(levels.numbers(content)))

    def _constant(self, content: np.ndarray) -> int:
        return self._value(content.shape, data=self._stored(content))

    def _by_channel(self, kind: int, numbers: np.ndarray, steps: np.ndarray, axis: int) -> int:
        """A constant value in whole numbers whose channels have steps of their own."""
        tensor = self._tensor(kind, numbers.shape, data=self._stored(numbers))
        scales = {1: np.int32(axis), 2: np.uint32(self._stored(steps)), 3: np.uint32(len(steps))}
        quantized = {0: tensor, 1: np.uint8(_BY_CHANNEL), 2: {0: np.array([], np.float32)} | scales}
        self._values.append({0: np.uint8(_QUANTIZED), 1: quantized})
        return len(self._values) - 1

    def _stored(self, content: np.ndarray) -> int:
        """Index of a constant's content."""
        raw = np.ascontiguousarray(content).tobytes()
        name = sha256(raw).hexdigest()
        self.constants[name] = raw
        self._data.append({0: np.uint64(_NAMED), 1: np.uint64(len(raw)), 2: name})
        return len(self._data) - 1

    def _value(
        self, shape: tuple[int, ...], levels: Levels | None = None, *, flag: int = 0, data: int = 0
    ) -> int:
        """A value, in float32 where it has no levels; returns its number."""
        tensor = self._tensor(_FLOAT if levels is None else _INT8, shape, flag=flag, data=data)
        if flag:
            self._ends.append((len(self._values), flag))
        if levels is None:
            self._values.append({0: np.uint8(_PLAIN), 1: tensor})
        else:
            scale = {0: np.float32(levels.step), 1: np.int32(levels.zero)}
            quantized = {0: tensor, 1: np.uint8(_BY_TENSOR), 2: scale}
            self._values.append({0: np.uint8(_QUANTIZED), 1: quantized})
        return len(self._values) - 1

    def _tensor(self, kind: int, shape: tuple[int, ...], *, flag: int = 0, data: int = 0) -> Table:
        """What the next value is."""
        numbers = len(shape), data, len(self._ends) if flag else _NONE, flag, len(self._values)
        rank, place, external, flags, own = map(np.uint32, numbers)
        dims = np.array(shape, np.uint32)
        return {0: np.int16(kind), 1: rank, 2: dims, 3: place, 4: external, 5: flags, 6: own}

    def _emit(self, name: str, *fields: int | np.ndarray, fused: str = "none") -> None:
        """Append an operator: its fields in the order of the schema."""
        table = {n: f if isinstance(f, np.ndarray) else np.uint32(f) for n, f in enumerate(fields)}
        node: dict[int, Any] = {0: np.uint8(NODES.index(name) + 1), 1: table}
        if fused in _LIMITS:
            node[3] = dict(enumerate(map(np.float32, _LIMITS[fused])))
        self._nodes.append(node)

    def _transpose(self, source: int, order: Sequence[int], result: int) -> None:
        self._emit("StaticTranspose", len(order), np.array(order, np.uint32), source, result, 0)

    def _reshape(self, source: int, shape: Sequence[int], result: int) -> None:
        self._emit("StaticReshape", len(shape), np.array(shape, np.uint32), source, result, 0)


def _nhwc(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) != 4:
        return shape
    n, c, h, w = shape
    return n, h, w, c

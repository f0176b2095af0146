"""Writes a graph as float32 TFLite, NHWC."""

from __future__ import annotations

from functools import singledispatchmethod
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from hwnas.export._flatbuffer import Writer
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

_FUSED = {
    "none": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}

VERSIONS = {
    "fp32": {"RESIZE_BILINEAR": 3},  # of half-pixel centres
    "int8": {
        "CONV_2D": 3,
        "DEPTHWISE_CONV_2D": 3,
        "FULLY_CONNECTED": 4,
        "ADD": 2,
        "MUL": 2,
        "MEAN": 2,
        "PAD": 2,
        "TRANSPOSE": 2,
        "MAX_POOL_2D": 2,
        "SLICE": 2,
        "CONCATENATION": 2,
        "RESIZE_BILINEAR": 3,
        "LOGISTIC": 2,
    },
    "16x8": {
        "CONV_2D": 4,
        "DEPTHWISE_CONV_2D": 5,
        "FULLY_CONNECTED": 7,
        "ADD": 3,
        "MUL": 4,
        "MEAN": 3,
        "PAD": 3,
        "TRANSPOSE": 5,
        "MAX_POOL_2D": 3,
        "SLICE": 4,
        "CONCATENATION": 3,
        "RESIZE_BILINEAR": 4,
        "LOGISTIC": 3,
    },
}
"""Of operators by precision (from TensorFlow's ``op_version.cc``); of others it is 1."""


def write(graph: Graph) -> bytes:
    """A TFLite file with the signature ``serving_default``: ``x`` (n, h, w, c), ``x1`` ... to ``y`` ..."""
    lowering = _Lowering()
    sources = [lowering.index(source) for source in graph.sources]
    for node in graph.nodes:
        lowering.add(node)
    results = [lowering.index(result) for result in graph.results]
    return lowering.writer.finish(sources, results, VERSIONS["fp32"])


class _Lowering:
    """Maps nodes to TFLite operators one by one."""

    def __init__(self) -> None:
        self.writer = Writer()
        self._indices: dict[str, int] = {}

    def index(self, tensor: Tensor) -> int:
        """Index of a run-time tensor; it is made on first sight."""
        if tensor.name not in self._indices:
            self._indices[tensor.name] = self.writer.tensor(tensor.name, _nhwc(tensor.shape))
        return self._indices[tensor.name]

    def _constant(self, node: Node, what: str, value: Any, dtype: type = np.float32) -> int:
        return self.writer.constant(f"{node.result.name}/{what}", np.asarray(value, dtype))

    def _emit(self, op: str, node: Node, inputs: list[int], options: Any = None) -> None:
        self.writer.operator(op, inputs, [self.index(node.result)], options)

    @singledispatchmethod
    def add(self, node: Any) -> None:
        """Append the operators of one node."""
        raise TypeError(f"no TFLite lowering of {type(node).__name__}")

    @add.register
    def _(self, node: Conv) -> None:
        channels = node.source.shape[1]
        depthwise = node.groups == channels > 1
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        if depthwise:
            options.depthMultiplier = len(node.weight) // channels
        options.strideH, options.strideW = node.stride
        options.dilationHFactor, options.dilationWFactor = node.dilation
        options.fusedActivationFunction = _FUSED[node.fused]
        source, options.padding = self._padded(node, node.window)
        order = (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)
        weight = self._constant(node, "weight", node.weight.transpose(order))
        inputs = [source, weight, self._constant(node, "bias", node.bias)]
        self._emit("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", node, inputs, options)

    def _padded(self, node: Conv | MaxPool, window: tuple[int, int]) -> tuple[int, int]:
        """The input of a sliding window and its padding scheme.

        SAME puts the odd row of padding at the end, PyTorch at the start: where a network does
        otherwise, which is at stride 2 on even sizes, the padding becomes an operator of its own.
        """
        same, needed = True, []
        for axis in (0, 1):
            length, size = node.source.shape[2 + axis], node.result.shape[2 + axis]
            before, step, kernel = node.padding[axis][0], node.stride[axis], window[axis]
            total = max((size - 1) * step + kernel - length, 0)
            same = same and before == total // 2 and size == -(-length // step)
            needed.append((before, max(total - before, 0)))
        if same:
            return self.index(node.source), schema.Padding.SAME
        n, c, h, w = node.source.shape
        shape = (n, c, h + sum(needed[0]), w + sum(needed[1]))
        result = self.index(Tensor(f"{node.result.name}/padded", shape))
        pads = self._constant(node, "pads", [(0, 0), *needed, (0, 0)], np.int32)
        self.writer.operator("PAD", [self.index(node.source), pads], [result], schema.PadOptionsT())
        return result, schema.Padding.VALID

    @add.register
    def _(self, node: Linear) -> None:
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = _FUSED[node.fused]
        weight, bias = self._constant(node, "weight", node.weight), self._constant(node, "bias", node.bias)
        self._emit("FULLY_CONNECTED", node, [self.index(node.source), weight, bias], options)

    @add.register
    def _(self, node: Arithmetic) -> None:
        options = schema.AddOptionsT() if node.op == "add" else schema.MulOptionsT()
        options.fusedActivationFunction = _FUSED[node.fused]
        if isinstance(node.other, Tensor):
            other = self.index(node.other)
        else:
            other = self._constant(node, "number", node.other)
        self._emit(node.op.upper(), node, [self.index(node.source), other], options)

    @add.register
    def _(self, node: HardSwish) -> None:
        self._emit("HARD_SWISH", node, [self.index(node.source)], schema.HardSwishOptionsT())

    @add.register
    def _(self, node: Sigmoid) -> None:
        self._emit("LOGISTIC", node, [self.index(node.source)])

    @add.register
    def _(self, node: Pool) -> None:
        options = schema.ReducerOptionsT()
        options.keepDims = len(node.result.shape) == 4
        axes = self._constant(node, "axes", (1, 2), np.int32)
        self._emit("MEAN", node, [self.index(node.source), axes], options)

    @add.register
    def _(self, node: MaxPool) -> None:
        options = schema.Pool2DOptionsT()
        options.filterHeight, options.filterWidth = node.kernel
        options.strideH, options.strideW = node.stride
        options.fusedActivationFunction = _FUSED["none"]
        source, options.padding = self._padded(node, node.kernel)
        self._emit("MAX_POOL_2D", node, [source], options)

    @add.register
    def _(self, node: Slice) -> None:
        begin = self._constant(node, "begin", (0, 0, 0, node.start), np.int32)
        size = self._constant(node, "size", _nhwc(node.result.shape), np.int32)
        self._emit("SLICE", node, [self.index(node.source), begin, size], schema.SliceOptionsT())

    @add.register
    def _(self, node: Concat) -> None:
        options = schema.ConcatenationOptionsT()
        options.axis = 3
        options.fusedActivationFunction = _FUSED["none"]
        self._emit("CONCATENATION", node, [self.index(source) for source in node.sources], options)

    @add.register
    def _(self, node: Resize) -> None:
        options = schema.ResizeBilinearOptionsT()
        options.alignCorners, options.halfPixelCenters = False, True
        size = self._constant(node, "size", node.result.shape[2:], np.int32)
        self._emit("RESIZE_BILINEAR", node, [self.index(node.source), size], options)

    @add.register
    def _(self, node: Shuffle) -> None:
        n, h, w, c = _nhwc(node.source.shape)
        name = node.result.name
        split = self.writer.tensor(f"{name}/split", (n * h * w, node.groups, c // node.groups))
        swapped = self.writer.tensor(f"{name}/swapped", (n * h * w, c // node.groups, node.groups))
        self._reshape(node, self.index(node.source), (n * h * w, node.groups, c // node.groups), split)
        axes = self._constant(node, "axes", (0, 2, 1), np.int32)
        self.writer.operator("TRANSPOSE", [split, axes], [swapped], schema.TransposeOptionsT())
        self._reshape(node, swapped, (n, h, w, c), self.index(node.result))

    def _reshape(self, node: Node, source: int, shape: tuple[int, ...], result: int) -> None:
        options = schema.ReshapeOptionsT()
        options.newShape = np.asarray(shape, np.int32)
        target = self._constant(node, f"shape{len(shape)}", shape, np.int32)
        self.writer.operator("RESHAPE", [source, target], [result], options)


def _nhwc(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) != 4:
        return shape
    n, c, h, w = shape
    return n, h, w, c

"""Writes a graph as float32 ONNX, NCHW."""

from __future__ import annotations

from functools import singledispatchmethod
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from hwnas.export._graph import (
    Arithmetic,
    Concat,
    Conv,
    Fused,
    Graph,
    HardSwish,
    Linear,
    MaxPool,
    Pool,
    Resize,
    Shuffle,
    Sigmoid,
    Slice,
    Tensor,
)

OPSET = 17
IR_VERSION = 8  # the one that came with the opset; helper would take the newest


def write(graph: Graph) -> ModelProto:
    """An ONNX model from ``x``, ``x1`` ... to ``y`` ..., all (n, c, h, w) or (n, features)."""
    lowering = _Lowering()
    for node in graph.nodes:
        lowering.add(node)
    made = {result.name for result in graph.results}
    body = helper.make_graph(
        lowering.nodes,
        "main",
        [_value(source) for source in graph.sources],
        [_value(result) for result in graph.results],
        lowering.initializers,
        value_info=[info for info in lowering.values if info.name not in made],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(body, opset_imports=opsets, ir_version=IR_VERSION, producer_name="hwnas")


class _Lowering:
    """Maps nodes to ONNX operators one by one."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.values: list[ValueInfoProto] = []
        self.initializers: list[TensorProto] = []

    def _constant(self, name: str, value: Any, dtype: type = np.float32) -> str:
        self.initializers.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def _emit(self, op: str, inputs: list[str], result: Tensor, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(op, inputs, [result.name], name=result.name, **attributes))
        self.values.append(_value(result))

    def _emit_fused(
        self, op: str, inputs: list[str], result: Tensor, fused: Fused, **attributes: Any
    ) -> None:
        """An operator and the activation that follows it; ONNX Runtime fuses them again."""
        before = result if fused == "none" else Tensor(f"{result.name}/linear", result.shape)
        self._emit(op, inputs, before, **attributes)
        if fused == "relu":
            self._emit("Relu", [before.name], result)
        elif fused == "relu6":
            low = self._constant(f"{result.name}/min", 0)
            high = self._constant(f"{result.name}/max", 6)
            self._emit("Clip", [before.name, low, high], result)

    @singledispatchmethod
    def add(self, node: Any) -> None:
        """Append the operators of one node."""
        raise TypeError(f"no ONNX lowering of {type(node).__name__}")

    @add.register
    def _(self, node: Conv) -> None:
        name = node.result.name
        weight = self._constant(f"{name}/weight", node.weight)
        bias = self._constant(f"{name}/bias", node.bias)
        self._emit_fused(
            "Conv",
            [node.source.name, weight, bias],
            node.result,
            node.fused,
            kernel_shape=node.weight.shape[2:],
            strides=node.stride,
            pads=_pads(node),
            group=node.groups,
            **({} if node.dilation == (1, 1) else {"dilations": node.dilation}),
        )

    @add.register
    def _(self, node: Linear) -> None:
        name = node.result.name
        weight = self._constant(f"{name}/weight", node.weight)
        bias = self._constant(f"{name}/bias", node.bias)
        self._emit_fused("Gemm", [node.source.name, weight, bias], node.result, node.fused, transB=1)

    @add.register
    def _(self, node: Arithmetic) -> None:
        other = node.other
        name = (
            other.name if isinstance(other, Tensor) else self._constant(f"{node.result.name}/number", other)
        )
        self._emit_fused(node.op.title(), [node.source.name, name], node.result, node.fused)

    @add.register
    def _(self, node: HardSwish) -> None:
        self._emit("HardSwish", [node.source.name], node.result)

    @add.register
    def _(self, node: Sigmoid) -> None:
        self._emit("Sigmoid", [node.source.name], node.result)

    @add.register
    def _(self, node: Pool) -> None:
        if len(node.result.shape) == 4:
            self._emit("GlobalAveragePool", [node.source.name], node.result)
        else:
            pooled = Tensor(f"{node.result.name}/pooled", (*node.source.shape[:2], 1, 1))
            self._emit("GlobalAveragePool", [node.source.name], pooled)
            self._emit("Flatten", [pooled.name], node.result, axis=1)

    @add.register
    def _(self, node: MaxPool) -> None:
        self._emit(
            "MaxPool",
            [node.source.name],
            node.result,
            kernel_shape=node.kernel,
            strides=node.stride,
            pads=_pads(node),
        )

    @add.register
    def _(self, node: Slice) -> None:
        name = node.result.name
        bounds = {"start": node.start, "stop": node.stop, "axis": 1}
        inputs = [self._constant(f"{name}/{what}", [value], np.int64) for what, value in bounds.items()]
        self._emit("Slice", [node.source.name, *inputs], node.result)

    @add.register
    def _(self, node: Concat) -> None:
        self._emit("Concat", [source.name for source in node.sources], node.result, axis=1)

    @add.register
    def _(self, node: Resize) -> None:
        sizes = self._constant(f"{node.result.name}/sizes", node.result.shape, np.int64)
        self._emit("Resize", [node.source.name, "", "", sizes], node.result, mode="linear")  # half_pixel

    @add.register
    def _(self, node: Shuffle) -> None:
        n, c, h, w = node.source.shape
        groups, name = node.groups, node.result.name
        split = Tensor(f"{name}/split", (n, groups, c // groups, h * w))
        swapped = Tensor(f"{name}/swapped", (n, c // groups, groups, h * w))
        shape = self._constant(f"{name}/split_shape", split.shape, np.int64)
        self._emit("Reshape", [node.source.name, shape], split)
        self._emit("Transpose", [split.name], swapped, perm=(0, 2, 1, 3))
        shape = self._constant(f"{name}/shape", node.result.shape, np.int64)
        self._emit("Reshape", [swapped.name, shape], node.result)


def _pads(node: Conv | MaxPool) -> tuple[int, ...]:
    """Zeros above and to the left, then below and to the right."""
    height, width = node.padding
    return height[0], width[0], height[1], width[1]


def _value(tensor: Tensor) -> ValueInfoProto:
    return helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.shape)

"""Reads an ONNX file, float32 or int8 in the form of QuantizeLinear and DequantizeLinear.

Whole numbers are read as what they stand for; operators between constants are computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from hwnas.blocks.layers import Pads
from hwnas.errors import ExportError
from hwnas.export._graph import Concat, Linear, Resize, Tensor, window_size
from hwnas.importing._layout import Recorder
from hwnas.importing._onnx import OnnxCall, dequantised
from hwnas.importing._signs import Signs
from hwnas.importing.raw import Pad, RawGraph, Reshape, Transpose, unknown

_SIXTH = 1 / 6
_DEQUANTISED = "whole numbers were read as the values that they stand for"


def read(model: onnx.ModelProto) -> tuple[RawGraph, bool]:
    """What a model computes, and whether it computes in whole numbers.

    Raises:
        ExportError: It computes something that is not read.
    """
    reader = _Reader(model)
    return reader.run(), reader.is_whole


class _Reader:
    """Walks the operators of a model."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._opsets = model.opset_import
        self._out = Recorder()
        self._values: dict[str, Tensor | np.ndarray] = {
            each.name: numpy_helper.to_array(each) for each in model.graph.initializer
        }
        self.is_whole = False

    def run(self) -> RawGraph:
        graph = self._model.graph
        named = next(each for each in graph.input if each.name not in self._values)
        source = Tensor(named.name, tuple(d.dim_value for d in named.type.tensor_type.shape.dim))
        self._values[source.name] = source
        self._signs = Signs(self._model, source.name)
        for node in graph.node:
            self._take(node)
        result = self._values.get(graph.output[0].name)
        if not isinstance(result, Tensor):
            raise ExportError("a model must compute its output from its input, but does not")
        return self._out.finish(source, result)

    def _take(self, node: onnx.NodeProto) -> None:
        inputs = [self._values[name] if name else None for name in node.input]
        place = node.name or node.output[0]
        if node.op_type == "Shape" and isinstance(inputs[0], Tensor):
            self._values[node.output[0]] = np.array(inputs[0].shape, np.int64)
            return
        if not any(isinstance(each, Tensor) for each in inputs):
            self._compute(node, place)
            return
        if node.op_type not in _HANDLERS or node.domain not in ("", "ai.onnx"):
            raise unknown(node.op_type, place)
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        made = _HANDLERS[node.op_type](self, OnnxCall(node, place, inputs, attributes))
        several = made if isinstance(made, list) else [made]
        self._values.update(zip(node.output, several, strict=False))
        self._signs.see(node.op_type, inputs, several)

    def _compute(self, node: onnx.NodeProto, place: str) -> None:
        """An operator of constants alone."""
        if node.op_type == "DequantizeLinear":  # which onnx computes of newer versions alone
            axis = next((each.i for each in node.attribute if each.name == "axis"), 1)
            self._values[node.output[0]] = dequantised(
                axis, *(np.asarray(self._values[n]) for n in node.input)
            )
            return
        given = {name: np.asarray(self._values[name]) for name in node.input if name}
        graph = helper.make_graph(
            [node],
            "constant",
            [helper.make_empty_tensor_value_info(name) for name in given],
            [helper.make_empty_tensor_value_info(name) for name in node.output],
        )
        try:
            model = helper.make_model(graph, opset_imports=self._opsets)
            made: Any = ReferenceEvaluator(model).run(None, given)
        except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            raise unknown(node.op_type, place, f"it cannot be computed: {error}") from error
        self._values.update(zip(node.output, made, strict=True))

    # One method an operator

    def _conv(self, call: OnnxCall) -> Tensor:
        x, weight = call.tensor(0), call.array(1)
        kernel, (stride, dilation) = weight.shape[2:], (call.ints("strides", 2), call.ints("dilations", 2))
        bias = call.array(2) if call.has(2) else None
        pads = call.pads(x, [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)], stride)
        groups = int(call.attributes.get("group", 1))
        return self._out.convolve(call.name, x, weight, bias, stride, pads, dilation, groups)

    def _norm(self, call: OnnxCall) -> Tensor:
        weight, bias, mean, variance = (call.array(number) for number in range(1, 5))
        epsilon = call.attributes.get("epsilon", 1e-5)
        return self._out.norm(call.name, call.tensor(0), mean, variance + epsilon, weight, bias)

    def _function(self, call: OnnxCall) -> Tensor:
        function = {"HardSwish": "hswish", "Relu": "relu", "Sigmoid": "sigmoid"}[call.node.op_type]
        return self._out.apply(call.name, call.tensor(0), function)

    def _hard_sigmoid(self, call: OnnxCall) -> Tensor:
        alpha, beta = call.attributes.get("alpha", 0.2), call.attributes.get("beta", 0.5)
        if not (math.isclose(alpha, _SIXTH, rel_tol=1e-4) and beta == 0.5):
            raise unknown("HardSigmoid", call.place, f"its slope is {alpha:g}, not a sixth")
        return self._out.apply(call.name, call.tensor(0), "hsigmoid")

    def _clip(self, call: OnnxCall) -> Tensor:
        low = float(call.array(1)) if call.has(1) else call.attributes.get("min")
        high = float(call.array(2)) if call.has(2) else call.attributes.get("max")
        made = self._out.clip(call.name, "Clip", call.tensor(0), low, high)
        self._signs.add(made)
        return made

    def _arithmetic(self, call: OnnxCall) -> Tensor:
        left, right = (each if isinstance(each, Tensor) else np.asarray(each) for each in call.inputs)
        return self._out.combine(call.name, call.node.op_type.lower(), left, right)

    def _average(self, call: OnnxCall) -> Tensor:
        x = call.tensor(0)
        if call.node.op_type == "AveragePool":
            kernel, stride = call.ints("kernel_shape", 2), call.ints("strides", 2)
            pads = call.pads(x, kernel, stride)
            if any(map(any, pads)) and not call.attributes.get("count_include_pad", 0):
                raise unknown("AveragePool", call.place, "it does not divide by the pixels of its window")
            size = self._places(call, x, kernel, stride, pads)
            return self._out.average_of(call.name, "AveragePool", x, kernel, stride, pads, size)
        return self._out.average(call.name, x)

    def _mean(self, call: OnnxCall) -> Tensor:
        x, axes = call.tensor(0), call.numbers(1, "axes")
        if len(x.shape) != 4 or axes is None or {axis % 4 for axis in axes} != {2, 3}:
            raise unknown("ReduceMean", call.place, f"it is over the axes {axes}, not over height and width")
        return self._out.average(call.name, x, keeps=bool(call.attributes.get("keepdims", 1)))

    def _max_pool(self, call: OnnxCall) -> Tensor:
        x, kernel, stride = call.tensor(0), call.ints("kernel_shape", 2), call.ints("strides", 2)
        if any(step != 1 for step in call.ints("dilations", 2)):
            raise unknown("MaxPool", call.place, "it is dilated")
        pads = call.pads(x, kernel, stride)
        size = self._places(call, x, kernel, stride, pads)
        return self._out.max_pool(call.name, x, kernel, stride, pads, size)

    def _places(
        self, call: OnnxCall, x: Tensor, kernel: Sequence[int], stride: Sequence[int], pads: Pads
    ) -> Sequence[int]:
        """Places of a window, of which the last may look over the edge where the operator says so."""
        if not call.attributes.get("ceil_mode", 0):
            return window_size(x.shape[2:], kernel, stride, pads, (1, 1))
        sizes = [
            -(-(length + sum(pad) - window) // step) + 1
            for length, pad, window, step in zip(x.shape[2:], pads, kernel, stride, strict=True)
        ]
        begins = [(size - 1) * step for size, step in zip(sizes, stride, strict=True)]
        return [  # no window begins behind the edge
            size - (begin >= length + pad[0])
            for size, begin, length, pad in zip(sizes, begins, x.shape[2:], pads, strict=True)
        ]

    def _reshape(self, call: OnnxCall) -> Tensor:
        x = call.tensor(0)
        shape = [x.shape[n] if size == 0 else size for n, size in enumerate(call.numbers(1, "shape") or [])]
        return self._view(call, shape)

    def _flatten(self, call: OnnxCall) -> Tensor:
        axis = call.attributes.get("axis", 1)
        return self._view(call, [math.prod(call.tensor(0).shape[:axis]), -1])

    def _squeeze(self, call: OnnxCall) -> Tensor:
        x, axes = call.tensor(0), call.numbers(1, "axes")
        if axes is None:
            axes = [n for n, size in enumerate(x.shape) if size == 1]
        gone = {axis % len(x.shape) for axis in axes}
        return self._view(call, [size for n, size in enumerate(x.shape) if n not in gone])

    def _unsqueeze(self, call: OnnxCall) -> Tensor:
        x, axes = call.tensor(0), call.numbers(1, "axes") or []
        rank = len(x.shape) + len(axes)
        new, sizes = {axis % rank for axis in axes}, iter(x.shape)
        return self._view(call, [1 if n in new else next(sizes) for n in range(rank)])

    def _view(self, call: OnnxCall, shape: Sequence[int]) -> Tensor:
        """The same elements in a shape of which one size may be open."""
        x, known = call.tensor(0), math.prod(size for size in shape if size != -1)
        sizes = tuple(math.prod(x.shape) // known if size == -1 else int(size) for size in shape)
        return self._out.add(Reshape(x, Tensor(call.name, sizes)))

    def _transpose(self, call: OnnxCall) -> Tensor:
        x = call.tensor(0)
        order = tuple(call.attributes.get("perm", range(len(x.shape))[::-1]))
        return self._out.add(Transpose(x, Tensor(call.name, tuple(x.shape[n] for n in order)), order))

    def _gemm(self, call: OnnxCall) -> Tensor:
        scales = [call.attributes.get(name, 1.0) for name in ("alpha", "beta")]
        if call.attributes.get("transA", 0) or scales != [1, 1]:
            raise unknown("Gemm", call.place, "it scales, or turns its input")
        weight = call.array(1)
        bias = call.array(2).reshape(-1) if call.has(2) else None
        return self._linear(call, weight if call.attributes.get("transB", 0) else weight.T, bias)

    def _matmul(self, call: OnnxCall) -> Tensor:
        return self._linear(call, call.array(1).T, None)

    def _linear(self, call: OnnxCall, weight: np.ndarray, bias: np.ndarray | None) -> Tensor:
        x = call.tensor(0)
        if len(x.shape) != 2 or weight.ndim != 2:
            raise unknown(call.node.op_type, call.place, f"what it reads is of shape {x.shape}")
        shift = np.zeros(len(weight)) if bias is None else np.broadcast_to(bias, len(weight))
        return self._out.add(Linear(x, Tensor(call.name, (x.shape[0], len(weight))), weight, shift))

    def _concat(self, call: OnnxCall) -> Tensor:
        parts = [call.tensor(number) for number in range(len(call.inputs))]
        n, _, *size = parts[0].shape
        if call.attributes["axis"] % len(parts[0].shape) != 1:
            raise unknown("Concat", call.place, "it does not join channels")
        shape = (n, sum(part.shape[1] for part in parts), *size)
        return self._out.add(Concat(tuple(parts), Tensor(call.name, shape)))

    def _split(self, call: OnnxCall) -> list[Tensor]:
        x, count = call.tensor(0), len(call.node.output)
        if call.attributes.get("axis", 0) % len(x.shape) != 1:
            raise unknown("Split", call.place, "it does not divide channels")
        each = -(-x.shape[1] // count)
        sizes = call.numbers(1, "split") or [min(each, x.shape[1] - each * n) for n in range(count)]
        ends = np.cumsum([0, *sizes])
        return [
            self._out.cut(name, x, int(start), int(stop))
            for name, (start, stop) in zip(call.node.output, pairwise(ends), strict=True)
        ]

    def _slice(self, call: OnnxCall) -> Tensor:
        x = call.tensor(0)
        starts, stops = call.numbers(1, "starts") or [], call.numbers(2, "ends") or []
        axes = call.numbers(3, "axes") or list(range(len(starts)))
        steps = call.numbers(4, "steps") or [1] * len(starts)
        if [axis % len(x.shape) for axis in axes] != [1] or steps != [1]:
            raise unknown("Slice", call.place, "it does not take channels in a row")
        start, stop, _ = slice(starts[0], stops[0]).indices(x.shape[1])
        return self._out.cut(call.name, x, start, stop)

    def _pad(self, call: OnnxCall) -> Tensor:
        x, pads = call.tensor(0), call.numbers(1, "pads") or []
        value = float(call.array(2)) if call.has(2) else call.attributes.get("value", 0.0)
        mode = call.attributes.get("mode", b"constant")
        if (
            mode != b"constant"
            or value
            or len(pads) != 8
            or any(pads[n] for n in (0, 1, 4, 5))
            or min(pads) < 0
        ):
            raise unknown("Pad", call.place, "it does not put zeros around height and width")
        (top, left), (bottom, right) = pads[2:4], pads[6:8]
        shape = (*x.shape[:2], x.shape[2] + top + bottom, x.shape[3] + left + right)
        return self._out.add(Pad(x, Tensor(call.name, shape), ((top, bottom), (left, right))))

    def _resize(self, call: OnnxCall) -> Tensor:
        x = call.tensor(0)
        if call.has(3):
            sizes = [int(size) for size in call.array(3)]
        else:
            sizes = [round(n * s) for n, s in zip(x.shape, call.array(2), strict=True)]
        where = call.attributes.get("coordinate_transformation_mode", b"half_pixel")
        factors = {new / old for new, old in zip(sizes[2:], x.shape[2:], strict=True)}
        is_usual = call.attributes.get("mode", b"nearest") == b"linear" and where.endswith(b"half_pixel")
        if not is_usual or len(factors) != 1 or not all(f.is_integer() for f in factors):
            raise unknown(
                "Resize", call.place, "it is not bilinear, by a whole number, between pixel centres"
            )
        return self._out.add(Resize(x, Tensor(call.name, tuple(sizes))))

    def _softmax(self, call: OnnxCall) -> Tensor:
        if call.node.output[0] != self._model.graph.output[0].name:
            raise unknown("Softmax", call.place, "it is not at the end")
        return self._out.leave_softmax(call.tensor(0))

    def _quantize(self, call: OnnxCall) -> Tensor:
        x, scale = call.tensor(0), call.array(1)
        zero = call.array(2) if call.has(2) else np.zeros((), np.uint8)
        if scale.size != 1 or zero.dtype.kind not in "iu":
            raise unknown(
                "QuantizeLinear", call.place, "it has a scale for each channel, or no whole numbers"
            )
        if not self.is_whole:
            self._out.notes.say(_DEQUANTISED)
        self.is_whole = True
        function = self._signs.cut_off(call.name, x, float(scale.reshape(-1)[0]), zero)
        if not function:
            return x
        made = self._out.apply(call.name, x, function)
        self._signs.add(made)
        return made

    def _dequantize(self, call: OnnxCall) -> Tensor:
        return call.tensor(0)

    def _same(self, call: OnnxCall) -> Tensor:
        return call.tensor(0)


_HANDLERS: dict[str, Callable[[_Reader, OnnxCall], Tensor | list[Tensor]]] = {
    "Conv": _Reader._conv,
    "BatchNormalization": _Reader._norm,
    **dict.fromkeys(("Relu", "HardSwish", "Sigmoid"), _Reader._function),
    "HardSigmoid": _Reader._hard_sigmoid,
    "Clip": _Reader._clip,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _Reader._arithmetic),
    **dict.fromkeys(("GlobalAveragePool", "AveragePool"), _Reader._average),
    "ReduceMean": _Reader._mean,
    "MaxPool": _Reader._max_pool,
    "Reshape": _Reader._reshape,
    "Flatten": _Reader._flatten,
    "Squeeze": _Reader._squeeze,
    "Unsqueeze": _Reader._unsqueeze,
    "Transpose": _Reader._transpose,
    "Gemm": _Reader._gemm,
    "MatMul": _Reader._matmul,
    "Concat": _Reader._concat,
    "Split": _Reader._split,
    "Slice": _Reader._slice,
    "Pad": _Reader._pad,
    "Resize": _Reader._resize,
    "Softmax": _Reader._softmax,
    **dict.fromkeys(("Identity", "Dropout", "Cast"), _Reader._same),
    "QuantizeLinear": _Reader._quantize,
    "DequantizeLinear": _Reader._dequantize,
}
"""By the name of an operator."""

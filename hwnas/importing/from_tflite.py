"""Reads a TFLite file, float32 or int8; whole numbers are read as what they stand for."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.errors import ExportError
from hwnas.export._flatbuffer import operator_name
from hwnas.export._flatbuffer import read as parsed
from hwnas.export._graph import Concat, Linear, Resize, Shuffle, Tensor
from hwnas.importing._layout import Recorder
from hwnas.importing._tflite import Grouped, TFLiteCall, TFLiteTensors
from hwnas.importing.raw import ONE_TENSOR, Pad, RawGraph, Reshape, unknown

_DEQUANTISED = "whole numbers were read as the values that they stand for"
_DAMAGES = (struct.error, IndexError, TypeError, ValueError, AttributeError)


def read(path: Path) -> tuple[RawGraph, bool]:
    """What a file computes, and whether it computes in whole numbers.

    Raises:
        ExportError: It is damaged, or computes something that is not read.
    """
    try:
        model = parsed(path.read_bytes())
        graph = model.subgraphs[0]
        ends = len(graph.inputs), len(graph.outputs)
    except _DAMAGES as error:
        raise ExportError(f"a .tflite file must be whole, but {path} is not: {error}") from error
    if ends != (1, 1) or len(model.subgraphs) != 1:
        raise ExportError(
            f"a network must take one image and give one tensor to be imported, but {path} takes {ends[0]} "
            f"and gives {ends[1]}, in {len(model.subgraphs)} graphs: {ONE_TENSOR}"
        )
    reader = _Reader(model)
    return reader.run(), reader.is_whole


class _Reader:
    """Walks the operators of a file."""

    def __init__(self, model: Any) -> None:
        self._model, self._graph = model, model.subgraphs[0]
        self._tensors, self._out = TFLiteTensors(model), Recorder()
        made = (int(index) for operator in self._graph.operators for index in operator.outputs)
        self.is_whole = any(map(self._tensors.is_whole, made))

    def run(self) -> RawGraph:
        index = int(self._graph.inputs[0])
        shape = self._tensors.shape(index)
        if len(shape) != 4 or shape[0] != 1:
            raise ExportError(
                f"a network must take one image of height, width and channels, but this takes {shape}"
            )
        source = Tensor(self._tensors.names[index], _nchw(shape))
        self._tensors.values[index] = source
        if self.is_whole:
            self._out.notes.say(_DEQUANTISED)
        for operator in self._graph.operators:
            self._take(operator)
        result = self._tensors.values.get(int(self._graph.outputs[0]))
        if not isinstance(result, Tensor):
            raise ExportError("a file must compute its output from its input, but does not")
        return self._out.finish(source, result)

    def _take(self, operator: Any) -> None:
        name = operator_name(self._model.operatorCodes[operator.opcodeIndex])
        call = TFLiteCall(self._tensors, self._out, name, operator)
        if name == "DEQUANTIZE" and isinstance(call.value(0), np.ndarray):
            self._tensors.values[int(operator.outputs[0])] = call.array(0)
            return
        if name not in _HANDLERS:
            raise unknown(name, call.place)
        made = _HANDLERS[name](self, call)
        several = made if isinstance(made, list) else [made]
        self._tensors.values.update(zip(map(int, operator.outputs), several, strict=True))

    # One method an operator

    def _conv(self, call: TFLiteCall) -> Tensor:
        x, weight = call.tensor(0), call.array(1)
        channels = x.shape[1]
        if call.operator_name == "DEPTHWISE_CONV_2D":
            kernel, groups = weight.transpose(3, 0, 1, 2), channels
        else:
            kernel, groups = weight.transpose(0, 3, 1, 2), channels // weight.shape[3]
        options = call.options
        stride, dilation = call.strides, (options.dilationHFactor, options.dilationWFactor)
        pads = call.pads(x, [(k - 1) * d + 1 for k, d in zip(kernel.shape[2:], dilation, strict=True)])
        bias = call.array(2) if call.has(2) else None
        made = self._out.convolve(call.inner, x, kernel, bias, stride, pads, dilation, groups)
        return call.fused(made)

    def _linear(self, call: TFLiteCall) -> Tensor:
        x, weight = call.tensor(0), call.array(1)
        if x.shape[2:] == (1, 1):
            x = self._out.add(Reshape(x, Tensor(f"{call.name}/flat", x.shape[:2])))
        if len(x.shape) != 2:
            raise unknown(call.operator_name, call.place, f"what it reads is of shape {x.shape}")
        bias = call.array(2) if call.has(2) else np.zeros(len(weight))
        made = self._out.add(Linear(x, Tensor(call.inner, (x.shape[0], len(weight))), weight, bias))
        return call.fused(made)

    def _arithmetic(self, call: TFLiteCall) -> Tensor:
        sides = []
        for number in (0, 1):
            value = call.value(number)
            if isinstance(value, np.ndarray) and value.size > 1:
                rank = len(call.shape(1 - number))
                wide = value.reshape((1,) * (rank - value.ndim) + value.shape)
                value = wide.transpose(0, 3, 1, 2) if rank == 4 else wide
            if isinstance(value, Grouped):
                raise unknown(call.operator_name, call.place, "it reads channels in groups")
            sides.append(value)
        return call.fused(self._out.combine(call.inner, call.operator_name.lower(), *sides))

    def _function(self, call: TFLiteCall) -> Tensor:
        names = {"RELU": "relu", "RELU6": "relu6", "HARD_SWISH": "hswish", "LOGISTIC": "sigmoid"}
        return self._out.apply(call.name, call.tensor(0), names[call.operator_name])

    def _mean(self, call: TFLiteCall) -> Tensor:
        x, axes = call.tensor(0), {int(axis) % 4 for axis in call.array(1).reshape(-1)}
        if len(x.shape) != 4 or axes != {1, 2}:
            raise unknown(
                "MEAN", call.place, f"it is over the axes {sorted(axes)}, not over height and width"
            )
        return self._out.average(call.name, x, keeps=bool(call.options.keepDims))

    def _average(self, call: TFLiteCall) -> Tensor:
        x, kernel = call.tensor(0), (call.options.filterHeight, call.options.filterWidth)
        if kernel == x.shape[2:]:
            return call.fused(self._out.average(call.inner, x))
        if any(map(any, call.pads(x, kernel))):
            raise unknown("AVERAGE_POOL_2D", call.place, "it does not divide by the pixels of its window")
        return call.fused(self._out.average_of(call.inner, "AVERAGE_POOL_2D", x, kernel, call.strides))

    def _max_pool(self, call: TFLiteCall) -> Tensor:
        x, kernel = call.tensor(0), (call.options.filterHeight, call.options.filterWidth)
        made = self._out.max_pool(call.inner, x, kernel, call.strides, call.pads(x, kernel))
        return call.fused(made)

    def _pad(self, call: TFLiteCall) -> Tensor:
        x, pads = call.tensor(0), call.array(1).astype(int)
        if (call.has(2) and call.array(2).any()) or len(pads) != 4 or pads[[0, 3]].any():
            raise unknown(call.operator_name, call.place, "it does not put zeros around height and width")
        (top, bottom), (left, right) = (tuple(map(int, pads[axis])) for axis in (1, 2))
        shape = (*x.shape[:2], x.shape[2] + top + bottom, x.shape[3] + left + right)
        return self._out.add(Pad(x, Tensor(call.name, shape), ((top, bottom), (left, right))))

    def _concat(self, call: TFLiteCall) -> Tensor:
        parts = [call.tensor(number) for number in range(call.count)]
        rank = len(parts[0].shape)
        if call.options.axis % rank != rank - 1:
            raise unknown("CONCATENATION", call.place, "it does not join channels")
        n, _, *size = parts[0].shape
        shape = (n, sum(part.shape[1] for part in parts), *size)
        return call.fused(self._out.add(Concat(tuple(parts), Tensor(call.inner, shape))))

    def _slice(self, call: TFLiteCall) -> Tensor:
        x, begin, size = call.tensor(0), call.array(1).astype(int), call.array(2).astype(int)
        whole = call.shape(0)
        size = np.where(size < 0, np.asarray(whole) - begin, size)
        if begin[:-1].any() or tuple(size[:-1]) != whole[:-1]:
            raise unknown("SLICE", call.place, "it does not take channels alone")
        return self._out.cut(call.name, x, int(begin[-1]), int(begin[-1] + size[-1]))

    def _strided_slice(self, call: TFLiteCall) -> Tensor:
        x, whole, made = call.tensor(0), call.shape(0), call.out_shape
        begin, steps = call.array(1).astype(int), call.array(3).astype(int)
        masked = [bool(call.options.beginMask >> axis & 1) for axis in range(len(whole))]
        begins = [0 if mask else int(start) for mask, start in zip(masked, begin, strict=True)]
        if set(steps) != {1} or any(begins[:-1]) or made[:-1] != whole[:-1] or begins[-1] < 0:
            raise unknown("STRIDED_SLICE", call.place, "it does not take channels in a row")
        return self._out.cut(call.name, x, begins[-1], begins[-1] + made[-1])

    def _split(self, call: TFLiteCall) -> list[Tensor]:
        where, given = (0, 1) if call.operator_name == "SPLIT" else (2, 0)
        x, axis, rank = call.tensor(given), int(call.array(where).reshape(-1)[0]), len(call.shape(given))
        if axis % rank != rank - 1:
            raise unknown(call.operator_name, call.place, "it does not divide channels")
        results = [int(index) for index in call.operator.outputs]
        ends = np.cumsum([0, *(self._tensors.shape(index)[-1] for index in results)])
        return [
            self._out.cut(self._tensors.names[index], x, int(start), int(stop))
            for index, (start, stop) in zip(results, pairwise(ends), strict=True)
        ]

    def _resize(self, call: TFLiteCall) -> Tensor:
        x, shape = call.tensor(0), _nchw(call.out_shape)
        factors = {new / old for new, old in zip(shape[2:], x.shape[2:], strict=True)}
        is_usual = call.options.halfPixelCenters and not call.options.alignCorners
        if not is_usual or len(factors) != 1 or not all(f.is_integer() for f in factors):
            raise unknown("RESIZE_BILINEAR", call.place, "it is not by a whole number between pixel centres")
        return self._out.add(Resize(x, Tensor(call.name, shape)))

    def _reshape(self, call: TFLiteCall) -> Tensor | Grouped:
        value, before, after = call.value(0), call.shape(0), call.out_shape
        if isinstance(value, Grouped):
            if value.is_swapped and _nchw(after) == value.base.shape:
                return self._out.add(Shuffle(value.base, Tensor(call.name, value.base.shape), value.groups))
        elif isinstance(value, Tensor):
            channels = value.shape[1]
            is_split = len(value.shape) == 4 and len(after) > 2 and after[-2] * after[-1] == channels
            if after == before:
                return value
            if is_split and after[-1] != channels:
                return Grouped(value, after[-2], False)
            if value.shape[2:] in ((), (1, 1)):
                return self._out.add(Reshape(value, Tensor(call.name, _nchw(after))))
        raise unknown("RESHAPE", call.place, f"it makes {after} of {before}")

    def _transpose(self, call: TFLiteCall) -> Tensor | Grouped:
        value, order = call.value(0), tuple(int(axis) for axis in call.array(1))
        rank = len(order)
        if isinstance(value, Grouped) and order == (*range(rank - 2), rank - 1, rank - 2):
            return Grouped(value.base, value.groups, True)
        raise unknown("TRANSPOSE", call.place, f"it is to {order}, and no shuffle of channels")

    def _softmax(self, call: TFLiteCall) -> Tensor:
        index = int(call.operator.outputs[0])
        readers = [op for op in self._graph.operators if index in op.inputs]
        names = {operator_name(self._model.operatorCodes[op.opcodeIndex]) for op in readers}
        if names - {"DEQUANTIZE", "QUANTIZE"}:
            raise unknown("SOFTMAX", call.place, "it is not at the end")
        return self._out.leave_softmax(call.tensor(0))

    def _same(self, call: TFLiteCall) -> Tensor:
        return call.tensor(0)


_HANDLERS: dict[str, Callable[[_Reader, TFLiteCall], Any]] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), _Reader._conv),
    "FULLY_CONNECTED": _Reader._linear,
    **dict.fromkeys(("ADD", "SUB", "MUL", "DIV"), _Reader._arithmetic),
    **dict.fromkeys(("RELU", "RELU6", "HARD_SWISH", "LOGISTIC"), _Reader._function),
    "MEAN": _Reader._mean,
    "AVERAGE_POOL_2D": _Reader._average,
    "MAX_POOL_2D": _Reader._max_pool,
    **dict.fromkeys(("PAD", "PADV2"), _Reader._pad),
    "CONCATENATION": _Reader._concat,
    "SLICE": _Reader._slice,
    "STRIDED_SLICE": _Reader._strided_slice,
    **dict.fromkeys(("SPLIT", "SPLIT_V"), _Reader._split),
    "RESIZE_BILINEAR": _Reader._resize,
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), _Reader._reshape),
    "TRANSPOSE": _Reader._transpose,
    "SOFTMAX": _Reader._softmax,
    **dict.fromkeys(("QUANTIZE", "DEQUANTIZE"), _Reader._same),
}
"""By the name of an operator."""


def _nchw(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an image, or of what has no height and width, with channels second."""
    if len(shape) != 4:
        return shape
    n, height, width, channels = shape
    return n, channels, height, width

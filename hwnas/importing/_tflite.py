"""What the reader of TFLite files asks of a file's tensors and of its operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from hwnas.blocks.layers import Pads, same_pads
from hwnas.errors import ExportError
from hwnas.export._graph import Tensor
from hwnas.importing._layout import Recorder
from hwnas.importing.raw import unknown

_DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
}
_WHOLE = (schema.TensorType.INT8, schema.TensorType.UINT8, schema.TensorType.INT16)
_FUSED = {
    schema.ActivationFunctionType.NONE: "",
    schema.ActivationFunctionType.RELU: "relu",
    schema.ActivationFunctionType.RELU6: "relu6",
}


@dataclass(frozen=True)
class Grouped:
    """Channels that are looked at in groups: the middle of a shuffle.

    Attributes:
        base: The tensor.
        groups: How many.
        is_swapped: Whether the two axes of channels were swapped.
    """

    base: Tensor
    groups: int
    is_swapped: bool


Value = Tensor | Grouped | np.ndarray


class TFLiteTensors:
    """The tensors of a file by their indices: what is known of them, and what they are computed to.

    Attributes:
        names: Each its own.
        values: Those that are known so far.
    """

    def __init__(self, model: Any) -> None:
        self._model, self._tensors = model, model.subgraphs[0].tensors
        said = [_text(tensor.name) for tensor in self._tensors]
        counts = Counter(said)
        self.names = [name if counts[name] == 1 else f"{name}#{n}" for n, name in enumerate(said)]
        self.values: dict[int, Value] = {}

    def shape(self, index: int) -> tuple[int, ...]:
        """As the file has it, channels last."""
        shape = self._tensors[index].shape
        return () if shape is None else tuple(int(size) for size in shape)

    def is_whole(self, index: int) -> bool:
        """Whether it holds whole numbers that stand for others."""
        return self._tensors[index].type in _WHOLE

    def value(self, index: int) -> Value:
        """What it is: computed before, or a constant."""
        if index not in self.values:
            self.values[index] = self._constant(index)
        return self.values[index]

    def _constant(self, index: int) -> np.ndarray:
        """The values of a constant; quantised ones are what they stand for."""
        tensor = self._tensors[index]
        data = self._model.buffers[tensor.buffer].data
        if data is None or tensor.type not in _DTYPES or tensor.sparsity is not None:
            raise unknown("constant", self.names[index], "it has no plain values")
        raw = np.frombuffer(np.asarray(data, np.uint8).tobytes(), _DTYPES[tensor.type])
        raw, quantised = raw.reshape(self.shape(index)), tensor.quantization
        if quantised is None or quantised.scale is None or not len(quantised.scale):
            return raw.astype(np.float64) if raw.dtype.kind == "f" else raw
        scale = np.asarray(quantised.scale, np.float64)
        zero = np.zeros(len(scale)) if quantised.zeroPoint is None else np.asarray(quantised.zeroPoint)
        if len(scale) > 1:
            shape = [1] * raw.ndim
            shape[quantised.quantizedDimension] = -1
            scale, zero = scale.reshape(shape), zero.reshape(shape)
        return (raw.astype(np.float64) - zero) * scale


class TFLiteCall:
    """An operator of a TFLite file with what it is given; names and shapes are as in the file."""

    def __init__(self, tensors: TFLiteTensors, out: Recorder, name: str, operator: Any) -> None:
        self._tensors, self._out, self.operator_name, self.operator = tensors, out, name, operator
        self._inputs = [int(index) for index in operator.inputs]
        self.options = operator.builtinOptions
        self.name = self.place = tensors.names[int(operator.outputs[0])]

    @property
    def inner(self) -> str:
        """What the operator makes before the activation that is part of it."""
        return f"{self.name}/linear" if self._function else self.name

    @property
    def _function(self) -> str:
        number = getattr(self.options, "fusedActivationFunction", schema.ActivationFunctionType.NONE)
        if number not in _FUSED:
            raise unknown(self.operator_name, self.place, f"activation {number} is part of it")
        return _FUSED[number]

    def fused(self, made: Tensor) -> Tensor:
        """What the operator makes, activation included."""
        return self._out.apply(self.name, made, self._function) if self._function else made

    @property
    def count(self) -> int:
        """Number of inputs."""
        return len(self._inputs)

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of the first output in the file."""
        return self._tensors.shape(int(self.operator.outputs[0]))

    @property
    def strides(self) -> tuple[int, int]:
        """Of a sliding window."""
        return self.options.strideH, self.options.strideW

    def has(self, number: int) -> bool:
        """Whether there is an input."""
        return len(self._inputs) > number and self._inputs[number] >= 0

    def shape(self, number: int) -> tuple[int, ...]:
        """Shape of an input in the file."""
        return self._tensors.shape(self._inputs[number])

    def value(self, number: int) -> Tensor | Grouped | np.ndarray:
        """An input, whatever it is."""
        return self._tensors.value(self._inputs[number])

    def tensor(self, number: int) -> Tensor:
        """An input that is computed."""
        found = self.value(number)
        if not isinstance(found, Tensor):
            raise unknown(
                self.operator_name, self.place, f"its input {number} is not one that it computes with"
            )
        return found

    def array(self, number: int) -> np.ndarray:
        """An input that is constant."""
        found = self.value(number)
        if not isinstance(found, np.ndarray):
            raise unknown(self.operator_name, self.place, f"its input {number} is no constant")
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise ExportError(f"weights must be finite, but some of {self.place!r} are not: repair the file")
        return found

    def pads(self, x: Tensor, kernel: Sequence[int]) -> Pads:
        """Zeros around a sliding window."""
        if self.options.padding == schema.Padding.VALID:
            return (0, 0), (0, 0)
        height, width = (same_pads(*each) for each in zip(x.shape[2:], kernel, self.strides, strict=True))
        return height, width


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name

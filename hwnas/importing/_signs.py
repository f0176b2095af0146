"""Which values of an ONNX file are never below zero, and the ReLUs that its whole numbers stand for.

Where no whole number stands for less than zero, quantisation cuts off what is below, and whoever made the
file may have left out the ReLU before it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from hwnas.export._graph import Tensor

_SIX = 6.0
_LEVELS = 255  # steps of eight bits
_CLOSE = 1e-3  # of the largest value that whole numbers stand for

_POSITIVE = ("Relu", "Sigmoid", "HardSigmoid", "Softmax")
"""What gives nothing below zero."""

_KEEPS = (
    *("Concat", "GlobalAveragePool", "AveragePool", "ReduceMean", "MaxPool", "Resize", "Pad"),
    *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Split", "Slice", "Identity", "Dropout"),
    *("QuantizeLinear", "DequantizeLinear"),
)
"""What gives nothing below zero where it is given nothing below."""

_OF_TWO = ("Add", "Mul")
"""The same, where a constant is not below zero either."""


class Signs:
    """What is known of the signs of values, by their names.

    Args:
        model: The file.
        source: The image: its whole numbers only cut off what no image has.
    """

    def __init__(self, model: onnx.ModelProto, source: str) -> None:
        self._positive = {source}
        self._gates = frozenset(_scaled(model.graph))
        constants = {each.name: each for each in model.graph.initializer}
        scales = [
            numpy_helper.to_array(constants[node.input[1]])
            for node in model.graph.node
            if node.op_type == "QuantizeLinear"
            and node.output[0] not in self._gates
            and node.input[1] in constants
        ]
        steps = [float(each.reshape(-1)[0]) for each in scales if each.size == 1]
        self._has_six = any(math.isclose(_LEVELS * step, _SIX, rel_tol=_CLOSE) for step in steps)

    def see(self, operator: str, inputs: Sequence[object], made: Iterable[Tensor]) -> None:
        """Learn what an operator says of the values that it makes."""
        computed = [each for each in inputs if isinstance(each, Tensor)]
        constants = [each for each in inputs if isinstance(each, np.ndarray)]
        keeps = operator in _KEEPS or (operator in _OF_TWO and all((each >= 0).all() for each in constants))
        if operator in _POSITIVE or (keeps and all(each.name in self._positive for each in computed)):
            self.add(*made)

    def add(self, *values: Tensor) -> None:
        """Know that values are never below zero."""
        self._positive.update(value.name for value in values)

    def cut_off(self, call: str, value: Tensor, scale: float, zero: np.ndarray) -> str:
        """The ReLU that whole numbers are instead of; empty where they are of none.

        What is multiplied by a constant after it is part of a hard sigmoid, which ends at 6. Where other
        values of the file end there, those that end before it are likely to have been cut off there too.

        Args:
            call: What the quantisation gives.
            value: What is quantised.
            scale: Of the whole numbers.
            zero: The one that stands for zero.
        """
        limits = np.iinfo(zero.dtype)
        if int(zero.reshape(-1)[0]) != limits.min or value.name in self._positive:
            return ""
        is_capped = self._has_six and (limits.max - limits.min) * scale <= _SIX * (1 + _CLOSE)
        return "relu6" if is_capped or call in self._gates else "relu"


def _scaled(graph: onnx.GraphProto) -> Iterator[str]:
    """What quantisations give whose values are multiplied by a constant."""
    constants, quantised = {each.name for each in graph.initializer}, dict[str, str]()
    for node in graph.node:
        if all(name in constants for name in node.input):
            constants.update(node.output)
        elif node.op_type == "DequantizeLinear":
            quantised[node.output[0]] = node.input[0]
        elif node.op_type == "Mul" and any(name in constants for name in node.input):
            yield from (quantised[name] for name in node.input if name in quantised)

"""What the whole numbers of int8 stand for in a graph, for formats that no quantiser of others writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.export import _ranges, quantize, tflite
from hwnas.export._graph import MOVING, Concat, Graph, Sigmoid, operands
from hwnas.export._ranges import Range

_LEAST, _MOST = -128, 127
_NOTHING = 1e-9  # the largest weight of a channel counts as this at least: a step is no zero


@dataclass(frozen=True)
class Levels:
    """A value is ``step * (number - zero)``, where the number is an int8."""

    step: float
    zero: int

    def numbers(self, values: np.ndarray) -> np.ndarray:
        """The nearest int8 of each value."""
        nearest: np.ndarray = np.rint(values / self.step) + self.zero
        return nearest.clip(_LEAST, _MOST).astype(np.int8)


_OF_SIGMOID = Levels(1 / 256, _LEAST)
"""The only ones that XNNPACK computes it on."""


def of(graph: Graph, batches: Sequence[np.ndarray]) -> tuple[Graph, dict[str, Levels]]:
    """Levels of every tensor by name, and the graph with weights that biases fit.

    Args:
        graph: The network.
        batches: Images that ranges are taken from: for each input an array of shape (batches, n, channels,
            height, width), float32.

    Raises:
        ExportError: Values on these images are none that int8 can show.
    """
    measured = _on_one_scale(graph, quantize.measured(tflite.write(graph), batches))
    ranges = _on_one_scale(graph, _ranges.usable(graph, measured))  # one of them may have been widened
    levels = {name: between(*bounds) for name, bounds in ranges.items()}
    levels |= {node.result.name: _OF_SIGMOID for node in graph.nodes if isinstance(node, Sigmoid)}
    return _ranges.fit_biases(graph, ranges), levels


def between(low: float, high: float) -> Levels:
    """Levels of all values of a range, and of zero."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = float(np.float32((high - low) / (_MOST - _LEAST)))
    return Levels(step, int(np.clip(np.rint(_LEAST - low / step), _LEAST, _MOST)))


def of_weights(weight: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights as int8 about zero, and the step of each channel.

    Args:
        weight: Any shape.
        axis: Of its output channels.
    """
    others = tuple(n for n in range(weight.ndim) if n != axis)
    steps = np.maximum(np.abs(weight).max(axis=others), _NOTHING) / _MOST
    shape = [-1 if n == axis else 1 for n in range(weight.ndim)]
    return np.rint(weight / steps.reshape(shape)).astype(np.int8), steps.astype(np.float32)


def _on_one_scale(graph: Graph, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """The widest range for all tensors that values only move between."""
    joined = {name: [name] for name in ranges}
    for node in graph.nodes:
        if isinstance(node, (*MOVING, Concat)):
            parts = (*operands(node), node.result)
            names = list(dict.fromkeys(name for part in parts for name in joined[part.name]))
            joined |= dict.fromkeys(names, names)
    return {
        name: (min(ranges[other][0] for other in names), max(ranges[other][1] for other in names))
        for name, names in joined.items()
    }

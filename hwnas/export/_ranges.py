"""Keeps int8 models of degenerate networks exact and loadable.

Channels die in training: a whole tensor may be zero on every calibration image, a batch-norm
scale may be zero so that a channel is its bias alone. Steps as fine as such ranges ask for
make int32 biases overflow and runtimes refuse (XNNPACK even aborts the process). Nothing is
gained by them: an output cannot be known to a finer step than the integers it is computed
from. Here, a step is the real number that one int8 unit stands for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from hwnas.errors import ExportError
from hwnas.export._graph import MOVING, Arithmetic, Concat, Conv, Graph, Linear, Node, Pool, Tensor, operands

Range = tuple[float, float]

_LEVELS = 255
_WEIGHT_LEVELS = 127
_BIAS_LIMIT = 2.0**30  # half of what int32 holds; the products need room as well
_ADD_COARSER, _ADD_FINER = 128, 512  # half of the ratios of steps that XNNPACK adds (256 and 1024)
_ADD_HOPELESS = 2.0**16  # LiteRT's own kernel aborts the process at 2**19, and is wrong long before
_NOTHING = 1e-9  # the width below which the quantiser itself widens ranges and weights


def usable(graph: Graph, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """Ranges that are wide enough to compute with; ordinary ones stay as they are.

    Args:
        graph: The network.
        ranges: Smallest and largest value of each tensor by name.

    Raises:
        ExportError: Values of a sum are so large that int8 cannot show the sum.
    """
    steps = {name: _step(bounds) for name, bounds in ranges.items()}
    amplified = {node.source.name for node in graph.nodes if isinstance(node, Conv | Linear)}
    for node in reversed(graph.nodes):
        if _is_sum(node):
            for operand in operands(node):
                if _width(ranges[operand.name]) <= _NOTHING or operand.name not in amplified:
                    steps[operand.name] = max(steps[operand.name], steps[node.result.name] / _ADD_FINER)
        elif isinstance(node, MOVING):  # both have one step
            steps[node.source.name] = max(steps[node.source.name], steps[node.result.name])
    for node in graph.nodes:
        if not _is_sum(node) or _width(ranges[node.result.name]) <= _NOTHING:
            steps[node.result.name] = max(steps[node.result.name], _finest_step(node, steps))
        elif max(steps[t.name] for t in operands(node)) > steps[node.result.name] * _ADD_HOPELESS:
            raise ExportError(
                f"what is summed must be comparable to the sum for int8, but at {node.result.name} the "
                f"operands reach {[ranges[t.name] for t in operands(node)]} and the sum "
                f"{ranges[node.result.name]}: train with smaller activations or export fp32"
            )
    return {name: _stretched(bounds, steps[name] * _LEVELS) for name, bounds in ranges.items()}


def fit_biases(graph: Graph, ranges: Mapping[str, Range]) -> Graph:
    """The graph with weights just large enough for every bias to be an int32.

    The step of a bias is that of the input times that of its channel's weights. Where these
    are next to nothing, their largest is raised; that moves an answer by less than 1/30000 of
    the bias. The same graph where there is nothing to do.
    """
    nodes = tuple(_fitted(node, ranges) if isinstance(node, Conv | Linear) else node for node in graph.nodes)
    changed = any(new is not old for new, old in zip(nodes, graph.nodes, strict=True))
    return replace(graph, nodes=nodes) if changed else graph


def _fitted(node: Conv | Linear, ranges: Mapping[str, Range]) -> Conv | Linear:
    step = _step(ranges[node.source.name])
    needed = np.abs(node.bias) / (_BIAS_LIMIT * step) * _WEIGHT_LEVELS
    flat = node.weight.reshape(len(node.weight), -1)
    largest = np.abs(flat).argmax(axis=1)
    short = np.flatnonzero(np.abs(flat).max(axis=1) < needed)
    if not len(short):
        return node
    raised = flat.copy()
    raised[short, largest[short]] = np.copysign(needed[short], flat[short, largest[short]])
    return replace(node, weight=raised.reshape(node.weight.shape))


def _finest_step(node: Node, steps: Mapping[str, float]) -> float:
    """The finest step that the result of a node can have, given those of its inputs."""
    step = max(steps[operand.name] for operand in operands(node))
    if isinstance(node, Concat):
        return step  # all have the step of the result
    if isinstance(node, Conv | Linear):
        return step * max(float(np.abs(node.weight).max()), _NOTHING) / _WEIGHT_LEVELS
    if isinstance(node, Arithmetic):
        other = steps[node.other.name] if isinstance(node.other, Tensor) else abs(node.other) / _LEVELS
        return max(step, other) / _ADD_COARSER if node.op == "add" else steps[node.source.name] * other
    if isinstance(node, Pool):
        return step / (node.source.shape[2] * node.source.shape[3])
    return step if isinstance(node, MOVING) else step / _ADD_COARSER


def _is_sum(node: Node) -> bool:
    return isinstance(node, Arithmetic) and node.op == "add"


def _width(bounds: Range) -> float:
    """Width of a range with zero in it, as wide as the quantiser will make it at least."""
    return max(max(bounds[1], 0.0) - min(bounds[0], 0.0), _NOTHING)


def _step(bounds: Range) -> float:
    return _width(bounds) / _LEVELS


def _stretched(bounds: Range, width: float) -> Range:
    """The range, made wider about zero where it is narrower than ``width``."""
    low, high = min(bounds[0], 0.0), max(bounds[1], 0.0)
    if high - low >= width:
        return low, high
    if high - low < _NOTHING:
        return 0.0, width
    factor = width / (high - low)
    return low * factor, high * factor

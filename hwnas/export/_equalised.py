"""Cross-layer equalisation: channels of one tensor made to be of like size, arXiv:1906.04721.

A tensor has one step in int8, so a channel that is a hundredth of the largest has two levels left. Where a
layer's result goes through nothing that a factor would not pass, each of its channels can be divided by a
factor that the weights of the next layer are multiplied by. Here, weights have a step for each output
channel, so that other than in the paper the first layer's do not count: what is balanced are the values on
calibration images and the second layer's weights. The first lose nothing; of a depthwise second layer,
neither does it.

A ReLU6 passes no factor where its cap is reached. There, only channels are scaled that stay below half of it,
and they are made no larger than that: another answer needs an image on which a channel is twice what
it is on all calibration images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hwnas.export._channels import channels
from hwnas.export._graph import Conv, Graph, Linear, MaxPool, Node, Pool, operands

_MOST = 256.0  # times that a channel is made larger or smaller: as many levels as there are
_BELOW_CAP = 3.0  # half of ReLU6's


def equalised(graph: Graph, batches: Sequence[np.ndarray]) -> Graph:
    """The graph with other weights, of the same function.

    Args:
        graph: The network.
        batches: Calibration images: for each input an array of shape (batches, n, channels, height, width),
            float32.
    """
    pairs = _pairs(graph)
    found = channels(graph, batches, [first for first, _ in pairs])
    nodes: dict[str, Node] = {node.result.name: node for node in graph.nodes}
    for first, second in pairs:
        one, other = nodes[first], nodes[second]
        if isinstance(one, Conv | Linear) and isinstance(other, Conv | Linear):
            factors = _factors(
                found[first].largest, one.fused == "relu6", _of_inputs(other), _is_apart(other)
            )
            nodes[first] = replace(one, weight=one.weight / _first(factors, one), bias=one.bias / factors)
            nodes[second] = replace(other, weight=other.weight * _second(factors, other))
    return replace(graph, nodes=tuple(nodes.values()))


def _pairs(graph: Graph) -> list[tuple[str, str]]:
    """Results of layers, and of the layers that alone read them: by way of pooling at most."""
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for operand in operands(node):
            readers.setdefault(operand.name, []).append(node)
    ends = {result.name for result in graph.results}
    found = []
    for node in graph.nodes:
        last = node
        while isinstance(last, Conv | Linear | Pool | MaxPool) and last.result.name not in ends:
            after = readers.get(last.result.name, [])
            if len(after) != 1 or not isinstance(node, Conv | Linear):
                break
            last = after[0]
            if isinstance(last, Conv | Linear):
                found.append((node.result.name, last.result.name))
                break
    return found


def _factors(values: np.ndarray, is_capped: bool, weights: np.ndarray, is_apart: bool) -> np.ndarray:
    """What each channel is divided by; the largest value of all stays what it is.

    Args:
        values: Largest absolute value of each channel.
        is_capped: Whether a ReLU6 made them.
        weights: Largest weight of the next layer on each channel, as a part of the largest on its output.
        is_apart: Whether channels do not meet in an output of the next layer.
    """
    alive = (values > 0) & (weights > 0)
    if not alive.any():
        return np.ones_like(values)
    wanted = np.where(alive, values if is_apart else np.sqrt(values / np.where(alive, weights, 1)), 1)
    wanted *= (values / wanted)[alive].max() / values.max()
    wanted = np.clip(wanted, 1 / _MOST, _MOST)
    if is_capped:
        alive &= values < _BELOW_CAP
        wanted = np.maximum(wanted, values / _BELOW_CAP)
    return np.where(alive, wanted, 1)


def _is_apart(node: Conv | Linear) -> bool:
    return isinstance(node, Conv) and node.groups == node.source.shape[1]


def _of_inputs(node: Conv | Linear) -> np.ndarray:
    """Largest weight on each input channel, where the largest of each output channel is 1."""
    flat = np.abs(node.weight).reshape(*node.weight.shape[:2], -1).max(axis=2)  # (out, in / groups)
    share = flat / np.maximum(flat.max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    groups = node.groups if isinstance(node, Conv) else 1
    by_group = share.reshape(groups, -1, share.shape[1]).max(axis=1)
    result: np.ndarray = by_group.reshape(-1)
    return result


def _first(factors: np.ndarray, node: Conv | Linear) -> np.ndarray:
    """Factors of output channels, in the shape of weights."""
    return factors.reshape(-1, *[1] * (node.weight.ndim - 1))


def _second(factors: np.ndarray, node: Conv | Linear) -> np.ndarray:
    """Factors of input channels, in the shape of weights."""
    groups = node.groups if isinstance(node, Conv) else 1
    outputs = np.repeat(factors.reshape(groups, -1), len(node.weight) // groups, axis=0)
    return outputs.reshape(*outputs.shape, *[1] * (node.weight.ndim - 2))

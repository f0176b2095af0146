"""Bias correction: what rounding weights adds to a channel on average is taken off its bias.

The average is that of what a layer reads on calibration images, in float32; as if there were no border,
where a window reads zeros. arXiv:1906.04721, section 4.2.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from hwnas.export import _levels
from hwnas.export._channels import channels
from hwnas.export._graph import Conv, Graph, Linear


def corrected(graph: Graph, batches: Sequence[np.ndarray], exact: Collection[str] = ()) -> Graph:
    """The graph with other biases.

    Args:
        graph: The network.
        batches: Calibration images: for each input an array of shape (batches, n, channels, height, width),
            float32.
        exact: Results of layers whose weights are not rounded.
    """
    rounded = [
        node for node in graph.nodes if isinstance(node, Conv | Linear) and node.result.name not in exact
    ]
    found = channels(graph, batches, {node.source.name for node in rounded})
    new = {
        node.result.name: replace(node, bias=node.bias - _shift(node, found[node.source.name].mean))
        for node in rounded
    }
    return replace(graph, nodes=tuple(new.get(node.result.name, node) for node in graph.nodes))


def _shift(node: Conv | Linear, mean: np.ndarray) -> np.ndarray:
    """What rounding the weights of a layer adds to each of its channels, given the mean of what it reads."""
    numbers, steps = _levels.of_weights(node.weight, axis=0)
    error = numbers * steps.astype(np.float64).reshape(-1, *[1] * (node.weight.ndim - 1)) - node.weight
    taps = error.reshape(*error.shape[:2], -1).sum(axis=2)  # (out, in / groups)
    groups = node.groups if isinstance(node, Conv) else 1
    means = np.repeat(mean.reshape(groups, -1), len(taps) // groups, axis=0)
    shift: np.ndarray = (taps * means).sum(axis=1)
    return shift

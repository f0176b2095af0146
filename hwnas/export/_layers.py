"""The layers of a graph: what may be in a precision of its own.

A layer is a node with weights and all that runs after it and before the next one: the sum that its result
goes into, the gate that is made of it. So every node is of one layer, and all layers are the network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hwnas.errors import ExportError
from hwnas.export._graph import Conv, Graph, Linear, Node, operands


@dataclass(frozen=True)
class Layer:
    """A node with weights, and what follows it.

    Attributes:
        weighted: The node that has the weights.
        nodes: That node and the others, in running order.
    """

    weighted: Conv | Linear
    nodes: tuple[Node, ...]

    @property
    def name(self) -> str:
        """Of the tensor that the weights make."""
        return self.weighted.result.name

    @property
    def kind(self) -> str:
        """One of "conv", "depthwise" and "linear"."""
        node = self.weighted
        if isinstance(node, Linear):
            return "linear"
        return "depthwise" if node.groups == node.source.shape[1] > 1 else "conv"

    @property
    def macs(self) -> int:
        """Multiply-adds of the weights."""
        node = self.weighted
        return node.weight.size * node.result.shape[0] * math.prod(node.result.shape[2:])


def layers(graph: Graph) -> tuple[Layer, ...]:
    """Every node of a graph by layers, in running order; what runs before all weights is of the first.

    Raises:
        ExportError: Nothing has weights.
    """
    starts = [(n, node) for n, node in enumerate(graph.nodes) if isinstance(node, Conv | Linear)]
    if not starts:
        raise ExportError("a network must have weights for its layers to be told apart, but this has none")
    begins = [0, *(n for n, _ in starts[1:]), len(graph.nodes)]
    return tuple(
        Layer(weighted, graph.nodes[begin:end])
        for (_, weighted), begin, end in zip(starts, begins[:-1], begins[1:], strict=True)
    )


def tensors_in(graph: Graph, kept: Mapping[str, str]) -> dict[str, str]:
    """Precisions of the tensors that kept layers make, by name.

    An input of the network is in the precision of what reads it, where all that does is kept in one.

    Args:
        graph: The network.
        kept: Precisions of layers by name.

    Raises:
        ExportError: There is no layer of such a name.
    """
    known = {layer.name: layer for layer in layers(graph)} if kept else {}
    if odd := [name for name in kept if name not in known]:
        raise ExportError(
            f"kept layers must be of {', '.join(known)}, but got {', '.join(odd)}: hwnas export --layers "
            "lists those of a network"
        )
    found = {node.result.name: kept[name] for name in kept for node in known[name].nodes}
    for source in graph.sources:
        readers = {found.get(node.result.name) for node in graph.nodes if source in operands(node)}
        if len(readers) == 1 and (precision := readers.pop()):
            found[source.name] = precision
    return found


@dataclass(frozen=True)
class Mixed:
    """What a check must know of a file in several precisions.

    Attributes:
        whole: Names of tensors that must be computed in whole numbers.
        precisions: Of the layers that are kept.
    """

    whole: frozenset[str]
    precisions: frozenset[str]

    @classmethod
    def of(cls, graph: Graph, kept: Mapping[str, str]) -> Mixed:
        """Of a graph whose layers stay in other precisions, by name."""
        made = {node.result.name for node in graph.nodes}
        return cls(frozenset(made - set(tensors_in(graph, kept))), frozenset(kept.values()))

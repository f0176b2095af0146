"""The graph of a network while it is made: its nodes, what the source calls their results, who reads them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hwnas.export import _graph
from hwnas.export._graph import Node, Tensor
from hwnas.importing.raw import Pad, RawGraph, Reshape, Transpose, operands, unknown


@dataclass(frozen=True)
class Viewed:
    """A tensor whose elements are looked at otherwise, which no operator has read yet."""

    base: Tensor
    steps: tuple[Pad | Reshape | Transpose, ...]


class Making:
    """Nodes by the names of their results, which may be replaced as long as one thing alone reads them.

    Args:
        raw: What the graph is made of.
    """

    def __init__(self, raw: RawGraph) -> None:
        self.nodes: dict[str, Node] = {}
        self.values: dict[str, Tensor | Viewed] = {raw.source.name: raw.source}
        self.uses: Counter[str] = Counter()  # of what is in the graph
        self._raw = raw
        self._reads = Counter(t.name for node in raw.nodes for t in operands(node))
        self._reads[raw.result.name] += 1
        self.uses[raw.source.name] = self._reads[raw.source.name]

    def put(self, given: Tensor, node: Node) -> None:
        """Let a node make what the source calls ``given``; it may replace the one of the same result."""
        self.nodes[node.result.name] = node
        self.values[given.name] = node.result
        self.uses[node.result.name] = self._reads[given.name]

    def between(self, node: Node) -> Tensor:
        """Add a node whose result one other node is going to read, and the source knows nothing of."""
        self.nodes[node.result.name] = node
        self.uses[node.result.name] = 1
        return node.result

    def same(self, given: Tensor, value: Tensor) -> None:
        """Let ``given`` be a value that is there already."""
        self.values[given.name] = value
        self.uses[value.name] += self._reads[given.name] - 1

    def read(self, tensor: Tensor, reader: str) -> Tensor:
        """A value that an operator computes with."""
        value = self.values[tensor.name]
        if isinstance(value, Viewed):
            last = value.steps[-1]
            raise unknown(type(last).__name__, last.result.name, f"{reader!r} reads what it makes")
        return value

    def maker(self, value: Tensor) -> Node | None:
        """The node that made a value which nothing else reads, so that it may be rewritten."""
        return self.nodes.get(value.name) if self.uses[value.name] == 1 else None

    def names(self) -> dict[str, str]:
        """What the source calls each value of the graph in its last form."""
        return {value.name: name for name, value in self.values.items() if isinstance(value, Tensor)}

    def finish(self) -> _graph.Graph:
        """The nodes that the result depends on."""
        result = self.read(self._raw.result, self._raw.result.name)
        wanted, kept = {result.name}, list[Node]()
        for node in reversed(self.nodes.values()):
            if node.result.name in wanted:
                wanted |= {tensor.name for tensor in _graph.operands(node)}
                kept.append(node)
        return _graph.Graph((self._raw.source,), (result,), tuple(reversed(kept)))

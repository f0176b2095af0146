"""Random graphs as wirings of a stage: what RandWire's generators draw (arXiv:1904.01569, section 3).

A graph is drawn by one of three models of networks, without directions; then each edge leads from the node
that comes first to the other one, so that there is no cycle. Nodes that no other feeds read the input of the
stage, and those that feed no other make its output together.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwnas.errors import SpaceError

Edge = tuple[int, int]
"""The node that is read, and the later one that reads it."""

MODELS = ("er", "ba", "ws")
"""Erdős and Rényi's, Barabási and Albert's, Watts and Strogatz's."""

_MOST_DRAWS = 1000


@dataclass(frozen=True)
class Wiring:
    """A directed graph without cycles; its nodes are in an order in which they can be computed.

    Attributes:
        nodes: How many there are.
        edges: In ascending order, each from an earlier node to a later one.
    """

    nodes: int
    edges: tuple[Edge, ...]

    def __post_init__(self) -> None:
        if self.nodes < 1:
            raise SpaceError(f"a wiring must have at least 1 node, but got {self.nodes}")
        if odd := [edge for edge in self.edges if not 0 <= edge[0] < edge[1] < self.nodes]:
            raise SpaceError(
                f"edges must lead from a node to a later one of {self.nodes}, but got {odd[0]}: order nodes"
            )
        if list(self.edges) != sorted(set(self.edges)):
            raise SpaceError(f"edges must differ and ascend, but got {self.edges}: sort them, each once")

    @cached_property
    def reads(self) -> tuple[tuple[int, ...], ...]:
        """The earlier nodes that each node reads; none of those that read the input of the stage."""
        return tuple(tuple(a for a, b in self.edges if b == node) for node in range(self.nodes))

    @property
    def first(self) -> tuple[int, ...]:
        """Nodes that read the input of the stage."""
        return tuple(node for node in range(self.nodes) if not self.reads[node])

    @property
    def last(self) -> tuple[int, ...]:
        """Nodes that make the output of the stage together."""
        read = {a for a, _ in self.edges}
        return tuple(node for node in range(self.nodes) if node not in read)

    @property
    def is_connected(self) -> bool:
        """Whether there is a way from each node to each other one, whatever the directions."""
        found, ahead = {0}, [0]
        while ahead:
            node = ahead.pop()
            near = {a + b - node for a, b in self.edges if node in (a, b)} - found
            found |= near
            ahead += near
        return len(found) == self.nodes


def drawn(model: str, nodes: int, degree: int, probability: float, seed: int) -> Wiring:
    """A graph of one of ``MODELS``.

    Args:
        model: Which one.
        nodes: How many it has.
        degree: ``edges_each`` or ``neighbours``; not of "er".
        probability: Not of "ba".
        seed: It follows from.

    Raises:
        SpaceError: The model draws no such graph.
    """
    rng = np.random.default_rng(seed)
    if model == "er":
        return erdos_renyi(nodes, probability, rng)
    if model == "ba":
        return barabasi_albert(nodes, degree, rng)
    return watts_strogatz(nodes, degree, probability, rng)


def erdos_renyi(nodes: int, probability: float, rng: np.random.Generator) -> Wiring:
    """ER: each pair of nodes has an edge with a probability; drawn again until all nodes are connected.

    Raises:
        SpaceError: The probability is not in (0, 1], or so small that no connected graph was drawn.
    """
    _require_probability(probability, least_is_in=False)
    pairs = list(itertools.combinations(range(nodes), 2))
    for _ in range(_MOST_DRAWS):
        drawn = Wiring(nodes, tuple(itertools.compress(pairs, rng.random(len(pairs)) < probability)))
        if drawn.is_connected:
            return drawn
    raise SpaceError(
        f"a probability must be large enough to connect {nodes} nodes, but with {probability:g} none of "
        f"{_MOST_DRAWS} graphs was connected: take a larger one than about {np.log(nodes) / nodes:.2g}"
    )


def barabasi_albert(nodes: int, edges_each: int, rng: np.random.Generator) -> Wiring:
    """BA: nodes are added one by one, each with edges to earlier ones, likelier to those that have more.

    The first ``edges_each`` nodes have none among them; the next one is connected to all of these.

    Raises:
        SpaceError: There are not more nodes than edges of each, or no edges.
    """
    if not 1 <= edges_each < nodes:
        raise SpaceError(f"1 <= edges_each < nodes must hold, but got {edges_each} of {nodes} nodes")
    edges: list[Edge] = [(node, edges_each) for node in range(edges_each)]
    for node in range(edges_each + 1, nodes):
        degrees = np.bincount(np.ravel(edges), minlength=node)
        near = rng.choice(node, edges_each, replace=False, p=degrees / degrees.sum())
        edges += [(int(each), node) for each in near]
    return _wiring(nodes, edges)


def watts_strogatz(nodes: int, neighbours: int, probability: float, rng: np.random.Generator) -> Wiring:
    """WS: a ring in which each node is connected to its nearest ones, with some edges moved elsewhere.

    Round by round, the edge to the node that is 1, 2, ... further is moved with a probability: to any node
    that there is no edge to.

    Raises:
        SpaceError: Neighbours are odd, or not fewer than nodes; or the probability is not in [0, 1].
    """
    _require_probability(probability, least_is_in=True)
    if neighbours % 2 or not 2 <= neighbours < nodes:
        raise SpaceError(
            f"neighbours must be even, at least 2 and fewer than nodes, but got {neighbours} of {nodes} nodes"
        )
    near = np.zeros((nodes, nodes), dtype=bool)
    rounds = [(step, node) for step in range(1, neighbours // 2 + 1) for node in range(nodes)]
    for step, node in rounds:
        _connect(near, node, (node + step) % nodes)
    for step, node in rounds:
        free = np.flatnonzero(~near[node] & (np.arange(nodes) != node))
        if rng.random() < probability and len(free):
            _connect(near, node, (node + step) % nodes, is_there=False)
            _connect(near, node, int(rng.choice(free)))
    return _wiring(nodes, np.argwhere(np.triu(near)).tolist())


def _connect(near: np.ndarray, one: int, other: int, is_there: bool = True) -> None:
    near[one, other] = near[other, one] = is_there


def _wiring(nodes: int, edges: Iterable[Iterable[int]]) -> Wiring:
    return Wiring(nodes, tuple(sorted((a, b) for a, b in edges)))


def _require_probability(probability: float, *, least_is_in: bool) -> None:
    if not (0 < probability <= 1 or (least_is_in and probability == 0)):
        raise SpaceError(
            f"a probability must be in {'[' if least_is_in else '('}0, 1], but got {probability:g}"
        )

"""A stage of randomly wired separable convolutions (RandWire, arXiv:1904.01569)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks import ops
from hwnas.blocks._base import Strided
from hwnas.blocks._key import require, tagged
from hwnas.blocks.separable import SeparableConv
from hwnas.blocks.wiring import MODELS, Wiring, drawn
from hwnas.space import Op, Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class RandomGraph(Strided):
    """A graph of nodes, each a separable convolution of the sum of what it reads.

    As in the paper nodes that read no other read the stage's input, with its stride, and those that no other
    reads make its output. Other than there, inputs are added without weights that are learnt, outputs are
    added and not averaged, and ReLU stands behind a convolution, where all runtimes fuse it.

    Attributes:
        in_channels: Channels of the input.
        out_channels: Of all nodes and of the output.
        stride: Of nodes that read the input.
        nodes: How many there are.
        model: Of the random graph: "er", "ba" or "ws".
        degree: Edges of each new node ("ba"), neighbours of each ("ws"); 0 for "er".
        probability: Of an edge ("er"), of moving one ("ws"); 0 for "ba".
        seed: Of the graph.
    """

    kind: ClassVar[str] = "randomgraph"

    in_channels: int = tagged("i")
    out_channels: int = tagged("o")
    stride: int = tagged("s", 2)
    nodes: int = tagged("n", 32)
    model: str = tagged("g", "ws")
    degree: int = tagged("k", 4)
    probability: float = tagged("p", 0.75)
    seed: int = tagged("r", 0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "probability", float(f"{self.probability:g}"))
        require(self.in_channels > 0 and self.out_channels > 0, self, "channels must be positive")
        require(self.stride > 0 and self.nodes > 0, self, "stride and nodes must be positive")
        require(self.model in MODELS, self, f"model must be one of {MODELS}")
        require(self.seed >= 0, self, "seed must be at least 0")
        _ = self.wiring  # refuses what no graph can be

    @cached_property
    def wiring(self) -> Wiring:
        """Its graph."""
        return drawn(self.model, self.nodes, self.degree, self.probability, self.seed)

    @property
    def blocks(self) -> tuple[SeparableConv, ...]:
        """Its nodes, in running order."""
        return tuple(map(self._node, range(self.nodes)))

    def _node(self, number: int) -> SeparableConv:
        is_first = number in self.wiring.first
        return SeparableConv(
            self.in_channels if is_first else self.out_channels,
            self.out_channels,
            stride=self.stride if is_first else 1,
            layers=1,
        )

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """Sums and convolutions of all nodes, then the sum of the outputs."""
        out = self.out_shape(in_shape)
        add = ops.moved("add", 2 * ops.size(out), ops.size(out))
        found = list[Op]()
        for number, read in enumerate(self.wiring.reads):
            found += [add] * (len(read) - 1)
            found += self._node(number).ops(out if read else in_shape)
        return (*found, *[add] * (len(self.wiring.last) - 1))

    def build(self) -> nn.Module:
        """A fresh module, NCHW."""
        from hwnas.blocks import layers

        nodes = [block.build() for block in self.blocks]
        return layers.Graph(nodes, self.wiring.reads, self.wiring.last)

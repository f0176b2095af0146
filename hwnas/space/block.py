"""Blocks, what they compute, and workloads: a block on what it reads, the unit that is measured.

Shapes are ``(channels, height, width)`` of one image, those of several tensors a tuple of such;
MACs are multiply-adds of one image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from hwnas.errors import SpaceError

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, int, int]
Shapes = tuple[Shape, ...]

ZERO, SUM, FALLBACK = "zero", "sum", "fallback"
"""Kinds of blocks that decide what of a network runs: one gives nothing, one adds up what there is of two
tensors, one passes on the first of two that is there."""

OP_KINDS = (
    "conv",
    "pointwise",
    "grouped",
    "depthwise",
    "linear",
    "shuffle",
    "add",
    "pool",
    "max_pool",
    "scale",
    "slice",
    "concat",
    "resize",
)
"""Every kind of operation: convolutions (of one group; 1x1; 1x1 of several groups; of one channel a
group), matrix products, and what only moves, adds or scales elements."""


@dataclass(frozen=True)
class Op:
    """One operation of a block on one image. Batch norms and activations belong to what is before them.

    Attributes:
        kind: One of ``OP_KINDS``.
        macs: Multiply-adds.
        read: Elements read, without weights.
        written: Elements written.
        weights: Elements of weights.
        biases: Output channels of an operation with weights: each has a bias once it is lowered.
        params: Trainable parameters: weights, and biases or batch-norm scales and shifts.
        kernel_size: Of a convolution.
    """

    kind: str
    macs: int
    read: int
    written: int
    weights: int = 0
    biases: int = 0
    params: int = 0
    kernel_size: int = 1

    def __post_init__(self) -> None:
        if self.kind not in OP_KINDS:
            raise SpaceError(f"an operation must be of one of the kinds {OP_KINDS}, but got {self.kind!r}")


@runtime_checkable
class Block(Protocol):
    """A hashable specification of a piece of network; ``blocks.parse(b.key()) == b``.

    A shape is that of one tensor; what reads or gives several tensors takes or gives a tuple of shapes.
    """

    kind: ClassVar[str]

    @property
    def is_identity(self) -> bool:
        """True where the block does nothing at all, so that it has no latency by definition."""

    def out_shape(self, in_shape: Any) -> Any:
        """Shape of the output; raises SpaceError where the input does not fit."""

    def ops(self, in_shape: Any) -> tuple[Op, ...]:
        """What it computes, in order: all other figures are sums over it. Empty for an identity."""

    def macs(self, in_shape: Any) -> int:
        """Multiply-adds of convolutions and linear layers for one image."""

    def params(self) -> int:
        """Trainable parameters, batch-norm scales and shifts included."""

    def key(self) -> str:
        """The canonical text of this block."""

    def build(self) -> nn.Module:
        """A PyTorch module with fresh weights; inputs, one argument each, and outputs are NCHW."""

    def inherit(self, module: nn.Module, other: Block, learned: nn.Module) -> bool:
        """Take over what fits of the weights of another block in the same place.

        Args:
            module: What ``build`` gave; its weights change.
            other: The other block, of the same input and output shape.
            learned: Its module.

        Returns:
            Whether anything was taken over; else the weights stay as they were.
        """


def shapes_of(shape: Shape | Shapes) -> Shapes:
    """The shapes of one or several tensors, always as a tuple of them."""
    return shape if isinstance(shape[0], tuple) else (shape,)


@dataclass(frozen=True)
class Workload:
    """A block on an input shape: the unit that is measured and looked up.

    Attributes:
        block: What is computed.
        in_shape: Of what it reads; of several tensors, a tuple of shapes.
    """

    block: Block
    in_shape: Shape | Shapes

    def key(self) -> str:
        """Canonical text, for example ``mbconv_i16_…@16x112x112``; several inputs are joined by ``+``."""
        return f"{self.block.key()}@{self.read}"

    @property
    def read(self) -> str:
        """The shapes of its inputs, as text."""
        return "+".join("x".join(map(str, shape)) for shape in self.in_shapes)

    @property
    def in_shapes(self) -> Shapes:
        """One shape an input."""
        return shapes_of(self.in_shape)

    @cached_property
    def out_shapes(self) -> Shapes:
        """One shape an output."""
        return shapes_of(self.block.out_shape(self.in_shape))

    @property
    def ops(self) -> tuple[Op, ...]:
        """What the block computes on this input."""
        return self.block.ops(self.in_shape)

    @property
    def macs(self) -> int:
        """Multiply-adds for one image."""
        return self.block.macs(self.in_shape)

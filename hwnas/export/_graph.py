"""The few operators that networks are lowered to, before any format is chosen.

Shapes are NCHW, or (n, features) after flattened pooling. Weights are float64 until a writer rounds
them once. A graph is a list of nodes in the order in which they run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from hwnas.blocks.layers import Pads

Fused = Literal["none", "relu", "relu6"]


@dataclass(frozen=True)
class Tensor:
    """A value that is computed at run time."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Conv:
    """2-D convolution with zero padding; ``weight`` is (out, in / groups, kh, kw)."""

    source: Tensor
    result: Tensor
    weight: np.ndarray
    bias: np.ndarray
    stride: tuple[int, int]
    padding: Pads
    groups: int
    fused: Fused = "none"
    dilation: tuple[int, int] = (1, 1)

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of what a kernel lies over."""
        height, width = ((k - 1) * d + 1 for k, d in zip(self.weight.shape[2:], self.dilation, strict=True))
        return height, width


@dataclass(frozen=True, eq=False)
class Linear:
    """``source @ weight.T + bias``; ``weight`` is (out, in)."""

    source: Tensor
    result: Tensor
    weight: np.ndarray
    bias: np.ndarray
    fused: Fused = "none"


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """Sum or product of two tensors, or of a tensor and a number; one may broadcast."""

    op: Literal["add", "mul"]
    source: Tensor
    other: Tensor | float
    result: Tensor
    fused: Fused = "none"


@dataclass(frozen=True, eq=False)
class HardSwish:
    """Hard swish as one operator."""

    source: Tensor
    result: Tensor


@dataclass(frozen=True, eq=False)
class Sigmoid:
    """Logistic function."""

    source: Tensor
    result: Tensor


@dataclass(frozen=True, eq=False)
class Pool:
    """Mean over height and width; the result is (n, c, 1, 1), or (n, c) where it is flattened."""

    source: Tensor
    result: Tensor


@dataclass(frozen=True, eq=False)
class Shuffle:
    """Interleaves the channels of ``groups`` groups."""

    source: Tensor
    result: Tensor
    groups: int


@dataclass(frozen=True, eq=False)
class MaxPool:
    """Largest value of a window, over values that are nowhere negative: padding is zeros."""

    source: Tensor
    result: Tensor
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Pads


@dataclass(frozen=True, eq=False)
class Slice:
    """Channels ``start`` to ``stop``, the last one not included."""

    source: Tensor
    result: Tensor
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Concat:
    """The channels of two to four tensors, one after the other."""

    sources: tuple[Tensor, ...]
    result: Tensor


@dataclass(frozen=True, eq=False)
class Resize:
    """A tensor made a whole number of times as fine: bilinear, between the centres of pixels."""

    source: Tensor
    result: Tensor


MOVING = Shuffle, MaxPool, Slice, Resize
"""Nodes whose results hold values of their source, or such between them, and no others."""

Node = Conv | Linear | Arithmetic | HardSwish | Sigmoid | Pool | Shuffle | MaxPool | Slice | Concat | Resize


def operands(node: Node) -> tuple[Tensor, ...]:
    """The tensors that a node reads."""
    if isinstance(node, Concat):
        return node.sources
    other = node.other if isinstance(node, Arithmetic) else None
    return (node.source, other) if isinstance(other, Tensor) else (node.source,)


@dataclass(frozen=True)
class Graph:
    """Nodes in running order between inputs and outputs."""

    sources: tuple[Tensor, ...]
    results: tuple[Tensor, ...]
    nodes: tuple[Node, ...]

    @property
    def depth(self) -> int:
        """Number of convolutions and linear layers."""
        return sum(isinstance(node, Conv | Linear) for node in self.nodes)


def window_size(
    size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Pads, dilation: Sequence[int]
) -> tuple[int, int]:
    """Height and width of what a sliding window makes of others."""
    height, width = (
        (length + sum(pads) - (window - 1) * wide - 1) // step + 1
        for length, pads, window, step, wide in zip(size, padding, kernel, stride, dilation, strict=True)
    )
    return height, width

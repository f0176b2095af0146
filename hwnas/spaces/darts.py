"""The cell space of DARTS (arXiv:1806.09055)."""

from __future__ import annotations

from hwnas.blocks import AveragePool, Conv, MaxPool, PooledHead, SeparableConv, Skip
from hwnas.errors import SpaceError
from hwnas.space import Block, SearchSpace
from hwnas.spaces.stacking import Stack

_CELLS = 8
_NODES = 4
_WIDTH = 16
STEMS = {"cifar": (1,), "imagenet": (2, 2, 2)}
"""Strides of the convolutions before the first cell."""


def darts(resolution: int = 32, num_classes: int = 10, strides: str = "cifar") -> SearchSpace:
    """Two cells of four nodes in eight places: sixteen decisions on an operation and what it reads.

    The network is the one that the paper searches in: eight cells of 16, 32 and 64 channels a node, the
    third and the sixth of which halve the image. Operations are the paper's seven: 3x3 max and average
    pooling, the identity, separable convolutions of 3x3 and 5x5 (twice in a row) and dilated ones. The
    paper's "none" is no candidate: each node adds up two. Other than there, both of them may be the same
    one; ReLU stands behind a convolution, where all runtimes fuse it, with a batch norm behind depthwise
    ones as well; zeros around the image count in average pooling, behind which is no batch norm; one
    strided 1x1 convolution is where the paper has two beside each other.

    Args:
        resolution: Height and width of the input.
        num_classes: Classes of the head.
        strides: "cifar" divides the input by 4; "imagenet" by 32.
    """
    if strides not in STEMS:
        raise SpaceError(f"strides must be one of {sorted(STEMS)}, but got {strides!r}")
    stem = stem_of(3 * _WIDTH, STEMS[strides])
    stack = Stack(operations, _NODES, 3 * _WIDTH)
    width = _WIDTH
    for number in range(_CELLS):
        halves = number in (_CELLS // 3, 2 * _CELLS // 3)
        width *= 2 if halves else 1
        stack.add("reduction" if halves else "normal", width, halves=halves)
    return SearchSpace(
        name=f"darts-r{resolution}-c{num_classes}-{strides}",
        input_shape=(3, resolution, resolution),
        stem=stem,
        choices=tuple(stack.choices),
        head=(PooledHead(stack.given[1], num_classes=num_classes),),
    )


def stem_of(channels: int, strides: tuple[int, ...]) -> tuple[Block, ...]:
    """3x3 convolutions, the last of which gives so many channels."""
    widths = [3, *(channels // 2 ** (len(strides) - 1 - n) for n in range(len(strides)))]
    return tuple(
        Conv(before, after, kernel_size=3, stride=stride)
        for before, after, stride in zip(widths, widths[1:], strides, strict=False)
    )


def operations(width: int, stride: int) -> tuple[Block, ...]:
    """The paper's seven, in its order."""
    pooling = (
        MaxPool(width, 3, stride, margin=1) if stride == 1 else MaxPool(width, 3, stride, is_ceiling=True)
    )
    return (
        pooling,
        AveragePool(width, 3, stride),
        Skip(width, width, stride),
        SeparableConv(width, width, 3, stride),
        SeparableConv(width, width, 5, stride),
        SeparableConv(width, width, 3, stride, layers=1, dilation=2),
        SeparableConv(width, width, 5, stride, layers=1, dilation=2),
    )

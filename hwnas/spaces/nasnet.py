"""The cell space of NASNet (arXiv:1707.07012)."""

from __future__ import annotations

from hwnas.blocks import AveragePool, Conv, MaxPool, PooledHead, SeparableConv, Skip
from hwnas.errors import SpaceError
from hwnas.space import Block, SearchSpace
from hwnas.spaces.darts import STEMS, stem_of
from hwnas.spaces.stacking import Stack

_REPEATS = 2  # cells between those that halve the image; the paper's networks have 4 to 7
_NODES = 5
_WIDTH = 16


def nasnet(resolution: int = 32, num_classes: int = 10, strides: str = "cifar") -> SearchSpace:
    """Two cells of five nodes in eight places: twenty decisions on an operation and what it reads.

    Of the paper's thirteen operations nine: the identity, 1x1 and 3x3 convolutions, 3x3 average, 3x3 and 5x5
    max pooling, and separable convolutions of 3x3, 5x5 and 7x7, twice in a row. Other than there, nodes are
    sums (its second way to combine two, putting them side by side, would change their channels); all nodes
    side by side are what a cell gives, not only those that no other reads; ReLU stands behind a convolution,
    where all runtimes fuse it.

    Args:
        resolution: Height and width of the input.
        num_classes: Classes of the head.
        strides: "cifar" divides the input by 4; "imagenet" by 32.
    """
    if strides not in STEMS:
        raise SpaceError(f"strides must be one of {sorted(STEMS)}, but got {strides!r}")
    stack = Stack(operations, _NODES, 2 * _WIDTH)
    width = _WIDTH
    for stage in range(3):
        if stage:
            width *= 2
            stack.add("reduction", width, halves=True)
        for _ in range(_REPEATS):
            stack.add("normal", width, halves=False)
    return SearchSpace(
        name=f"nasnet-r{resolution}-c{num_classes}-{strides}",
        input_shape=(3, resolution, resolution),
        stem=stem_of(2 * _WIDTH, STEMS[strides]),
        choices=tuple(stack.choices),
        head=(PooledHead(stack.given[1], num_classes=num_classes),),
    )


def operations(width: int, stride: int) -> tuple[Block, ...]:
    """Of one channel count, in the paper's order where it has them."""
    return (
        Skip(width, width, stride),
        AveragePool(width, 3, stride),
        *(_max_pool(width, side, stride) for side in (3, 5)),
        Conv(width, width, 1, stride),
        Conv(width, width, 3, stride),
        *(SeparableConv(width, width, kernel, stride) for kernel in (3, 5, 7)),
    )


def _max_pool(width: int, side: int, stride: int) -> MaxPool:
    """Where the image is halved the window looks over the edge at its end, as TensorFlow's SAME does."""
    if stride == 1:
        return MaxPool(width, side, margin=side // 2, stride=1)
    return MaxPool(width, side, stride, margin=side // 2 - 1, is_ceiling=True)

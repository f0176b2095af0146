"""The cell space of NASNet (arXiv:1707.07012)."""

from __future__ import annotations

from hwnas.blocks import AveragePool, Conv, SeparableConv, Skip
from hwnas.space import Block, SearchSpace
from hwnas.spaces.stacking import max_pool, stacked

_NODES = 5
_STEM_CHANNELS = 32


def nasnet(resolution: int = 32, num_classes: int = 10, strides: str = "cifar") -> SearchSpace:
    """Two cells of five nodes in eight places: twenty decisions on an operation and what it reads.

    Two cells are between those that halve the image; the paper's networks have 4 to 7. Of its thirteen
    operations nine: the identity, 1x1 and 3x3 convolutions, 3x3 average, 3x3 and 5x5 max pooling, and
    separable convolutions of 3x3, 5x5 and 7x7, twice in a row. Other than there, nodes are sums (its second
    way to combine two, putting them side by side, would change their channels); all nodes side by side are
    what a cell gives, not only those that no other reads; ReLU stands behind a convolution, where all
    runtimes fuse it.

    Args:
        resolution: Height and width of the input.
        num_classes: Classes of the head.
        strides: "cifar" divides the input by 4; "imagenet" by 32.
    """
    return stacked(
        "nasnet",
        operations,
        _NODES,
        _STEM_CHANNELS,
        resolution=resolution,
        num_classes=num_classes,
        strides=strides,
    )


def operations(width: int, stride: int) -> tuple[Block, ...]:
    """Of one channel count, in the paper's order where it has them."""
    return (
        Skip(width, width, stride),
        AveragePool(width, 3, stride),
        *(max_pool(width, side, stride) for side in (3, 5)),
        Conv(width, width, 1, stride),
        Conv(width, width, 3, stride),
        *(SeparableConv(width, width, kernel, stride) for kernel in (3, 5, 7)),
    )

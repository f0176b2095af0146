"""The cell space of DARTS (arXiv:1806.09055)."""

from __future__ import annotations

from hwnas.blocks import AveragePool, SeparableConv, Skip
from hwnas.space import Block, SearchSpace
from hwnas.spaces.stacking import max_pool, stacked

_NODES = 4
_STEM_CHANNELS = 48


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
    return stacked(
        "darts",
        operations,
        _NODES,
        _STEM_CHANNELS,
        resolution=resolution,
        num_classes=num_classes,
        strides=strides,
    )


def operations(width: int, stride: int) -> tuple[Block, ...]:
    """The paper's seven, in its order."""
    return (
        max_pool(width, 3, stride),
        AveragePool(width, 3, stride),
        Skip(width, width, stride),
        SeparableConv(width, width, 3, stride),
        SeparableConv(width, width, 5, stride),
        SeparableConv(width, width, 3, stride, layers=1, dilation=2),
        SeparableConv(width, width, 5, stride, layers=1, dilation=2),
    )

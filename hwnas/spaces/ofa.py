"""Elastic kernels, expansions and depths of Once-for-All (arXiv:1908.09791, section 3.2)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

from hwnas.blocks import MBConv, Skip
from hwnas.space import Block, Choice, SearchSpace
from hwnas.spaces.mobilenetv3 import EXPANSIONS, KERNELS, bottlenecks, published, varied

_LEAST_LAYERS, _MOST_LAYERS = 2, 4


def ofa(resolution: int = 224, num_classes: int = 1000, strides: str = "imagenet") -> SearchSpace:
    """Twenty choices, four a stage: kernel and expansion of each layer, and two to four layers.

    As in the paper there are five stages on MobileNetV3-Large's widths, strides, activations and
    squeeze-excite, which a stage either has or not, and a stage of fewer layers has the first of them: one
    that leaves out its third layer and keeps its fourth is the same network as one that keeps the third
    instead, and is counted once (``canonical``). Of the paper's choices the resolution is not one here, as it
    is the space's own. How a supernet shares weights is not the space's: progressive shrinking and matrices
    between kernels are no part of it.

    Args:
        resolution: Height and width of the input.
        num_classes: Classes of the head.
        strides: "imagenet" divides the input by 32; "cifar" by 8, for inputs around 32x32.
    """
    network = published(resolution, num_classes, strides)
    first, *layers = bottlenecks(network)
    begins = (layer for layer in layers if not layer.has_residual)
    return SearchSpace(
        name=f"ofa-r{resolution}-c{num_classes}-{strides}",
        input_shape=network.space.input_shape,
        stem=(*network.space.stem, first),
        choices=tuple(
            choice for stage, layer in enumerate(begins, start=1) for choice in _choices(stage, layer)
        ),
        head=network.space.head,
    )


def _choices(stage: int, first: MBConv) -> Iterator[Choice]:
    """The layers of a stage, of which the last ones may be left out."""
    width = first.out_channels
    rest = replace(first, in_channels=width, stride=1)
    for number in range(1, _MOST_LAYERS + 1):
        candidates = _candidates(first if number == 1 else rest)
        if number > _LEAST_LAYERS:
            candidates = (*candidates, Skip(width, width, activation="none"))
        yield Choice(f"stage{stage}.{number}", candidates)


def _candidates(layer: MBConv) -> tuple[Block, ...]:
    return tuple(
        varied(layer, *options, has_se=layer.se_channels > 0)
        for options in itertools.product(KERNELS, EXPANSIONS)
    )

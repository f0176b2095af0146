"""Randomly wired stages, of which the wiring is chosen (arXiv:1904.01569)."""

from __future__ import annotations

from collections.abc import Iterator

from hwnas.blocks import Conv, Head, RandomGraph
from hwnas.errors import SpaceError
from hwnas.space import Choice, SearchSpace

_WIDTH = 80  # 78 in the paper: a multiple of 8 here
_NODES = (32, 16)
_MODELS = (("ws", 4, 0.75), ("er", 0, 0.2), ("ba", 5, 0.0))
_SEEDS = range(4)
_STRIDES = {"imagenet": (2, 2, 2), "cifar": (1, 1, 1)}
"""Of the two convolutions of the stem and of the first stage."""


def randwire(resolution: int = 224, num_classes: int = 1000, strides: str = "imagenet") -> SearchSpace:
    """Three choices, one a stage: which of 24 random graphs wires it.

    The network is that of the paper's small regime; graphs are of its three models with the parameters that
    it names best, WS(4, .75), ER(.2) and BA(5), four of each, of 32 nodes as there or of 16.

    Args:
        resolution: Height and width of the input.
        num_classes: Classes of the head.
        strides: "imagenet" divides the input by 32; "cifar" by 4.
    """
    if strides not in _STRIDES:
        raise SpaceError(f"strides must be one of {sorted(_STRIDES)}, but got {strides!r}")
    first, second, third = _STRIDES[strides]
    choices, channels = [], _WIDTH
    for stage, (width, stride) in enumerate(((_WIDTH, third), (2 * _WIDTH, 2), (4 * _WIDTH, 2)), start=1):
        choices.append(Choice(f"stage{stage}", tuple(_candidates(channels, width, stride))))
        channels = width
    return SearchSpace(
        name=f"randwire-r{resolution}-c{num_classes}-{strides}",
        input_shape=(3, resolution, resolution),
        stem=(Conv(3, _WIDTH // 2, stride=first), Conv(_WIDTH // 2, _WIDTH, stride=second)),
        choices=tuple(choices),
        head=(Head(channels, 1280, num_classes),),
    )


def _candidates(channels: int, width: int, stride: int) -> Iterator[RandomGraph]:
    for nodes in _NODES:
        for model, degree, probability in _MODELS:
            for seed in _SEEDS:
                yield RandomGraph(channels, width, stride, nodes, model, degree, probability, seed)

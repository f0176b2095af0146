"""The search space of NAS-Bench-Macro (arXiv:2103.11922)."""

from __future__ import annotations

from hwnas.blocks import Conv, Head, MBConv, Skip
from hwnas.space import Choice, SearchSpace

_STAGES = ((2, 64), (3, 128), (3, 256))


def macro(resolution: int = 32, num_classes: int = 10) -> SearchSpace:
    """Eight choices of three candidates: identity, MBConv k3 e3, MBConv k5 e6, all with ReLU.

    The identity becomes a 1x1 convolution + batch norm, without activation, where the shape
    changes: at the first layer of each of the three stages.
    """
    choices: list[Choice] = []
    channels = 32
    for stage, (depth, width) in enumerate(_STAGES, start=1):
        for layer in range(1, depth + 1):
            stride = 2 if layer == 1 else 1
            candidates = (
                Skip(channels, width, stride, activation="none"),
                MBConv(channels, width, kernel_size=3, stride=stride, expansion_ratio=3),
                MBConv(channels, width, kernel_size=5, stride=stride, expansion_ratio=6),
            )
            choices.append(Choice(f"stage{stage}.{layer}", candidates))
            channels = width
    return SearchSpace(
        name=f"macro-r{resolution}-c{num_classes}",
        input_shape=(3, resolution, resolution),
        stem=(Conv(3, 32, kernel_size=3),),
        choices=tuple(choices),
        head=(Head(channels, 1280, num_classes),),
    )

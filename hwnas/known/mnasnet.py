"""MnasNet-A1 (arXiv:1807.11626, figure 7), and -B1 as its authors released it."""

from __future__ import annotations

from collections.abc import Sequence

from hwnas.blocks import Conv, Head, MBConv
from hwnas.known._network import Setting
from hwnas.space import Architecture, Block

Stage = tuple[int, int, float, int, int, int]
"""Kernel size, expansion ratio, squeeze-excite over input channels, channels, layers, stride."""

_A1: tuple[Stage, ...] = (
    (3, 1, 0.0, 16, 1, 1),
    (3, 6, 0.0, 24, 2, 2),
    (5, 3, 0.25, 40, 3, 2),
    (3, 6, 0.0, 80, 4, 2),
    (3, 6, 0.25, 112, 2, 1),
    (5, 6, 0.25, 160, 3, 2),
    (3, 6, 0.0, 320, 1, 1),
)
_B1: tuple[Stage, ...] = (
    (3, 1, 0.0, 16, 1, 1),
    (3, 3, 0.0, 24, 3, 2),
    (5, 3, 0.0, 40, 3, 2),
    (5, 6, 0.0, 80, 3, 2),
    (3, 6, 0.0, 96, 2, 1),
    (5, 6, 0.0, 192, 4, 2),
    (3, 6, 0.0, 320, 1, 1),
)


def mnasnet_a1(setting: Setting) -> Architecture:
    """As published, with a hard sigmoid as the gate of squeeze-excite where theirs is a sigmoid.

    That changes neither parameters nor MACs, but weights of others do not fit. The dropout before
    the classifier and the batch norm's own epsilon and momentum are left out. The width multiplies all
    channels but the last 1280. "cifar" leaves out the strides of the stem and of the stage of 24 channels.
    """
    return _mnasnet(setting, _A1)


def mnasnet_b1(setting: Setting) -> Architecture:
    """The one without squeeze-excite, as in torchvision.

    The width multiplies all channels but the last 1280. Left out is what ``mnasnet_a1`` leaves out.
    """
    return _mnasnet(setting, _B1)


def _mnasnet(setting: Setting, stages: Sequence[Stage]) -> Architecture:
    rows = [
        (kernel, ratio, se, setting.channels(out), stride if layer == 0 else 1)
        for kernel, ratio, se, out, layers, stride in stages
        for layer in range(layers)
    ]
    first, *strides = setting.strided([2, *(row[-1] for row in rows)])
    channels, same = setting.channels(32), setting.padding
    stem = Conv(3, channels, stride=first, padding=same)
    body: list[Block] = []
    for (kernel, ratio, se, out, _), stride in zip(rows, strides, strict=True):
        body.append(
            MBConv(
                channels,
                out,
                kernel,
                stride,
                ratio,
                se_ratio=se / ratio,
                has_expansion=ratio > 1,
                padding=same,
            )
        )
        channels = out
    return setting.network(stem, body, Head(channels, 1280, setting.num_classes))

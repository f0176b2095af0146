"""MobileNetV2 (arXiv:1801.04381, table 2)."""

from __future__ import annotations

from hwnas.blocks import Conv, Head, MBConv
from hwnas.known._network import Setting
from hwnas.space import Architecture, Block

_STAGES = (  # expansion ratio, channels, layers, stride of the first
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenetv2(setting: Setting) -> Architecture:
    """As published and as in torchvision; the dropout before the classifier is left out.

    The width multiplies all channels but the last 1280, which it only ever raises. "cifar"
    leaves out the strides of the stem and of the stage of 24 channels.
    """
    rows = [
        (ratio, channels, stride if layer == 0 else 1)
        for ratio, channels, layers, stride in _STAGES
        for layer in range(layers)
    ]
    first, *strides = setting.strided([2, *(stride for *_, stride in rows)])
    width = setting.channels(32)
    same = setting.padding
    stem = Conv(3, width, stride=first, activation="relu6", padding=same)
    body: list[Block] = []
    for (ratio, channels, _), stride in zip(rows, strides, strict=True):
        out = setting.channels(channels)
        body.append(
            MBConv(
                width,
                out,
                3,
                stride,
                ratio,
                activation="relu6",
                has_expansion=ratio > 1,
                padding=same,
            )
        )
        width = out
    last = setting.last_channels(1280)
    return setting.network(stem, body, Head(width, last, setting.num_classes, activation="relu6"))

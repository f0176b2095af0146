"""MobileNetV1 (arXiv:1704.04861, table 1)."""

from __future__ import annotations

from hwnas.blocks import Conv, Head
from hwnas.known._network import Setting
from hwnas.space import Architecture, Block

_ROWS = (  # channels, stride
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)


def mobilenetv1(setting: Setting) -> Architecture:
    """As published, with ReLU6 as its authors trained it; the width multiplies all channels.

    Every row is a depthwise and a 1x1 convolution; the last 1x1 convolution is that of the head.
    "cifar" leaves out the strides of the stem and of the first row of 128 channels.
    """
    first, *strides = setting.strided([2, *(stride for _, stride in _ROWS)])
    channels, same = setting.channels(32), setting.padding
    stem = Conv(3, channels, stride=first, activation="relu6", padding=same)
    body: list[Block] = []
    for row, stride in enumerate(strides):
        body.append(Conv(channels, channels, 3, stride, "relu6", groups=channels, padding=same))
        out = setting.channels(_ROWS[row][0])
        if row < len(_ROWS) - 1:
            body.append(Conv(channels, out, 1, activation="relu6"))
            channels = out
    return setting.network(stem, body, Head(channels, out, setting.num_classes, activation="relu6"))

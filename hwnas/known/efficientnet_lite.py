"""EfficientNet-Lite (TensorFlow's own release of 2020, after arXiv:1905.11946)."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from hwnas.blocks import Conv, Head, MBConv
from hwnas.known._network import Setting
from hwnas.space import Architecture, Block

_STAGES = (  # kernel size, expansion ratio, channels, layers, stride of the first
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)
SCALES = {  # channels and layers, as multiples of the first, and pixels
    "efficientnet-lite0": (1.0, 1.0, 224),
    "efficientnet-lite1": (1.0, 1.1, 240),
    "efficientnet-lite2": (1.1, 1.2, 260),
    "efficientnet-lite3": (1.2, 1.4, 280),
    "efficientnet-lite4": (1.4, 1.8, 300),
}


def efficientnet_lite(channels_scale: float, layers_scale: float) -> Callable[[Setting], Architecture]:
    """The network of two scales; the dropout before the classifier is left out.

    Stem and last convolution are never scaled, nor are the layers of the first and the last stage.
    The width, which nobody published, multiplies all channels but the last 1280, which it only ever
    raises. "cifar" leaves out the strides of the stem and of the stage of 24 channels.
    """

    def make(setting: Setting) -> Architecture:
        last = len(_STAGES) - 1
        rows = [
            (kernel, ratio, setting.channels(channels * channels_scale), stride if layer == 0 else 1)
            for stage, (kernel, ratio, channels, layers, stride) in enumerate(_STAGES)
            for layer in range(layers if stage in (0, last) else ceil(layers * layers_scale))
        ]
        first, *strides = setting.strided([2, *(row[-1] for row in rows)])
        channels, same = setting.channels(32), setting.padding
        stem = Conv(3, channels, stride=first, activation="relu6", padding=same)
        body: list[Block] = []
        for (kernel, ratio, out, _), stride in zip(rows, strides, strict=True):
            body.append(
                MBConv(
                    channels,
                    out,
                    kernel,
                    stride,
                    ratio,
                    activation="relu6",
                    has_expansion=ratio > 1,
                    padding=same,
                )
            )
            channels = out
        hidden = setting.last_channels(1280)
        return setting.network(stem, body, Head(channels, hidden, setting.num_classes, activation="relu6"))

    return make

"""ShuffleNetV2 (arXiv:1807.11164, table 5)."""

from __future__ import annotations

from hwnas.blocks import Conv, ConvPool, Head, ShuffleUnit
from hwnas.known._network import Setting
from hwnas.space import Architecture

_STEM_CHANNELS = 24
_REPEATS = (4, 8, 4)
WIDTHS = {  # channels of the three stages and of the last convolution, as published
    0.5: ((48, 96, 192), 1024),
    1.0: ((116, 232, 464), 1024),
    1.5: ((176, 352, 704), 1024),
    2.0: ((244, 488, 976), 2048),
}


def shufflenetv2(setting: Setting) -> Architecture:
    """As published and as in torchvision, in its four widths.

    "cifar" leaves out the stride of the stem and the max pooling after it.
    """
    stages, last = WIDTHS[setting.width]
    stem_stride, pool_stride = setting.strided([2, 2])
    kind = ConvPool if pool_stride > 1 else Conv
    stem = kind(3, _STEM_CHANNELS, kernel_size=3, stride=stem_stride)
    body = []
    channels = _STEM_CHANNELS
    for width, repeats in zip(stages, _REPEATS, strict=True):
        body += [ShuffleUnit(channels, width, stride=2), *(ShuffleUnit(width, width),) * (repeats - 1)]
        channels = width
    return setting.network(stem, body, Head(channels, last, setting.num_classes))

"""FBNet-C (arXiv:1812.03443, figure 5 and table 2)."""

from __future__ import annotations

from hwnas.blocks import Conv, Head, MBConv
from hwnas.known._network import Setting
from hwnas.space import Architecture, Block

_ROWS = (  # kernel size, expansion ratio, channels, stride
    (3, 1, 16, 1),
    (3, 6, 24, 2),
    (3, 1, 24, 1),
    (3, 1, 24, 1),
    (5, 6, 32, 2),
    (5, 3, 32, 1),
    (5, 6, 32, 1),
    (3, 6, 32, 1),
    (5, 6, 64, 2),
    (5, 3, 64, 1),
    (5, 6, 64, 1),
    (5, 6, 64, 1),
    (5, 6, 112, 1),
    (5, 6, 112, 1),
    (5, 6, 112, 1),
    (5, 3, 112, 1),
    (5, 6, 184, 2),
    (5, 6, 184, 1),
    (5, 6, 184, 1),
    (5, 6, 184, 1),
    (3, 6, 352, 1),
)


def fbnet_c(setting: Setting) -> Architecture:
    """As its authors released it (facebookresearch/mobile-vision), skipped layers left out.

    The last convolution has the 1984 channels of that release; table 1 of the paper says 1504,
    with which the network would have 4.9 M parameters and not the published 5.5 M. The
    width, which its authors do not have, multiplies all channels but those, which it only ever raises.
    "cifar" leaves out the strides of the stem and of the stage of 24 channels.
    """
    first, *strides = setting.strided([2, *(row[-1] for row in _ROWS)])
    channels = setting.channels(16)
    stem = Conv(3, channels, stride=first, padding=setting.padding)
    body: list[Block] = []
    for (kernel, ratio, published, _), stride in zip(_ROWS, strides, strict=True):
        out = setting.channels(published)
        body.append(MBConv(channels, out, kernel, stride, ratio, padding=setting.padding))
        channels = out
    hidden = setting.last_channels(1984)
    return setting.network(stem, body, Head(channels, hidden, setting.num_classes))

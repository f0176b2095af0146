"""MobileNetV4-Conv-S and -M (arXiv:2404.10518, appendix)."""

from __future__ import annotations

from collections.abc import Sequence

from hwnas.blocks import Conv, LateHead, UniversalInvertedBottleneck
from hwnas.known._network import Setting, divisible
from hwnas.space import Architecture, Block

ConvRow = tuple[int, int, int, str]
"""Kernel size, channels, stride, activation."""
Row = tuple[int, int, float, int, int]
"""Kernel sizes before and after the expansion, expansion ratio, channels, stride."""

_SMALL_CONVS: tuple[ConvRow, ...] = (
    (3, 32, 2, "relu"),
    (1, 32, 1, "relu"),
    (3, 96, 2, "relu"),
    (1, 64, 1, "relu"),
)
_SMALL: tuple[Row, ...] = (
    (5, 5, 3, 96, 2),
    *((0, 3, 2, 96, 1),) * 4,
    (3, 0, 4, 96, 1),
    (3, 3, 6, 128, 2),
    (5, 5, 4, 128, 1),
    (0, 5, 4, 128, 1),
    (0, 5, 3, 128, 1),
    *((0, 3, 4, 128, 1),) * 2,
)
_MEDIUM_CONVS: tuple[ConvRow, ...] = (  # one fused inverted bottleneck
    (3, 128, 2, "relu"),
    (1, 48, 1, "none"),
)
_MEDIUM: tuple[Row, ...] = (
    (3, 5, 4, 80, 2),
    (3, 3, 2, 80, 1),
    (3, 5, 6, 160, 2),
    *((3, 3, 4, 160, 1),) * 2,
    (3, 5, 4, 160, 1),
    (3, 3, 4, 160, 1),
    (3, 0, 4, 160, 1),
    (0, 0, 2, 160, 1),
    (3, 0, 4, 160, 1),
    (5, 5, 6, 256, 2),
    (5, 5, 4, 256, 1),
    *((3, 5, 4, 256, 1),) * 2,
    (0, 0, 4, 256, 1),
    (3, 0, 4, 256, 1),
    (3, 5, 2, 256, 1),
    (5, 5, 4, 256, 1),
    *((0, 0, 4, 256, 1),) * 2,
    (5, 0, 2, 256, 1),
)
_STEM, _CONV, _HIDDEN = 32, 960, 1280


def mobilenetv4_conv_small(setting: Setting) -> Architecture:
    """The small one, as published and as in timm.

    The width multiplies all channels but the last 1280; those of the stem it only ever raises. "cifar"
    leaves out the strides of the stem and of the next convolution.
    """
    return _mobilenetv4(setting, _SMALL_CONVS, _SMALL)


def mobilenetv4_conv_medium(setting: Setting) -> Architecture:
    """The medium one; as ``mobilenetv4_conv_small``, although its authors have one width."""
    return _mobilenetv4(setting, _MEDIUM_CONVS, _MEDIUM)


def _mobilenetv4(setting: Setting, convs: Sequence[ConvRow], rows: Sequence[Row]) -> Architecture:
    first, *strides = setting.strided([2, *(row[2] for row in convs), *(row[-1] for row in rows)])
    channels, same = max(_STEM, setting.channels(_STEM)), setting.padding
    stem = Conv(3, channels, stride=first, padding=same)
    body: list[Block] = []
    for (kernel, published, _, activation), stride in zip(convs, strides, strict=False):
        out = setting.channels(published)
        body.append(Conv(channels, out, kernel, stride, activation, padding=same))
        channels = out
    for (start, middle, ratio, published, _), stride in zip(rows, strides[len(convs) :], strict=True):
        out = setting.channels(published)
        wide = divisible(channels * ratio)
        body.append(
            UniversalInvertedBottleneck(channels, out, start, middle, stride, wide / channels, padding=same)
        )
        channels = out
    head = LateHead(channels, setting.channels(_CONV), _HIDDEN, setting.num_classes, "relu", is_normed=True)
    return setting.network(stem, body, head)

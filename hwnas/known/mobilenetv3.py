"""MobileNetV3 (arXiv:1905.02244, tables 1 and 2)."""

from __future__ import annotations

from collections.abc import Sequence

from hwnas.blocks import Conv, LateHead, MBConv
from hwnas.known._network import Setting, divisible
from hwnas.space import Architecture

Row = tuple[int, int, int, bool, str, int]
"""Kernel size, expanded channels, output channels, squeeze-excite, activation, stride."""

_LARGE: tuple[Row, ...] = (
    (3, 16, 16, False, "relu", 1),
    (3, 64, 24, False, "relu", 2),
    (3, 72, 24, False, "relu", 1),
    (5, 72, 40, True, "relu", 2),
    (5, 120, 40, True, "relu", 1),
    (5, 120, 40, True, "relu", 1),
    (3, 240, 80, False, "hswish", 2),
    (3, 200, 80, False, "hswish", 1),
    (3, 184, 80, False, "hswish", 1),
    (3, 184, 80, False, "hswish", 1),
    (3, 480, 112, True, "hswish", 1),
    (3, 672, 112, True, "hswish", 1),
    (5, 672, 160, True, "hswish", 2),
    (5, 960, 160, True, "hswish", 1),
    (5, 960, 160, True, "hswish", 1),
)
_SMALL: tuple[Row, ...] = (
    (3, 16, 16, True, "relu", 2),
    (3, 72, 24, False, "relu", 2),
    (3, 88, 24, False, "relu", 1),
    (5, 96, 40, True, "hswish", 2),
    (5, 240, 40, True, "hswish", 1),
    (5, 240, 40, True, "hswish", 1),
    (5, 120, 48, True, "hswish", 1),
    (5, 144, 48, True, "hswish", 1),
    (5, 288, 96, True, "hswish", 2),
    (5, 576, 96, True, "hswish", 1),
    (5, 576, 96, True, "hswish", 1),
)


def mobilenetv3_large(setting: Setting) -> Architecture:
    """The large one, as published and as in torchvision but for what is no layer.

    Left out: the dropout before the classifier, and the batch norm's own epsilon (1e-3) and
    momentum (0.01), which are PyTorch's defaults here. The width is the authors' (TensorFlow's
    slim): expansions are multiples of the scaled input, and the 1280 are only ever raised;
    torchvision's narrow networks are smaller. "cifar" leaves out the strides of the stem and of
    the first block of 24 channels.
    """
    return _mobilenetv3(setting, _LARGE, 1280)


def mobilenetv3_small(setting: Setting) -> Architecture:
    """The small one; as ``mobilenetv3_large``.

    "cifar" leaves out the strides of the stem and of the first block, of 16 channels.
    """
    return _mobilenetv3(setting, _SMALL, 1024)


def _mobilenetv3(setting: Setting, rows: Sequence[Row], hidden: int) -> Architecture:
    first, *strides = setting.strided([2, *(row[-1] for row in rows)])
    published, channels = 16, setting.channels(16)
    stem = Conv(3, channels, stride=first, activation="hswish", padding=setting.padding)
    body: list[MBConv] = []
    for row, stride in zip(rows, strides, strict=True):
        kernel, expanded, out, has_se, activation, _ = row
        wide = divisible(channels * expanded / published)
        body.append(
            MBConv(
                channels,
                setting.channels(out),
                kernel,
                stride,
                wide / channels,
                se_ratio=divisible(wide / 4) / wide if has_se else 0,
                activation=activation,
                has_expansion=expanded != published,
                padding=setting.padding,
            )
        )
        published, channels = out, setting.channels(out)
    last = setting.last_channels(hidden)
    return setting.network(stem, body, LateHead(channels, 6 * channels, last, setting.num_classes))

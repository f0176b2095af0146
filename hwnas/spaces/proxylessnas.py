"""The search space of ProxylessNAS (arXiv:1812.00332, section 4.2)."""

from __future__ import annotations

from hwnas.blocks import Conv, Head, MBConv, Skip
from hwnas.errors import SpaceError
from hwnas.space import Block, Choice, SearchSpace

_DEPTHS = (4, 4, 4, 4, 4, 1)
_WIDTHS = (24, 40, 80, 96, 192, 320)
_STRIDES = {"imagenet": (2, 2, 2, 1, 2, 1), "cifar": (1, 2, 2, 1, 2, 1)}
_STEM_STRIDE = {"imagenet": 2, "cifar": 1}
_KERNELS = (3, 5, 7)
_EXPANSIONS = (3, 6)


def proxylessnas(resolution: int = 224, num_classes: int = 1000, strides: str = "imagenet") -> SearchSpace:
    """Twenty-one choices of six MBConvs, and the zero operation wherever the shape stays.

    Zero beside a shortcut leaves the layer out, so that it is an identity here. The first layer
    of a stage changes the shape and cannot be left out.

    Args:
        resolution: Height and width of the input.
        num_classes: Classes of the head.
        strides: "imagenet" divides the input by 32; "cifar" by 8, for inputs around 32x32.
    """
    if strides not in _STRIDES:
        raise SpaceError(f"strides must be one of {sorted(_STRIDES)}, but got {strides!r}")
    first = MBConv(32, 16, expansion_ratio=1, activation="relu6", has_expansion=False)
    choices: list[Choice] = []
    channels = first.out_channels
    for stage, (depth, width, stride) in enumerate(
        zip(_DEPTHS, _WIDTHS, _STRIDES[strides], strict=True), start=1
    ):
        for layer in range(1, depth + 1):
            candidates = _candidates(channels, width, stride if layer == 1 else 1)
            choices.append(Choice(f"stage{stage}.{layer}", candidates))
            channels = width
    stem = Conv(3, first.in_channels, kernel_size=3, stride=_STEM_STRIDE[strides], activation="relu6")
    return SearchSpace(
        name=f"proxylessnas-r{resolution}-c{num_classes}-{strides}",
        input_shape=(3, resolution, resolution),
        stem=(stem, first),
        choices=tuple(choices),
        head=(Head(channels, 1280, num_classes, activation="relu6"),),
    )


def _candidates(channels: int, width: int, stride: int) -> tuple[Block, ...]:
    blocks = tuple(
        MBConv(channels, width, kernel, stride, expansion_ratio=expansion, activation="relu6")
        for kernel in _KERNELS
        for expansion in _EXPANSIONS
    )
    zero = Skip(channels, width, stride, activation="none")
    return (*blocks, zero) if zero.is_identity else blocks

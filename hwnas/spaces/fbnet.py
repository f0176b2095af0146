"""The search space of FBNet (arXiv:1812.03443, table 1)."""

from __future__ import annotations

from hwnas.blocks import Conv, Head, MBConv, Skip
from hwnas.errors import SpaceError
from hwnas.space import Block, Choice, SearchSpace

_DEPTHS = (1, 4, 4, 4, 4, 4, 1)
_WIDTHS = (16, 24, 32, 64, 112, 184, 352)
_STRIDES = {"imagenet": (1, 2, 2, 2, 1, 2, 1), "cifar": (1, 1, 2, 2, 1, 2, 1)}
_STEM_STRIDE = {"imagenet": 2, "cifar": 1}
_CANDIDATES = (  # kernel size, expansion ratio, groups: in the order of the published tables
    (3, 1, 1),
    (3, 1, 2),
    (3, 3, 1),
    (3, 6, 1),
    (5, 1, 1),
    (5, 1, 2),
    (5, 3, 1),
    (5, 6, 1),
)


def fbnet(resolution: int = 224, num_classes: int = 1000, strides: str = "imagenet") -> SearchSpace:
    """Twenty-two choices of nine candidates: eight MBConvs and skip.

    Args:
        resolution: Height and width of the input.
        num_classes: Classes of the head.
        strides: "imagenet" divides the input by 32; "cifar" by 8, for inputs around 32x32.
    """
    if strides not in _STRIDES:
        raise SpaceError(f"strides must be one of {sorted(_STRIDES)}, but got {strides!r}")
    choices: list[Choice] = []
    channels = 16
    for stage, (depth, width, first) in enumerate(
        zip(_DEPTHS, _WIDTHS, _STRIDES[strides], strict=True), start=1
    ):
        for layer in range(1, depth + 1):
            stride = first if layer == 1 else 1
            choices.append(Choice(f"stage{stage}.{layer}", _candidates(channels, width, stride)))
            channels = width
    return SearchSpace(
        name=f"fbnet-r{resolution}-c{num_classes}-{strides}",
        input_shape=(3, resolution, resolution),
        stem=(Conv(3, 16, kernel_size=3, stride=_STEM_STRIDE[strides]),),
        choices=tuple(choices),
        head=(Head(channels, 1504, num_classes),),
    )


def _candidates(channels: int, width: int, stride: int) -> tuple[Block, ...]:
    blocks = (
        MBConv(channels, width, kernel, stride, expansion_ratio=ratio, groups=groups)
        for kernel, ratio, groups in _CANDIDATES
    )
    return (*blocks, Skip(channels, width, stride))

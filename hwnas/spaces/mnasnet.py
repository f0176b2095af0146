"""The factorised hierarchical search space of MnasNet (arXiv:1807.11626, section 4.1)."""

from __future__ import annotations

import itertools

from hwnas.blocks import Conv, Head, MBStage
from hwnas.errors import SpaceError
from hwnas.space import Block, Choice, SearchSpace

_DEPTHS = (1, 2, 3, 4, 3, 3, 1)
_WIDTHS = (16, 24, 32, 64, 96, 160, 320)
_STRIDES = {"imagenet": (1, 2, 2, 2, 1, 2, 1), "cifar": (1, 1, 2, 2, 1, 2, 1)}
_STEM_STRIDE = {"imagenet": 2, "cifar": 1}
_EXPANSIONS = (1, 3, 6)  # 1 is the depthwise separable convolution
_KERNELS = (3, 5)
_SE_RATIOS = (0.0, 0.25)  # of the layer's input channels, as in the paper
_EXTRA_LAYERS = (-1, 0, 1)


def mnasnet(resolution: int = 224, num_classes: int = 1000, strides: str = "imagenet") -> SearchSpace:
    """Seven choices, one a stage: operation, kernel, squeeze-excite and number of layers together.

    All layers of a stage are equal, which is what makes the space factorised and hierarchical;
    their number is that of MobileNetV2, one less or one more. Of the paper's options, plain
    convolutions, pooling instead of the residual and scaled filter sizes are left out: the
    candidates of a choice must agree on their output shape, and the paper's own networks use
    neither of the first two.

    Args:
        resolution: Height and width of the input.
        num_classes: Classes of the head.
        strides: "imagenet" divides the input by 32; "cifar" by 8, for inputs around 32x32.
    """
    if strides not in _STRIDES:
        raise SpaceError(f"strides must be one of {sorted(_STRIDES)}, but got {strides!r}")
    choices: list[Choice] = []
    channels = 32
    for stage, (depth, width, stride) in enumerate(
        zip(_DEPTHS, _WIDTHS, _STRIDES[strides], strict=True), start=1
    ):
        choices.append(Choice(f"stage{stage}", _candidates(channels, width, depth, stride)))
        channels = width
    return SearchSpace(
        name=f"mnasnet-r{resolution}-c{num_classes}-{strides}",
        input_shape=(3, resolution, resolution),
        stem=(Conv(3, 32, kernel_size=3, stride=_STEM_STRIDE[strides]),),
        choices=tuple(choices),
        head=(Head(channels, 1280, num_classes),),
    )


def _candidates(channels: int, width: int, depth: int, stride: int) -> tuple[Block, ...]:
    return tuple(
        MBStage(
            channels,
            width,
            depth + extra,
            kernel,
            stride,
            expansion_ratio=expansion,
            se_ratio=se_ratio / expansion,
            has_expansion=expansion > 1,
        )
        for expansion, kernel, se_ratio, extra in itertools.product(
            _EXPANSIONS, _KERNELS, _SE_RATIOS, _EXTRA_LAYERS
        )
        if depth + extra > 0
    )

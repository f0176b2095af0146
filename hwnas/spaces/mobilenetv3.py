"""Layer by layer around MobileNetV3-Large (arXiv:1905.02244, table 1)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace

from hwnas import known
from hwnas.blocks import MBConv, Skip
from hwnas.errors import SpaceError
from hwnas.space import Architecture, Block, Choice, SearchSpace

KERNELS = (3, 5, 7)
EXPANSIONS = (3.0, 4.0, 6.0)
_STRIDES = ("imagenet", "cifar")


def mobilenetv3(resolution: int = 224, num_classes: int = 1000, strides: str = "imagenet") -> SearchSpace:
    """Fourteen choices: kernel, expansion, squeeze-excite, and none at all wherever the shape stays.

    The published network is one of its architectures: NetAdapt left it expansions beside 3, 4 and 6 in the
    stage of 80 channels, which are candidates there. Widths, strides, stem, first block and the efficient
    last stage are its own, and so are activations, which the paper does not search either: ReLU in the first
    half, h-swish in the second.

    Args:
        resolution: Height and width of the input.
        num_classes: Classes of the head.
        strides: "imagenet" divides the input by 32; "cifar" by 8, for inputs around 32x32.
    """
    network = published(resolution, num_classes, strides)
    first, *layers = bottlenecks(network)
    return SearchSpace(
        name=f"mobilenetv3-r{resolution}-c{num_classes}-{strides}",
        input_shape=network.space.input_shape,
        stem=(*network.space.stem, first),
        choices=tuple(
            Choice(name, _candidates(layer, _expansions(layer, layers))) for name, layer in named(layers)
        ),
        head=network.space.head,
    )


def published(resolution: int, num_classes: int, strides: str) -> Architecture:
    """MobileNetV3-Large; raises SpaceError where there are no such strides."""
    if strides not in _STRIDES:
        raise SpaceError(f"strides must be one of {sorted(_STRIDES)}, but got {strides!r}")
    return known.load("mobilenetv3-large", resolution=resolution, num_classes=num_classes, strides=strides)


def bottlenecks(network: Architecture) -> list[MBConv]:
    """Its inverted residual blocks in order."""
    return [block for block in network.blocks if isinstance(block, MBConv)]


def named(layers: Iterable[MBConv]) -> Iterator[tuple[str, MBConv]]:
    """Each layer with its name; one that changes the shape begins a stage."""
    stage = number = 0
    for layer in layers:
        stage, number = (stage, number + 1) if layer.has_residual else (stage + 1, 1)
        yield f"stage{stage}.{number}", layer


def varied(layer: MBConv, kernel_size: int, expansion_ratio: float, has_se: bool) -> MBConv:
    """Another layer of the same shapes; squeeze-excite has a quarter of the expanded channels, by eights."""
    wide = round(layer.in_channels * expansion_ratio)
    se_ratio = known.divisible(wide / 4) / wide if has_se else 0.0
    return replace(layer, kernel_size=kernel_size, expansion_ratio=expansion_ratio, se_ratio=se_ratio)


def _expansions(layer: MBConv, layers: Iterable[MBConv]) -> tuple[float, ...]:
    """3, 4, 6 and those of all published layers of the same shapes, so that equal layers may trade places."""
    alike = [other for other in layers if _shape(other) == _shape(layer)]
    return tuple(sorted({*EXPANSIONS, *(other.expansion_ratio for other in alike)}))


def _shape(layer: MBConv) -> tuple[int, int, int]:
    return layer.in_channels, layer.out_channels, layer.stride


def _candidates(layer: MBConv, expansions: Iterable[float]) -> tuple[Block, ...]:
    blocks = tuple(
        varied(layer, *options) for options in itertools.product(KERNELS, expansions, (False, True))
    )
    none = Skip(layer.in_channels, layer.out_channels, layer.stride, activation="none")
    return (*blocks, none) if none.is_identity else blocks

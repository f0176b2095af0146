"""The modules of necks and heads of detectors. Imported only when one is built."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from hwnas.blocks import layers

if TYPE_CHECKING:
    from hwnas.blocks.densehead import DenseHead
    from hwnas.blocks.pyramid import Pyramid

_RARE = 0.01  # of pixels that show an object, before anything is learnt (arXiv:1708.02002, section 3.3)


class MergingCells(nn.Module):
    """See ``hwnas.blocks.Pyramid``."""

    def __init__(self, block: Pyramid) -> None:
        super().__init__()
        hidden, activation = block.hidden_channels, block.activation
        self.project = nn.ModuleList(
            nn.Sequential(*layers.conv_bn(channels, hidden, 1, activation=activation))
            for channels in block.in_channels
        )
        levels = block.levels_of_all()
        self.cells = nn.ModuleList(
            _Cell(
                [levels[source] - cell.level for source in cell.sources],
                separable(hidden, hidden, block.kernel_size, activation),
            )
            for cell in block.cells
        )
        self._sources = tuple(cell.sources for cell in block.cells)
        self._outputs = block.outputs()

    def forward(self, *features: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Features (n, c, h, w) in, the finest first; as many out, of equal channels."""
        made = [project(feature) for project, feature in zip(self.project, features, strict=True)]
        for cell, sources in zip(self.cells, self._sources, strict=True):
            made.append(cell(*(made[source] for source in sources)))
        return tuple(made[number] for number in self._outputs)


class _Cell(nn.Module):
    """Makes features as fine as each other, adds and convolves them.

    Args:
        coarser: Of each source, by how many levels it is coarser than the result; negative where finer.
        convolve: What the sum goes through.
    """

    def __init__(self, coarser: list[int], convolve: nn.Sequential) -> None:
        super().__init__()
        self.resize = nn.ModuleList(map(_resize, coarser))
        self.convolve = convolve

    def forward(self, *sources: torch.Tensor) -> torch.Tensor:
        """Shape (n, c, h, w) each in, that of the level out."""
        first, *others = (resize(source) for resize, source in zip(self.resize, sources, strict=True))
        for other in others:
            first = first + other
        return cast(torch.Tensor, self.convolve(first))


def _resize(levels: int) -> nn.Module:
    if levels == 0:
        return nn.Identity()
    factor = 2 ** abs(levels)
    return layers.Resize(factor) if levels > 0 else nn.MaxPool2d(factor)


class DenseTowers(nn.Module):
    """See ``hwnas.blocks.DenseHead``."""

    def __init__(self, block: DenseHead) -> None:
        super().__init__()
        self.levels = nn.ModuleList(_Level(block, channels) for channels in block.in_channels)

    def forward(self, *features: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Features (n, c, h, w) in, the finest first; scores and boxes of each, in turn, out."""
        found: list[torch.Tensor] = []
        for level, feature in zip(self.levels, features, strict=True):
            found += level(feature)
        return tuple(found)


class _Level(nn.Module):
    def __init__(self, block: DenseHead, channels: int) -> None:
        super().__init__()
        hidden = block.hidden_channels
        widths = [channels, *(hidden,) * block.depth]
        self.tower = nn.Sequential(
            *(
                separable(before, after, block.kernel_size, block.activation)
                for before, after in pairwise(widths)
            )
        )
        self.scores = nn.Conv2d(hidden, block.num_classes, 1)
        self.boxes = nn.Conv2d(hidden, block.box_channels, 1)
        nn.init.constant_(cast(torch.Tensor, self.scores.bias), -math.log(1 / _RARE - 1))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        seen = self.tower(x)
        return [self.scores(seen), self.boxes(seen)]


def separable(before: int, after: int, kernel_size: int, activation: str) -> nn.Sequential:
    """A depthwise convolution, then a 1x1 convolution, both normed and activated."""
    return nn.Sequential(
        *layers.conv_bn(before, before, kernel_size, groups=before, activation=activation),
        *layers.conv_bn(before, after, 1, activation=activation),
    )

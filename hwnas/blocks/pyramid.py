"""Necks of detectors: features of several sizes are merged into as many that know of each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks import ops
from hwnas.blocks._base import HALVING, Junction
from hwnas.blocks._key import ACTIVATIONS, require, tagged
from hwnas.errors import SpaceError
from hwnas.space import Op, Shape, Shapes

if TYPE_CHECKING:
    from torch import nn

NONE = "none"
_CELL = re.compile(r"([a-z]{2,3})([0-9])")


_FARTHEST = 2
"""Levels between features that are added, at most."""


@dataclass(frozen=True)
class Cell:
    """Features that are made as fine as a level, added, and convolved.

    Attributes:
        sources: Numbers of the features: those of the levels first, then those of earlier cells.
        level: Of what comes out; 0 is the finest.
    """

    sources: tuple[int, ...]
    level: int


def cells(program: str) -> tuple[Cell, ...]:
    """The cells of a text: letters for what each adds, ``a`` the finest level, and its own level.

    ``bc1ad0`` is the top-down path of three levels: ``d`` adds ``b`` and ``c`` on level 1, ``e`` adds ``a``
    and ``d`` on level 0.

    Raises:
        SpaceError: It does not read so.
    """
    if program == NONE:
        return ()
    found = [Cell(tuple(ord(c) - ord("a") for c in m[1]), int(m[2])) for m in _CELL.finditer(program)]
    if "".join(m[0] for m in _CELL.finditer(program)) != program or not found:
        raise SpaceError(f"merging cells must read like bc1ad0, or {NONE}, but got {program!r}")
    return tuple(found)


def top_down(levels: int) -> str:
    """The cells of a feature pyramid network (arXiv:1612.03144): each level learns of the coarser ones."""
    return _text(_top_down(levels))


def path_aggregation(levels: int) -> str:
    """Those of PANet (arXiv:1803.01534): after the way down, each level learns of the finer ones."""
    return _text([*(found := _top_down(levels)), *_bottom_up(levels, found, own=False)])


def bidirectional(levels: int) -> str:
    """Those of BiFPN (arXiv:1911.09070), without weights: levels that had both ways add their own as well."""
    return _text([*(found := _top_down(levels)), *_bottom_up(levels, found, own=True)])


def bottom_up(levels: int) -> str:
    """Each level learns of the finer ones, and none of the coarser."""
    return _text(list(_bottom_up(levels, [], own=False)))


def direct(levels: int) -> str:
    """Each level learns of the coarsest one alone, as far away as features can be added."""
    coarsest = levels - 1
    near = (level for level in reversed(range(coarsest)) if coarsest - level <= _FARTHEST)
    return _text([Cell((level, coarsest), level) for level in near])


def _top_down(levels: int) -> list[Cell]:
    found, above = list[Cell](), levels - 1
    for level in reversed(range(levels - 1)):
        found.append(Cell((level, above), level))
        above = levels + len(found) - 1
    return found


def _bottom_up(levels: int, before: list[Cell], *, own: bool) -> Iterator[Cell]:
    last = {level: level for level in range(levels)}
    last |= {cell.level: levels + number for number, cell in enumerate(before)}
    below = last[0]
    for level in range(1, levels):
        extra = (level,) if own and last[level] != level else ()
        yield Cell((*extra, last[level], below), level)
        below = levels + len(before) + level - 1


def _text(found: list[Cell]) -> str:
    return "".join("".join(chr(ord("a") + n) for n in c.sources) + str(c.level) for c in found) or NONE


@dataclass(frozen=True)
class Pyramid(Junction):
    """1x1 projections of all features, then merging cells (arXiv:1904.07392); one output a level.

    A cell makes coarser features finer bilinearly and finer ones coarser by max pooling, adds them, and
    sends the sum through a separable convolution. The output of a level is what its last cell made.

    Attributes:
        in_channels: Of the features, the finest first; each is twice as fine as the next.
        hidden_channels: Of all that it makes.
        program: Its merging cells; see ``cells``.
        kernel_size: Odd kernel of the depthwise convolutions.
        activation: After every convolution but the depthwise ones' own; nothing that is negative may be left,
            as padding of max pooling is zeros.
    """

    kind: ClassVar[str] = "pyramid"

    in_channels: tuple[int, ...] = tagged("i")
    hidden_channels: int = tagged("h")
    program: str = tagged("m")
    kernel_size: int = tagged("k", 3)
    activation: str = tagged("a", "relu6")

    def __post_init__(self) -> None:
        require(len(self.in_channels) > 1, self, "there must be at least two inputs")
        require(min(*self.in_channels, self.hidden_channels) > 0, self, "channels must be positive")
        require(self.kernel_size % 2 == 1 and self.kernel_size > 1, self, "kernel_size must be odd from 3 on")
        require(self.activation in ACTIVATIONS[1:3], self, f"activation must be one of {ACTIVATIONS[1:3]}")
        levels = self.levels_of_all()
        for number, cell in enumerate(self.cells, len(self.in_channels)):
            require(cell.level < len(self.in_channels), self, f"a cell must be on a level, not {cell.level}")
            known = all(source < number for source in cell.sources)
            require(
                known and len(set(cell.sources)) == len(cell.sources), self, "cells must add earlier ones"
            )
            near = all(abs(levels[source] - cell.level) <= _FARTHEST for source in cell.sources)
            require(near, self, "cells must add what is at most two levels away")

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Its merging cells."""
        return cells(self.program)

    def levels_of_all(self) -> tuple[int, ...]:
        """The level of each projection and each cell."""
        return (*range(len(self.in_channels)), *(cell.level for cell in self.cells))

    def outputs(self) -> tuple[int, ...]:
        """Of each level the number of the features that it gives."""
        last = {level: number for number, level in enumerate(self.levels_of_all())}
        return tuple(last[level] for level in range(len(self.in_channels)))

    def out_shape(self, in_shape: Shapes) -> Shapes:
        """Shape (hidden_channels, height, width) of each input."""
        self._check_inputs(in_shape)
        return tuple((self.hidden_channels, *shape[1:]) for shape in in_shape)

    def ops(self, in_shape: Shapes) -> tuple[Op, ...]:
        """Projections; of each cell what resizes, the sums, the separable convolution."""
        outs, levels = self.out_shape(in_shape), self.levels_of_all()
        found = [ops.conv("pointwise", own, out) for own, out in zip(in_shape, outs, strict=True)]
        for cell in self.cells:
            shape = outs[cell.level]
            for source in cell.sources:
                found += self._resized(outs[levels[source]], levels[source] - cell.level)
            found += [ops.moved("add", 2 * ops.size(shape), ops.size(shape))] * (len(cell.sources) - 1)
            groups = self.hidden_channels
            found.append(ops.conv("depthwise", shape, shape, kernel_size=self.kernel_size, groups=groups))
            found.append(ops.conv("pointwise", shape, shape))
        return tuple(found)

    def _resized(self, shape: Shape, levels: int) -> list[Op]:
        """What makes features so many levels finer, or coarser where negative."""
        if levels > 0:
            return [ops.resized(shape, HALVING**levels)[0]]
        if levels == 0:
            return []
        factor = HALVING**-levels
        return [ops.moved("max_pool", ops.size(shape), ops.size(shape) // factor**2)]

    def build(self) -> nn.Module:
        """A fresh module: features in, the finest first, NCHW; one output a level."""
        from hwnas.blocks import detectors

        return detectors.MergingCells(self)

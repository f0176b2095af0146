"""The widths that a network may have: a few for each group of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from hwnas.errors import SpaceError
from hwnas.widths.groups import ChannelGroup

_MOST_WIDTHS = 9
_NARROWEST = 0.2  # of the channels


@dataclass(frozen=True)
class WidthSpace:
    """Slots with a few widths each.

    Attributes:
        name: For messages.
        groups: What goes together; one slot each.
        widths: Of each slot the numbers of channels, rising; the last one is all of them, and the first one 0
            where a residual block adds nothing without them.
    """

    name: str
    groups: tuple[ChannelGroup, ...]
    widths: tuple[tuple[int, ...], ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of widths of each slot."""
        return tuple(map(len, self.widths))

    @property
    def num_architectures(self) -> int:
        """Number of networks."""
        return prod(self.sizes)

    @property
    def whole(self) -> tuple[int, ...]:
        """Indices of the network with all of its channels."""
        return tuple(size - 1 for size in self.sizes)

    def chosen(self, indices: Sequence[int]) -> dict[str, int]:
        """Channels by group."""
        pairs = zip(self.groups, self.widths, indices, strict=True)
        return {group.name: widths[index] for group, widths, index in pairs}

    def at_share(self, share: float) -> tuple[int, ...]:
        """Indices where every group has the width that is nearest to a share of its channels, none 0."""
        return tuple(_nearest(widths, share * widths[-1]) for widths in self.widths)


def width_space(name: str, groups: Sequence[ChannelGroup], step: int) -> WidthSpace:
    """The widths of a network.

    Args:
        name: For messages.
        groups: What goes together.
        step: Channels by which the latency of a layer changes on the device; widths are multiples of it.

    Raises:
        SpaceError: No group has more channels than a step.
    """
    if step < 1:
        raise SpaceError(f"a step of widths must be at least 1 channel, but got {step}")
    widths = tuple((0,) * bool(group.branch) + _widths(group.channels, step) for group in groups)
    if all(len(each) == 1 for each in widths):
        raise SpaceError(
            f"a network must have more than {step} channels somewhere to be narrowed in steps of {step}, but "
            f"the widest of {name} has {max(group.channels for group in groups)}"
        )
    return WidthSpace(name, tuple(groups), widths)


def _nearest(widths: Sequence[int], wanted: float) -> int:
    return min((index for index, width in enumerate(widths) if width), key=lambda i: abs(widths[i] - wanted))


def _widths(channels: int, step: int) -> tuple[int, ...]:
    """Multiples of the step, at even distances, and all channels."""
    least = max(step, -(-round(channels * _NARROWEST) // step) * step)
    every = range(least, channels, step)
    few = every if len(every) < _MOST_WIDTHS else [every[i] for i in _evenly(len(every))]
    return (*few, channels)


def _evenly(count: int) -> list[int]:
    return sorted({round(float(n)) for n in np.linspace(0, count - 1, _MOST_WIDTHS - 1)})

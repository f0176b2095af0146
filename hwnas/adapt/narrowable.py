"""What of a network can be narrowed, and to which widths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from hwnas.adapt import steps
from hwnas.errors import SpaceError
from hwnas.space import Shape
from hwnas.widths import Prunable, WidthSpace, prunable, width_space


@dataclass(frozen=True)
class Narrowable:
    """The widths that a network may have.

    Attributes:
        found: Which of its channels go together.
        step: Channels that widths are multiples of.
        space: The widths; empty where there are none but its own.
        refusal: Why there are none; None where there are.
    """

    found: Prunable
    step: int
    space: WidthSpace
    refusal: SpaceError | None = None


def narrowable(name: str, network: nn.Module, shape: Shape, step_of: Callable[[Prunable], int]) -> Narrowable:
    """The widths of a network, or why it has none: other rungs may do without.

    Args:
        name: For messages.
        network: The whole network.
        shape: Of one image.
        step_of: Tells the step of widths, once it is known which channels go together.
    """
    found, step = Prunable(network, shape, (), {}), steps.USUAL
    try:
        found = prunable(network, shape)
        step = step_of(found)
        return Narrowable(found, step, width_space(name, found.groups, step))
    except SpaceError as error:
        return Narrowable(found, step, WidthSpace("", (), ()), error)

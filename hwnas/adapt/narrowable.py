"""What of a network can be narrowed, and to which widths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from hwnas.adapt import steps
from hwnas.errors import ExportError, SpaceError
from hwnas.importing import in_blocks
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


def require_whole_again(found: Prunable) -> None:
    """Refuse a network that cannot be read as blocks again once it is narrower, before it is measured.

    Raises:
        SpaceError: It has several outputs, or an operator that is not read.
    """
    with torch.no_grad():
        answer = found.module.eval()(torch.zeros(1, *found.shape))
    if not isinstance(answer, torch.Tensor):
        raise SpaceError(
            f"a network must give one tensor to be narrowed, but this one gives {len(answer)}: what it runs "
            "on, the size of its images and its blocks may be changed (--try runtime,resolution,blocks)"
        )
    try:
        in_blocks(found.module, found.shape)
    except ExportError as error:
        raise SpaceError(
            f"a network must be read as blocks again to be narrowed, but this one is not: {error}"
        ) from error


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

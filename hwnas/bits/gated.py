"""A network whose layers are computed in several precisions at once, each by its share."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import nn

from hwnas.bits.rows import FINEST, WHOLE
from hwnas.blocks.wired import Value
from hwnas.errors import ExportError
from hwnas.train.qat import Rounded
from hwnas.train.rounding import Activation, Weighted

_HEADROOM = 2.0  # of 16 bits over the range of the images, as in the exported file
_LEVELS = 32767  # on each side of zero


@dataclass
class _Shares:
    """What all parts of a network go by.

    Attributes:
        states: Precisions.
        of: One tensor a layer, shape (states,), summing to 1.
    """

    states: tuple[str, ...]
    of: list[torch.Tensor] = field(default_factory=list)


class GatedPrecisions(nn.Module):
    """A network that rounds as its files do, with shares of precisions a layer; differentiable in these.

    What a layer reads is rounded for it, what it makes by it; what a sum reads is rounded where it was made.

    Args:
        network: Made of the layers that the blocks use; not changed.
        states: Precisions of a layer.
        runtime: Whose rounding.
        images: Normalised images for the ranges, shape (n, channels, height, width).

    Raises:
        TrainingError: Its rounding is not known.
        ExportError: It has no weights.
    """

    def __init__(self, network: nn.Module, states: Sequence[str], runtime: str, images: torch.Tensor) -> None:
        super().__init__()
        self.rounded = Rounded(copy.deepcopy(network).eval(), runtime)
        self._shares = _Shares(tuple(states))
        self.layers = _gate(self.rounded, self._shares)
        self.rounded.calibrate(images)
        self.rounded.requires_grad_(False)

    def forward(self, images: torch.Tensor, shares: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """All answers.

        Args:
            images: Shape (n, channels, height, width).
            shares: One tensor a layer, shape (states,), summing to 1.
        """
        self._shares.of = list(shares)
        found: Value = self.rounded(images)
        return found if isinstance(found, tuple) else (found,)


def _gate(rounded: Rounded, shares: _Shares) -> int:
    """Put shares before all that rounds; says how many layers there are, as ``lower`` knows them."""
    number = -1
    graph = rounded.graph
    for node in list(graph.graph.nodes):
        if node.op != "call_module":
            continue
        name = str(node.target)
        part = graph.get_submodule(name)
        if isinstance(part, Weighted):
            number += 1
            graph.set_submodule(name, _GatedWeights(part, shares, number))
        elif isinstance(part, Activation):
            graph.set_submodule(name, _GatedValues(part, shares, max(number, 0)))
        else:
            for inner, module in list(part.named_modules()):
                if isinstance(module, Activation):
                    graph.set_submodule(f"{name}.{inner}", _GatedValues(module, shares, max(number, 0)))
    if number < 0:
        raise ExportError("a network must have weights for its layers to be told apart, but this has none")
    return number + 1


class _GatedValues(nn.Module):
    """Rounds values to several precisions, each by its share."""

    def __init__(self, part: Activation, shares: _Shares, number: int) -> None:
        super().__init__()
        self.part, self._shares, self._number = part, shares, number

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape in and out."""
        if self.part.exact:
            return cast(torch.Tensor, self.part(x))
        each = zip(self._shares.states, self._shares.of[self._number], strict=True)
        return torch.stack([share * _rounded(x, state, self.part) for state, share in each]).sum(0)


class _GatedWeights(nn.Module):
    """A layer in several precisions, each by its share; what it reads is rounded for each."""

    def __init__(self, part: Weighted, shares: _Shares, number: int) -> None:
        super().__init__()
        self.part, self._shares, self._number = part, shares, number
        self.read = Activation()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As of ``Weighted``."""
        if self.part.exact:
            return cast(torch.Tensor, self.part(self.read(x)))
        each = zip(self._shares.states, self._shares.of[self._number], strict=True)
        return torch.stack([share * self._in(state, x) for state, share in each]).sum(0)

    def _in(self, state: str, x: torch.Tensor) -> torch.Tensor:
        self.part.exact = state == FINEST
        made = self.part(_rounded(x, state, self.read))
        self.part.exact = False
        return cast(torch.Tensor, made)


def _rounded(x: torch.Tensor, state: str, part: Activation) -> torch.Tensor:
    """Values in a precision, in the range of a rounding."""
    if state == FINEST:
        return x
    if state == WHOLE:
        return cast(torch.Tensor, part(x))
    low, width = part.bounds()
    step = _HEADROOM * torch.maximum(low.abs(), (low + width).abs()) / _LEVELS
    zero = torch.zeros_like(step, dtype=torch.int32)
    return torch.fake_quantize_per_tensor_affine(x, step, zero, -_LEVELS, _LEVELS)

"""A network of fewer channels, cut out of what a wider one of the same form has learnt.

Channels that a residual adds to each other, or that depthwise kernels hand on, are kept or go together. A
network is followed layer by layer: each adds to the importance of the channels that it reads; when all of
them have spoken, the most important ones stay, and every tensor is cut accordingly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from hwnas.blocks import layers
from hwnas.blocks.inheriting import Normed, largest
from hwnas.errors import SpaceError
from hwnas.space import Block

_ACTIVATIONS = nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.SiLU
_TO_ONE_PIXEL = nn.AdaptiveAvgPool2d, nn.Flatten


def narrowed(blocks: Sequence[Block], learned: nn.Sequential, to: Sequence[Block]) -> nn.Sequential:
    """Build narrower blocks with those channels of a wider network that matter most.

    A channel matters as much as it moves what reads it: how far it varies, by the scale of the batch norm
    that made it and the activation behind that, times the norm of the weights that read it, summed over all
    that do. Between blocks that is the whole chain of blocks that add to each other. The variances that
    batch norms divide by become less by what the lost channels had of them. A network whose lost channels
    are all zero computes the same after it.

    Args:
        blocks: Of the wide network.
        learned: Their modules, with weights; they stay as they are.
        to: As many blocks of the same form, none with more channels.

    Raises:
        SpaceError: They have another form, or one that cannot be cut.
    """
    if len(blocks) != len(to):
        raise SpaceError(
            f"a narrower network must have as many blocks, but got {len(to)} instead of {len(blocks)}"
        )
    module = nn.Sequential(*(block.build() for block in to))
    walk = _Walk()
    with torch.no_grad():
        for wide, narrow, theirs, own in zip(blocks, to, learned, module, strict=True):
            walk.place = f"{narrow.key()} cannot be cut out of {wide.key()}"
            walk.follow(theirs, own)
        for cut in walk.cuts:
            cut.make()
    return module


@dataclass(eq=False)
class _Channels:
    """Channels that are kept or go together, wherever they are made or read.

    Attributes:
        importance: How much all that read them need each, shape (channels,).
        kept: How many stay.
    """

    importance: torch.Tensor
    kept: int

    @property
    def counts(self) -> tuple[int, int]:
        """How many there are, and how many stay."""
        return len(self.importance), self.kept

    def chosen(self) -> torch.Tensor | None:
        """Numbers of those that stay; None where all do."""
        return None if self.kept == len(self.importance) else largest(self.importance, self.kept)


@dataclass(frozen=True)
class _Signal:
    """What channels carry, each as if it were normal and by itself: shape (channels,) both."""

    mean: torch.Tensor
    variance: torch.Tensor

    def __add__(self, other: _Signal) -> _Signal:
        return _Signal(self.mean + other.mean, self.variance + other.variance)

    def convolved(self, layer: Normed) -> _Signal:
        """What a layer makes of it, where no batch norm behind it says so."""
        each = (slice(None), None) if layer.groups > 1 else ...
        mean = (_by_channel(layer.conv.weight) * self.mean[each]).sum(1)
        variance = (_by_channel(layer.conv.weight.pow(2)) * self.variance[each]).sum(1)
        return _Signal(mean if layer.conv.bias is None else mean + layer.conv.bias, variance)

    def activated(self, activation: nn.Module) -> _Signal:
        """What is behind an activation."""
        normal = torch.linspace(-4, 4, 81)[:, None]
        share = (-normal.pow(2) / 2).exp()
        share /= share.sum()
        values = activation(self.mean + self.variance.sqrt() * normal)
        mean = (share * values).sum(0)
        return _Signal(mean, (share * (values - mean).pow(2)).sum(0))


def _normed(norm: nn.BatchNorm2d) -> _Signal:
    """What a batch norm lets out; what is nearly constant in front of it hardly moves behind it."""
    variance = norm.weight.pow(2)
    if norm.running_var is not None:
        variance = variance * norm.running_var / (norm.running_var + norm.eps)
    return _Signal(norm.bias, variance)


@dataclass(frozen=True)
class _Cut:
    """A layer that is cut.

    Attributes:
        theirs: What it is cut out of.
        own: What it is cut to.
        read: Channels of its input.
        made: Channels of its output.
        given: What those of its input carry.
    """

    theirs: Normed
    own: Normed
    read: _Channels
    made: _Channels
    given: _Signal

    def make(self) -> None:
        """Copy what stays."""
        if self.theirs.groups > 1:
            self.own.take(self.theirs, self.made.chosen(), None)
            return
        outputs, inputs = self.made.chosen(), self.read.chosen()
        self.own.take(self.theirs, outputs, inputs)
        norm = self.own.norm
        if inputs is None or norm is None or norm.running_var is None:
            return
        parts = _by_channel(self.theirs.conv.weight.pow(2)) * self.given.variance
        parts = parts if outputs is None else parts[outputs]
        lost = torch.ones(parts.shape[1], dtype=torch.bool)
        lost[inputs] = False
        norm.running_var *= 1 - parts[:, lost].sum(1) / parts.sum(1).clamp(min=torch.finfo().tiny)


class _Walk:
    """Goes through two networks of one form from image to output.

    Attributes:
        cuts: The layers so far.
        here: Channels between the last layer and the next; None in front of the image.
        signal: What they carry.
        place: Where it is, for messages.
    """

    def __init__(self) -> None:
        self.cuts: list[_Cut] = []
        self.here: _Channels | None = None
        self.signal = _Signal(torch.zeros(1), torch.ones(1))
        self.place = ""

    def follow(self, theirs: nn.Module, own: nn.Module) -> None:
        """Go through a module, and the same one with fewer channels."""
        if isinstance(own, layers.Residual) and not isinstance(theirs, layers.Residual):
            raise self._refused(", for only the narrower one adds its input")
        if type(theirs) is not type(own):
            raise self._refused()
        if isinstance(theirs, nn.Conv2d | nn.Linear):
            self._read(Normed(theirs, None), Normed(own, None))  # type: ignore[arg-type]
        elif isinstance(theirs, nn.BatchNorm2d):
            last = self.cuts[-1]
            pair = Normed(last.theirs.conv, theirs), Normed(last.own.conv, own)  # type: ignore[arg-type]
            self.cuts[-1] = replace(last, theirs=pair[0], own=pair[1])
            self.signal = _normed(theirs)
        elif isinstance(theirs, layers.Residual):
            before = self._around(theirs, own)
            self.signal = before + self.signal
        elif isinstance(theirs, layers.SqueezeExcite):
            self.signal = self._around(theirs, own)  # its gate lets through what was there
        elif isinstance(theirs, nn.Sequential):
            self._within(theirs, own)
        elif isinstance(theirs, _ACTIVATIONS):
            self.signal = self.signal.activated(theirs)
        elif not isinstance(theirs, _TO_ONE_PIXEL):
            raise self._refused()

    def _within(self, theirs: nn.Module, own: nn.Module) -> None:
        parts, others = list(theirs.children()), list(own.children())
        if len(parts) != len(others):
            raise self._refused()
        for part, other in zip(parts, others, strict=True):
            self.follow(part, other)

    def _around(self, theirs: nn.Module, own: nn.Module) -> _Signal:
        """Go through what meets its own input at the end, so that channels are the same; what it carries."""
        before, signal = self.here, self.signal
        self._within(theirs, own)
        last = self.cuts[-1]
        if before is None or last.made.counts != before.counts:
            raise self._refused()
        self.cuts[-1] = replace(last, made=before)
        self.here = before
        return signal

    def _read(self, theirs: Normed, own: Normed) -> None:
        """A layer that reads the channels that are here, and hands them on or makes others."""
        weight, few = theirs.conv.weight, own.conv.weight
        read = self.here or _Channels(torch.zeros(weight.shape[1]), weight.shape[1])
        groups = theirs.groups, own.groups
        is_depthwise = groups == read.counts and groups[0] == len(weight)
        alike = weight.shape[2:] == few.shape[2:] and _steps(theirs) == _steps(own)
        if not alike or not (is_depthwise or groups == (1, 1)) or len(few) > len(weight):
            raise self._refused()
        made = read
        if not is_depthwise:
            read.importance += self.signal.variance.sqrt() * weight.transpose(0, 1).flatten(1).norm(dim=1)
            made = _Channels(torch.zeros(len(weight)), len(few))
        self.cuts.append(_Cut(theirs, own, read, made, self.signal))
        self.signal = self.signal.convolved(theirs)
        self.here = made

    def _refused(self, why: str = "") -> SpaceError:
        return SpaceError(
            "a network must be of convolutions and inverted bottlenecks, which keep their form, to be cut to "
            f"fewer channels, but {self.place}{why}: take another width, or the whole network"
        )


def _steps(layer: Normed) -> object:
    """Strides; of a strided 1x1 convolution what it picks."""
    return getattr(layer.conv, "step", getattr(layer.conv, "stride", None))


def _by_channel(weight: torch.Tensor) -> torch.Tensor:
    """Weights (out, in, k, k) or (out, in), each kernel added up: shape (out, in)."""
    return weight.flatten(2).sum(2) if weight.ndim > 2 else weight

"""The layers of a network that rounds as int8 does; see ``hwnas.train.qat``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from hwnas.blocks.layers import Prepared

_LEVELS = 255
_NOTHING = 1e-9  # narrower ranges and weights are widened to this, as by the exporter's quantiser


class Activation(nn.Module):
    """Rounds values to one of 256 levels; while ``exact``, learns their range instead."""

    low: torch.Tensor
    high: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.exact = False
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))

    def forget(self) -> None:
        """Begin a new range; zero is always part of it."""
        self.low.zero_()
        self.high.zero_()

    def bounds(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Lower end and width of the range that is cut into levels."""
        return self.low, (self.high - self.low).clamp(min=_NOTHING)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape in and out."""
        if self.exact:
            self.low.copy_(torch.minimum(self.low, x.min()))
            self.high.copy_(torch.maximum(self.high, x.max()))
            return x
        low, width = self.bounds()
        scale = width / _LEVELS
        zero = (-128 - torch.round(low / scale)).to(torch.int32)
        return torch.fake_quantize_per_tensor_affine(x, scale, zero, -128, 127)


class Joined(Activation):
    """Rounds a concatenation, as LiteRT does: no finer than what was rounded before it is joined.

    Args:
        parts: What rounds those of its parts that are not rounded for the concatenation alone.
    """

    def __init__(self, parts: Sequence[Activation]) -> None:
        super().__init__()
        self.parts = tuple(parts)  # a tuple, so that they are not its own as well

    def bounds(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Its own, stretched about zero to the width of the widest part."""
        low, width = super().bounds()
        widest = torch.stack([width, *(part.bounds()[1] for part in self.parts)]).max()
        return low * (widest / width), widest


class Moved(Activation):
    """Rounds what lies between rounded values to their levels.

    Args:
        source: What rounds these.
    """

    def __init__(self, source: Activation) -> None:
        super().__init__()
        self.source = (source,)  # a tuple, so that it is not its own as well

    def bounds(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Those of the source."""
        return self.source[0].bounds()


class Weighted(nn.Module):
    """A convolution or linear layer, with the batch norm behind it folded in, of rounded weights."""

    def __init__(self, layer: nn.Conv2d | nn.Linear, norm: nn.BatchNorm2d | None) -> None:
        super().__init__()
        self.exact = False
        self.layer, self.norm = layer, norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What the layer and its batch norm make of (n, c, h, w) or (n, c)."""
        layer, (scale, bias) = self.layer, self._map()
        weight = layer.weight * scale
        if not self.exact:
            weight = _rounded(weight)
        if isinstance(layer, nn.Linear):
            return functional.linear(x, weight, bias)
        if isinstance(layer, Prepared):
            x = layer.prepare(x)
        padding = cast(tuple[int, int], layer.padding)
        return functional.conv2d(x, weight, bias, layer.stride, padding, layer.dilation, layer.groups)

    def settle(self) -> None:
        """Replace the weights by those that rounding leaves after batch norm is folded in."""
        scale, _ = self._map()
        weight = _rounded(self.layer.weight * scale) / scale
        self.layer.weight.copy_(torch.where(scale == 0, self.layer.weight, weight))

    def _map(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What folding multiplies the weights by, in their shape, and the folded bias."""
        weight, bias, norm = self.layer.weight, self.layer.bias, self.norm
        shape = (-1, *(1,) * (weight.ndim - 1))
        if norm is None:
            return weight.new_ones(1).view(shape), bias
        mean, variance = cast(torch.Tensor, norm.running_mean), cast(torch.Tensor, norm.running_var)
        scale, shift = torch.rsqrt(variance + norm.eps), torch.zeros_like(mean)
        if norm.affine:
            scale, shift = scale * norm.weight, norm.bias
        offset = -mean if bias is None else bias - mean
        return scale.view(shape), offset * scale + shift


def _rounded(weight: torch.Tensor) -> torch.Tensor:
    """Weights of 255 levels for each output channel."""
    step = weight.detach().flatten(1).abs().amax(1).clamp(min=_NOTHING) / 127
    zero = torch.zeros_like(step, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, step, zero, 0, -127, 127)


class HardSigmoid(nn.Module):
    """relu6(x + 3) / 6 in two rounded steps, as the exporter writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.clip, self.gate = Activation(), Activation()

    @property
    def last(self) -> Activation:
        """What rounds the result."""
        return self.gate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape in and out."""
        gate: torch.Tensor = self.gate(self.clip(functional.relu6(x + 3)) / 6)
        return gate


class SiLU(nn.Module):
    """x sigmoid(x) in two rounded steps, as the exporter writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.product = Activation(), Activation()

    @property
    def last(self) -> Activation:
        """What rounds the result."""
        return self.product

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape in and out."""
        product: torch.Tensor = self.product(x * self.gate(torch.sigmoid(x)))
        return product


class HardSwish(nn.Module):
    """x relu6(x + 3) / 6 in three rounded steps, as the exporter writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.sigmoid, self.product = HardSigmoid(), Activation()

    @property
    def last(self) -> Activation:
        """What rounds the result."""
        return self.product

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape in and out."""
        product: torch.Tensor = self.product(x * self.sigmoid(x))
        return product

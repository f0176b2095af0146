"""The residual blocks of ResNet (arXiv:1512.03385), of ResNeXt (arXiv:1611.05431) and of RegNet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks import ops
from hwnas.blocks._base import Strided
from hwnas.blocks._key import require, tagged
from hwnas.space import Block, Op, Shape

if TYPE_CHECKING:
    from torch import nn

_ACTIVATIONS = ("relu", "relu6")  # behind a sum


@dataclass(frozen=True)
class ResidualBlock(Strided):
    """Two full convolutions, or a bottleneck of three, added to the input before the last activation.

    Where the shape changes, the input is brought to it by a 1x1 convolution + batch norm.

    Attributes:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Odd kernel of the full convolutions.
        stride: Of the first full convolution, and of the one that the input goes through.
        hidden_channels: Of the bottleneck; 0 for two full convolutions.
        groups: Of the bottleneck's full convolution.
        activation: After all convolutions but the last, and after the sum.
        inner_channels: Between two full convolutions; 0 for ``out_channels``, and in a bottleneck.
    """

    kind: ClassVar[str] = "residual"

    in_channels: int = tagged("i")
    out_channels: int = tagged("o")
    kernel_size: int = tagged("k", 3)
    stride: int = tagged("s", 1)
    hidden_channels: int = tagged("h", 0)
    groups: int = tagged("g", 1)
    activation: str = tagged("a", "relu")
    inner_channels: int = tagged("m", 0, is_usual=True)

    def __post_init__(self) -> None:
        require(self.in_channels > 0 and self.out_channels > 0, self, "channels must be positive")
        require(
            self.kernel_size % 2 == 1 and self.kernel_size > 1, self, "kernel_size must be odd, from 3 on"
        )
        require(self.stride > 0, self, "stride must be positive")
        require(self.hidden_channels >= 0, self, "hidden_channels must be at least 0")
        require(
            self.inner_channels == 0 or (self.inner_channels > 0 and not self.hidden_channels),
            self,
            "inner_channels must be positive, of two full convolutions, or 0",
        )
        if self.inner_channels == self.out_channels:
            object.__setattr__(self, "inner_channels", 0)
        divides = self.groups > 0 and self.hidden_channels % self.groups == 0
        require(
            divides and self.groups <= max(self.hidden_channels, 1),
            self,
            "groups must divide the hidden channels",
        )
        require(self.activation in _ACTIVATIONS, self, f"activation must be one of {_ACTIVATIONS}")

    @property
    def has_projection(self) -> bool:
        """Whether the input goes through a convolution."""
        return self.stride > 1 or self.in_channels != self.out_channels

    @property
    def channels_between(self) -> int:
        """Channels before the last convolution."""
        return self.hidden_channels or self.inner_channels or self.out_channels

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """The body, the projection of the input, the sum."""
        out, kernel = self.out_shape(in_shape), self.kernel_size
        if self.hidden_channels:
            wide, wide_out = (self.hidden_channels, *in_shape[1:]), (self.hidden_channels, *out[1:])
            is_depthwise = self.groups == self.hidden_channels > 1
            full = "depthwise" if is_depthwise else "conv"
            found = [
                ops.conv("pointwise", in_shape, wide),
                ops.conv(full, wide, wide_out, kernel_size=kernel, groups=self.groups),
                ops.conv("pointwise", wide_out, out),
            ]
        else:
            inner = (self.channels_between, *out[1:])
            found = [
                ops.conv("conv", in_shape, inner, kernel_size=kernel),
                ops.conv("conv", inner, out, kernel_size=kernel),
            ]
        if self.has_projection:
            found.append(ops.conv("pointwise", (self.in_channels, *out[1:]), out))
        return (*found, ops.moved("add", 2 * ops.size(out), ops.size(out)))

    def inherit(self, module: nn.Module, other: Block, learned: nn.Module) -> bool:
        """Of a block as wide or wider inside with a kernel as large or larger: its middle, its main channels.

        Groups stay whole: those of the most important channels are kept.
        """
        if super().inherit(module, other, learned):
            return True
        if not isinstance(other, ResidualBlock) or not self._is_part_of(other):
            return False
        import torch

        from hwnas.blocks import inheriting

        own, theirs = inheriting.normed(module), inheriting.normed(learned)
        last = 2 if self.hidden_channels else 1
        with torch.no_grad():
            kept = None
            if self.channels_between < other.channels_between:
                width = other.channels_between // other.groups if other.groups > 1 else 1
                kept = inheriting.most_important(theirs[last - 1], theirs[last], self.channels_between, width)
            own[0].take(theirs[0], kept, None)
            if self.hidden_channels:
                own[1].take(theirs[1], kept, kept if other.groups == 1 else None)
            own[last].take(theirs[last], None, kept)
            if self.has_projection:
                own[-1].take(theirs[-1], None, None)
        return True

    def _is_part_of(self, other: ResidualBlock) -> bool:
        """Whether all that this block has is in the other one as well."""
        alike = ("in_channels", "out_channels", "stride")
        hidden, wider = self.hidden_channels, other.hidden_channels
        is_grouped = self.groups == other.groups == 1 or hidden * other.groups == wider * self.groups
        return (
            all(getattr(self, name) == getattr(other, name) for name in alike)
            and bool(self.hidden_channels) == bool(other.hidden_channels)
            and is_grouped
            and self.kernel_size <= other.kernel_size
            and self.channels_between <= other.channels_between
        )

    def build(self) -> nn.Module:
        """A fresh module, NCHW."""
        from torch import nn

        from hwnas.blocks import layers

        act, out = self.activation, self.out_channels
        if hidden := self.hidden_channels:
            body = [
                *layers.conv_bn(self.in_channels, hidden, 1, activation=act),
                *layers.conv_bn(
                    hidden, hidden, self.kernel_size, stride=self.stride, groups=self.groups, activation=act
                ),
                *layers.conv_bn(hidden, out, 1),
            ]
        else:
            inner, kernel = self.channels_between, self.kernel_size
            body = [
                *layers.conv_bn(self.in_channels, inner, kernel, stride=self.stride, activation=act),
                *layers.conv_bn(inner, out, kernel),
            ]
        short = layers.conv_bn(self.in_channels, out, 1, stride=self.stride) if self.has_projection else []
        return layers.ActivatedResidual(nn.Sequential(*body), nn.Sequential(*short), act)

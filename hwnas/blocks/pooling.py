"""Pooling, cutting and enlarging as blocks of their own, and the classifier that is little else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks import ops
from hwnas.blocks._base import Base, Classifier, Strided
from hwnas.blocks._key import ACTIVATIONS, require, tagged
from hwnas.space import Op, Shape

if TYPE_CHECKING:
    from torch import nn


class _OfChannels(Base):
    """A block that says of its input only how many channels it has."""

    def _check_input(self, in_shape: Shape) -> None:
        channels, height, width = in_shape
        require(channels == self.in_channels, self, f"the input must have in_channels, not {channels}")
        require(height > 0 and width > 0, self, f"the input must not be empty, not {in_shape}")


@dataclass(frozen=True)
class GlobalPool(_OfChannels):
    """The mean over height and width.

    Attributes:
        in_channels: Channels of the input.
        is_flat: Whether the result has no height and width any more, which is the end of a network.
    """

    kind: ClassVar[str] = "globalpool"

    in_channels: int = tagged("i")
    is_flat: bool = tagged("f", False)

    def __post_init__(self) -> None:
        require(self.in_channels > 0, self, "channels must be positive")

    def out_shape(self, in_shape: Shape) -> Shape:
        """Shape (in_channels, 1, 1)."""
        self._check_input(in_shape)
        return self.in_channels, 1, 1

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """The pooling."""
        self._check_input(in_shape)
        return (ops.moved("pool", ops.size(in_shape), self.in_channels),)

    def build(self) -> nn.Module:
        """A fresh module, NCHW."""
        from torch import nn

        return nn.Sequential(nn.AdaptiveAvgPool2d(1), *([nn.Flatten(1)] if self.is_flat else []))


@dataclass(frozen=True)
class MaxPool(_OfChannels):
    """Max pooling.

    Attributes:
        in_channels: Channels of the input.
        kernel_size: Side of the window.
        stride: Of the window.
        margin: Pixels around the input that windows may look at.
        is_ceiling: Whether the last window may look over the edge.
    """

    kind: ClassVar[str] = "maxpool"

    in_channels: int = tagged("i")
    kernel_size: int = tagged("k", 3)
    stride: int = tagged("s", 2)
    margin: int = tagged("p", 0)
    is_ceiling: bool = tagged("c", False)

    def __post_init__(self) -> None:
        require(min(self.in_channels, self.kernel_size, self.stride) > 0, self, "sizes must be positive")
        require(0 <= self.margin <= self.kernel_size // 2, self, "margin must be at most half the kernel")

    def out_shape(self, in_shape: Shape) -> Shape:
        """Shape (in_channels, height, width): as many places as the window has."""
        self._check_input(in_shape)
        height, width = map(self._places, in_shape[1:])
        require(min(height, width) > 0, self, f"the window must fit into its input, not into {in_shape}")
        return self.in_channels, height, width

    def _places(self, length: int) -> int:
        room = length + 2 * self.margin - self.kernel_size
        if not self.is_ceiling:
            return room // self.stride + 1
        count = -(-room // self.stride) + 1
        return count - ((count - 1) * self.stride >= length + self.margin)

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """The pooling."""
        return (ops.moved("max_pool", ops.size(in_shape), ops.size(self.out_shape(in_shape))),)

    def params(self) -> int:
        """None."""
        return 0

    def build(self) -> nn.Module:
        """A fresh module, NCHW."""
        from torch import nn

        return nn.Sequential(
            nn.MaxPool2d(self.kernel_size, self.stride, self.margin, ceil_mode=self.is_ceiling)
        )


@dataclass(frozen=True)
class AveragePool(Strided):
    """Average pooling, where zeros around the image count: a depthwise convolution that does not learn.

    Attributes:
        in_channels: Channels of the input.
        kernel_size: Odd side of the window.
        stride: Of the window.
    """

    kind: ClassVar[str] = "averagepool"

    in_channels: int = tagged("i")
    kernel_size: int = tagged("k", 3)
    stride: int = tagged("s", 1)

    def __post_init__(self) -> None:
        require(min(self.in_channels, self.stride) > 0, self, "sizes must be positive")
        require(
            self.kernel_size % 2 == 1 and self.kernel_size > 1, self, "kernel_size must be odd, from 3 on"
        )

    @property
    def out_channels(self) -> int:  # type: ignore[override]
        """As many as come in."""
        return self.in_channels

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """The convolution, without anything that learns."""
        out = self.out_shape(in_shape)
        conv = ops.conv("depthwise", in_shape, out, kernel_size=self.kernel_size, groups=self.in_channels)
        return (replace(conv, params=0),)

    def build(self) -> nn.Module:
        """A module, NCHW."""
        from torch import nn

        from hwnas.blocks import layers

        return nn.Sequential(layers.Averaging(self.in_channels, self.kernel_size, self.stride))


@dataclass(frozen=True)
class ChannelPart(_OfChannels):
    """Channels ``start`` to ``stop`` of the input, the last one not included."""

    kind: ClassVar[str] = "part"

    in_channels: int = tagged("i")
    start: int = tagged("f")
    stop: int = tagged("t")

    def __post_init__(self) -> None:
        inside = 0 <= self.start < self.stop <= self.in_channels
        require(inside, self, "a part must be of channels that are there")

    def out_shape(self, in_shape: Shape) -> Shape:
        """Shape (stop - start, height, width)."""
        self._check_input(in_shape)
        return (self.stop - self.start, *in_shape[1:])

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """The slice."""
        out = ops.size(self.out_shape(in_shape))
        return (ops.moved("slice", out, out),)

    def build(self) -> nn.Module:
        """A fresh module, NCHW."""
        from torch import nn

        from hwnas.blocks import layers

        return nn.Sequential(layers.ChannelSlice(self.start, self.stop))


@dataclass(frozen=True)
class Finer(_OfChannels):
    """The input a whole number of times as fine, bilinearly between the centres of pixels."""

    kind: ClassVar[str] = "finer"

    in_channels: int = tagged("i")
    factor: int = tagged("f", 2)

    def __post_init__(self) -> None:
        require(self.in_channels > 0 and self.factor > 1, self, "there must be channels, and a factor over 1")

    def out_shape(self, in_shape: Shape) -> Shape:
        """Shape (in_channels, factor * height, factor * width)."""
        self._check_input(in_shape)
        return ops.resized(in_shape, self.factor)[1]

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """The resize."""
        self._check_input(in_shape)
        return (ops.resized(in_shape, self.factor)[0],)

    def build(self) -> nn.Module:
        """A fresh module, NCHW."""
        from torch import nn

        from hwnas.blocks import layers

        return nn.Sequential(layers.Resize(self.factor))


@dataclass(frozen=True)
class PooledHead(Classifier):
    """Global pooling and one or two linear layers.

    Attributes:
        in_channels: Channels of the input.
        hidden_channels: Of the first linear layer; 0 where there is one alone.
        num_classes: Of the last.
        activation: Behind the first of two.
    """

    kind: ClassVar[str] = "pooledhead"

    in_channels: int = tagged("i")
    hidden_channels: int = tagged("h", 0)
    num_classes: int = tagged("c", 1000)
    activation: str = tagged("a", "none")

    def __post_init__(self) -> None:
        require(self.in_channels > 0 and self.num_classes > 0, self, "channels and classes must be positive")
        require(self.hidden_channels >= 0, self, "hidden_channels must be at least 0")
        require(self.activation in ACTIVATIONS, self, f"activation must be one of {ACTIVATIONS}")
        alone = self.hidden_channels == 0 and self.activation != "none"
        require(not alone, self, "an activation must be behind the first of two linear layers")

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """Pooling and linear layers."""
        self.out_shape(in_shape)  # refuses what does not fit
        widths = [
            self.in_channels,
            *([self.hidden_channels] if self.hidden_channels else []),
            self.num_classes,
        ]
        linears = [ops.linear(before, after) for before, after in pairwise(widths)]
        return (ops.moved("pool", ops.size(in_shape), self.in_channels), *linears)

    def build(self) -> nn.Module:
        """A fresh module: NCHW in, (n, num_classes) out."""
        from torch import nn

        from hwnas.blocks import layers

        parts: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten(1)]
        width = self.in_channels
        if self.hidden_channels:
            parts += [nn.Linear(width, self.hidden_channels), *layers.activation_layers(self.activation)]
            width = self.hidden_channels
        return nn.Sequential(*parts, nn.Linear(width, self.num_classes))

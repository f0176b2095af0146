"""Depthwise separable convolutions as cells have them (arXiv:1806.09055, arXiv:1707.07012)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks import ops
from hwnas.blocks._base import Strided
from hwnas.blocks._key import ACTIVATIONS, require, tagged
from hwnas.space import Op, Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class SeparableConv(Strided):
    """Depthwise, then 1x1 convolutions, batch norm behind each and an activation behind the latter.

    Attributes:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Odd kernel of the depthwise ones.
        stride: Of the first.
        layers: How often depthwise and 1x1 follow each other.
        dilation: Pixels between those that the kernel looks at, and one.
        activation: Behind each 1x1 convolution.
    """

    kind: ClassVar[str] = "separable"

    in_channels: int = tagged("i")
    out_channels: int = tagged("o")
    kernel_size: int = tagged("k", 3)
    stride: int = tagged("s", 1)
    layers: int = tagged("n", 2)
    dilation: int = tagged("d", 1)
    activation: str = tagged("a", "relu")

    def __post_init__(self) -> None:
        require(self.in_channels > 0 and self.out_channels > 0, self, "channels must be positive")
        require(
            self.kernel_size % 2 == 1 and self.kernel_size > 1, self, "kernel_size must be odd, from 3 on"
        )
        sizes = min(self.stride, self.layers, self.dilation)
        require(sizes > 0, self, "stride, layers and dilation must be positive")
        require(self.activation in ACTIVATIONS, self, f"activation must be one of {ACTIVATIONS}")

    @property
    def _widths(self) -> tuple[tuple[int, int, int], ...]:
        """Channels in and out and stride of each layer."""
        first = (self.in_channels, self.out_channels, self.stride)
        return (first, *((self.out_channels, self.out_channels, 1),) * (self.layers - 1))

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """The convolutions."""
        self.out_shape(in_shape)  # refuses what does not fit
        found, shape = list[Op](), in_shape
        for _, width, stride in self._widths:
            channels, height, side = shape
            between = (channels, -(-height // stride), -(-side // stride))
            out = (width, *between[1:])
            found.append(ops.conv("depthwise", shape, between, kernel_size=self.kernel_size, groups=channels))
            found.append(ops.conv("pointwise", between, out))
            shape = out
        return tuple(found)

    def build(self) -> nn.Module:
        """A fresh module, NCHW."""
        from torch import nn

        from hwnas.blocks import layers

        kernel, margin = (self.kernel_size,) * 2, self.dilation * (self.kernel_size // 2)
        parts: list[nn.Module] = []
        for channels, width, stride in self._widths:
            depthwise = layers.Bordered(
                channels,
                channels,
                kernel,
                (stride, stride),
                ((margin, margin), (margin, margin)),
                channels,
                dilation=(self.dilation, self.dilation),
            )
            parts += [depthwise, nn.BatchNorm2d(channels)]
            parts += layers.conv_bn(channels, width, 1, activation=self.activation)
        return nn.Sequential(*parts)

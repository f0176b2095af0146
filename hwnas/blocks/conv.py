"""A plain convolution with batch normalisation: the stem of most networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks._key import ACTIVATIONS, encode, require, tagged
from hwnas.space import Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Conv:
    """Convolution + batch norm + activation; padding is half the kernel."""

    kind: ClassVar[str] = "conv"

    in_channels: int = tagged("i")
    out_channels: int = tagged("o")
    kernel_size: int = tagged("k", 3)
    stride: int = tagged("s", 1)
    activation: str = tagged("a", "relu")

    def __post_init__(self) -> None:
        require(self.in_channels > 0 and self.out_channels > 0, self, "channels must be positive")
        require(self.kernel_size % 2 == 1 and self.kernel_size > 0, self, "kernel_size must be odd")
        require(self.stride > 0, self, "stride must be positive")
        require(self.activation in ACTIVATIONS, self, f"activation must be one of {ACTIVATIONS}")

    @property
    def is_identity(self) -> bool:
        """Never: it computes something."""
        return False

    def out_shape(self, in_shape: Shape) -> Shape:
        """Shape (out_channels, ceil(height / stride), ceil(width / stride))."""
        return strided_shape(self, in_shape, self.in_channels, self.out_channels, self.stride)

    def macs(self, in_shape: Shape) -> int:
        """Multiply-adds for one image."""
        _, height, width = self.out_shape(in_shape)
        return self.kernel_size**2 * self.in_channels * self.out_channels * height * width

    def params(self) -> int:
        """Weights, and batch-norm scale and shift."""
        return (self.kernel_size**2 * self.in_channels + 2) * self.out_channels

    def key(self) -> str:
        """Canonical text."""
        return encode(self)

    def build(self) -> nn.Module:
        """A fresh module, NCHW."""
        from torch import nn

        from hwnas.blocks import _layers

        return nn.Sequential(
            *_layers.conv_bn(
                self.in_channels,
                self.out_channels,
                self.kernel_size,
                stride=self.stride,
                activation=self.activation,
            )
        )


def strided_shape(block: object, in_shape: Shape, in_channels: int, out_channels: int, stride: int) -> Shape:
    """Output shape of a half-padded convolution; raises SpaceError where channels do not fit."""
    channels, height, width = in_shape
    require(channels == in_channels, block, f"the input must have in_channels, not {channels}, channels")
    require(height > 0 and width > 0, block, f"the input must not be empty, not {in_shape}")
    return out_channels, -(-height // stride), -(-width // stride)

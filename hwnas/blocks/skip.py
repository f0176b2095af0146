"""The candidate that leaves a layer out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks._key import ACTIVATIONS, encode, require, tagged
from hwnas.blocks.conv import strided_shape
from hwnas.space import Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Skip:
    """Identity; where the shape changes, a 1x1 convolution + batch norm + activation."""

    kind: ClassVar[str] = "skip"

    in_channels: int = tagged("i")
    out_channels: int = tagged("o")
    stride: int = tagged("s", 1)
    activation: str = tagged("a", "relu")

    def __post_init__(self) -> None:
        require(self.in_channels > 0 and self.out_channels > 0, self, "channels must be positive")
        require(self.stride > 0, self, "stride must be positive")
        require(self.activation in ACTIVATIONS, self, f"activation must be one of {ACTIVATIONS}")

    @property
    def is_identity(self) -> bool:
        """True where the shape stays: then there is nothing to compute."""
        return self.stride == 1 and self.in_channels == self.out_channels

    def out_shape(self, in_shape: Shape) -> Shape:
        """Shape (out_channels, ceil(height / stride), ceil(width / stride))."""
        return strided_shape(self, in_shape, self.in_channels, self.out_channels, self.stride)

    def macs(self, in_shape: Shape) -> int:
        """Multiply-adds for one image; 0 for the identity."""
        channels, height, width = self.out_shape(in_shape)
        return 0 if self.is_identity else self.in_channels * channels * height * width

    def params(self) -> int:
        """Weights, and batch-norm scale and shift; 0 for the identity."""
        return 0 if self.is_identity else (self.in_channels + 2) * self.out_channels

    def key(self) -> str:
        """Canonical text."""
        return encode(self)

    def build(self) -> nn.Module:
        """A fresh module, NCHW."""
        from torch import nn

        from hwnas.blocks import _layers

        if self.is_identity:
            return nn.Identity()
        return nn.Sequential(
            *_layers.conv_bn(
                self.in_channels,
                self.out_channels,
                1,
                stride=self.stride,
                activation=self.activation,
            )
        )

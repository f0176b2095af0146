"""A plain convolution with batch normalisation: the stem of most networks."""

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
class Conv(Strided):
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

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """The convolution."""
        kind = "pointwise" if self.kernel_size == 1 else "conv"
        return (ops.conv(kind, in_shape, self.out_shape(in_shape), kernel_size=self.kernel_size),)

    def build(self) -> nn.Module:
        """A fresh module, NCHW."""
        from torch import nn

        from hwnas.blocks import layers

        return nn.Sequential(
            *layers.conv_bn(
                self.in_channels,
                self.out_channels,
                self.kernel_size,
                stride=self.stride,
                activation=self.activation,
            )
        )

"""The candidate that leaves a layer out."""

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
class Skip(Strided):
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

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """The convolution, which reads only the pixels that it uses; nothing for the identity."""
        out = self.out_shape(in_shape)
        if self.is_identity:
            return ()
        return (ops.conv("pointwise", (self.in_channels, *out[1:]), out),)

    def build(self) -> nn.Module:
        """A fresh module, NCHW."""
        from torch import nn

        from hwnas.blocks import layers

        if self.is_identity:
            return nn.Identity()
        return nn.Sequential(
            *layers.conv_bn(
                self.in_channels,
                self.out_channels,
                1,
                stride=self.stride,
                activation=self.activation,
            )
        )

"""A convolution with batch normalisation: the stem of most networks, MobileNetV1's halves of blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks import ops
from hwnas.blocks._base import Strided
from hwnas.blocks._key import ACTIVATIONS, PADDINGS, require, tagged
from hwnas.space import Op, Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Conv(Strided):
    """Convolution + batch norm + activation.

    Attributes:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Odd kernel.
        stride: Of the kernel.
        activation: At the end.
        groups: 1, or as many as there are channels: a depthwise convolution.
        padding: Of a strided kernel: "half" of it on all sides, or "same" as TensorFlow pads; "half" at
            stride 1 and of 1x1 kernels, where there is no difference.
    """

    kind: ClassVar[str] = "conv"

    in_channels: int = tagged("i")
    out_channels: int = tagged("o")
    kernel_size: int = tagged("k", 3)
    stride: int = tagged("s", 1)
    activation: str = tagged("a", "relu")
    groups: int = tagged("g", 1, is_usual=True)
    padding: str = tagged("p", "half", is_usual=True)

    def __post_init__(self) -> None:
        require(self.in_channels > 0 and self.out_channels > 0, self, "channels must be positive")
        require(self.kernel_size % 2 == 1 and self.kernel_size > 0, self, "kernel_size must be odd")
        require(self.stride > 0, self, "stride must be positive")
        require(self.activation in ACTIVATIONS, self, f"activation must be one of {ACTIVATIONS}")
        depthwise = self.groups == self.in_channels == self.out_channels
        require(self.groups == 1 or depthwise, self, "groups must be 1, or as many as channels in and out")
        require(self.padding in PADDINGS, self, f"padding must be one of {PADDINGS}")
        if self.stride == 1 or self.kernel_size == 1:
            object.__setattr__(self, "padding", "half")

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """The convolution."""
        kind = "depthwise" if self.groups > 1 else "pointwise" if self.kernel_size == 1 else "conv"
        out = self.out_shape(in_shape)
        return (ops.conv(kind, in_shape, out, kernel_size=self.kernel_size, groups=self.groups),)

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
                groups=self.groups,
                activation=self.activation,
                padding=self.padding,
            )
        )

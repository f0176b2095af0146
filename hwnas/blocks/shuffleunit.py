"""The unit of ShuffleNetV2 (arXiv:1807.11164, figure 3 c and d)."""

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
class ShuffleUnit(Strided):
    """Two branches that are concatenated and whose channels are then interleaved.

    At stride 1 the left branch is the first half of the channels as it is, and the right branch
    is 1x1 convolution, depthwise kernel, 1x1 convolution of the second half. At a higher stride
    both branches see all channels, and the left one is a depthwise kernel and a 1x1 convolution.

    Attributes:
        in_channels: Channels of the input.
        out_channels: Even; half of them from each branch. Equal to ``in_channels`` at stride 1.
        kernel_size: Odd depthwise kernel.
        stride: Stride of the depthwise convolutions.
        activation: After the 1x1 convolutions.
    """

    kind: ClassVar[str] = "shuffleunit"

    in_channels: int = tagged("i")
    out_channels: int = tagged("o")
    kernel_size: int = tagged("k", 3)
    stride: int = tagged("s", 1)
    activation: str = tagged("a", "relu")

    def __post_init__(self) -> None:
        require(self.in_channels > 0 and self.out_channels > 0, self, "channels must be positive")
        require(self.out_channels % 2 == 0, self, "out_channels must be even")
        require(self.kernel_size % 2 == 1 and self.kernel_size > 0, self, "kernel_size must be odd")
        require(self.stride > 0, self, "stride must be positive")
        same = self.in_channels == self.out_channels
        require(self.stride > 1 or same, self, "channels must stay where the stride is 1")
        require(self.activation in ACTIVATIONS, self, f"activation must be one of {ACTIVATIONS}")

    @property
    def _half(self) -> int:
        return self.out_channels // 2

    @property
    def _right_channels(self) -> int:
        """Channels that the right branch sees."""
        return self.in_channels if self.stride > 1 else self._half

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """The left branch, the right branch, their concatenation and the shuffle."""
        out, kernel = self.out_shape(in_shape), self.kernel_size
        pixels = in_shape[1:]
        half, half_out = (self._half, *pixels), (self._half, *out[1:])
        split = ops.moved("slice", ops.size(half), ops.size(half))
        if self.stride == 1:
            left, right = [split], [split]
        else:
            every = (self.in_channels, *out[1:])
            left = [
                ops.conv("depthwise", in_shape, every, kernel_size=kernel, groups=self.in_channels),
                ops.conv("pointwise", every, half_out),
            ]
            right = []
        right += [
            ops.conv("pointwise", (self._right_channels, *pixels), half),
            ops.conv("depthwise", half, half_out, kernel_size=kernel, groups=self._half),
            ops.conv("pointwise", half_out, half_out),
        ]
        joined = [ops.moved(kind, ops.size(out), ops.size(out)) for kind in ("concat", "shuffle")]
        return (*left, *right, *joined)

    def build(self) -> nn.Module:
        """A fresh module, NCHW."""
        from torch import nn

        from hwnas.blocks import layers

        half, act = self._half, self.activation
        right = [
            *layers.conv_bn(self._right_channels, half, 1, activation=act),
            *layers.conv_bn(half, half, self.kernel_size, stride=self.stride, groups=half),
            *layers.conv_bn(half, half, 1, activation=act),
        ]
        if self.stride > 1:
            left = [
                *layers.conv_bn(
                    self.in_channels,
                    self.in_channels,
                    self.kernel_size,
                    stride=self.stride,
                    groups=self.in_channels,
                ),
                *layers.conv_bn(self.in_channels, half, 1, activation=act),
            ]
        else:
            left = [layers.ChannelSlice(0, half)]
            right.insert(0, layers.ChannelSlice(half, 2 * half))
        return nn.Sequential(
            layers.Branches(nn.Sequential(*left), nn.Sequential(*right)), layers.ChannelShuffle(2)
        )

"""The unit of ShuffleNetV2 (arXiv:1807.11164, figure 3 c and d)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks._key import ACTIVATIONS, encode, require, tagged
from hwnas.blocks.conv import strided_shape
from hwnas.space import Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ShuffleUnit:
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

    @property
    def is_identity(self) -> bool:
        """Never: it computes something."""
        return False

    def out_shape(self, in_shape: Shape) -> Shape:
        """Shape (out_channels, ceil(height / stride), ceil(width / stride))."""
        return strided_shape(self, in_shape, self.in_channels, self.out_channels, self.stride)

    def macs(self, in_shape: Shape) -> int:
        """Multiply-adds for one image; splitting, joining and shuffling have none."""
        _, out_height, out_width = self.out_shape(in_shape)
        pixels, half, taps = out_height * out_width, self._half, self.kernel_size**2
        right = self._right_channels * half * in_shape[1] * in_shape[2] + half * (taps + half) * pixels
        left = self.in_channels * (taps + half) * pixels if self.stride > 1 else 0
        return left + right

    def params(self) -> int:
        """Weights, and batch-norm scales and shifts."""
        half, taps = self._half, self.kernel_size**2
        right = (self._right_channels + 2) * half + (taps + 2) * half + (half + 2) * half
        left = (taps + 2) * self.in_channels + (self.in_channels + 2) * half if self.stride > 1 else 0
        return left + right

    def key(self) -> str:
        """Canonical text."""
        return encode(self)

    def build(self) -> nn.Module:
        """A fresh module, NCHW."""
        from torch import nn

        from hwnas.blocks import _layers

        half, act = self._half, self.activation
        right = [
            *_layers.conv_bn(self._right_channels, half, 1, activation=act),
            *_layers.conv_bn(half, half, self.kernel_size, stride=self.stride, groups=half),
            *_layers.conv_bn(half, half, 1, activation=act),
        ]
        if self.stride > 1:
            left = [
                *_layers.conv_bn(
                    self.in_channels,
                    self.in_channels,
                    self.kernel_size,
                    stride=self.stride,
                    groups=self.in_channels,
                ),
                *_layers.conv_bn(self.in_channels, half, 1, activation=act),
            ]
        else:
            left = [_layers.ChannelSlice(0, half)]
            right.insert(0, _layers.ChannelSlice(half, 2 * half))
        return nn.Sequential(
            _layers.Branches(nn.Sequential(*left), nn.Sequential(*right)), _layers.ChannelShuffle(2)
        )

"""The classifier of MobileNetV3 (arXiv:1905.02244, section 5.1): the widest layer after pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks._key import ACTIVATIONS, encode, require, tagged
from hwnas.space import Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class LateHead:
    """1x1 convolution + batch norm + activation, pooling, linear layer + activation, linear layer.

    Attributes:
        in_channels: Channels of the input.
        conv_channels: Of the 1x1 convolution, which sees every pixel.
        hidden_channels: Of the first linear layer, which has a bias and no batch norm.
        num_classes: Of the second linear layer.
        activation: After the convolution and after the first linear layer.
    """

    kind: ClassVar[str] = "latehead"

    in_channels: int = tagged("i")
    conv_channels: int = tagged("f")
    hidden_channels: int = tagged("h")
    num_classes: int = tagged("c")
    activation: str = tagged("a", "hswish")

    def __post_init__(self) -> None:
        numbers = (self.in_channels, self.conv_channels, self.hidden_channels, self.num_classes)
        require(min(numbers) > 0, self, "channels and classes must be positive")
        require(self.activation in ACTIVATIONS, self, f"activation must be one of {ACTIVATIONS}")

    @property
    def is_identity(self) -> bool:
        """Never: it computes something."""
        return False

    def out_shape(self, in_shape: Shape) -> Shape:
        """Shape (num_classes, 1, 1), although the module answers (n, num_classes)."""
        channels = in_shape[0]
        require(channels == self.in_channels, self, f"the input must have in_channels, not {channels}")
        return self.num_classes, 1, 1

    def macs(self, in_shape: Shape) -> int:
        """Multiply-adds for one image; pooling has none."""
        self.out_shape(in_shape)
        _, height, width = in_shape
        linear = self.hidden_channels * (self.conv_channels + self.num_classes)
        return self.conv_channels * self.in_channels * height * width + linear

    def params(self) -> int:
        """Weights, batch-norm scale and shift, and the biases of both linear layers."""
        conv = self.conv_channels * (self.in_channels + 2)
        hidden = self.hidden_channels * (self.conv_channels + 1)
        return conv + hidden + self.num_classes * (self.hidden_channels + 1)

    def key(self) -> str:
        """Canonical text."""
        return encode(self)

    def build(self) -> nn.Module:
        """A fresh module: NCHW in, (n, num_classes) out."""
        from torch import nn

        from hwnas.blocks import _layers

        return nn.Sequential(
            *_layers.conv_bn(self.in_channels, self.conv_channels, 1, activation=self.activation),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(1),
            nn.Linear(self.conv_channels, self.hidden_channels),
            *_layers.activation_layers(self.activation),
            nn.Linear(self.hidden_channels, self.num_classes),
        )

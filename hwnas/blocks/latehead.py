"""The classifier of MobileNetV3 and V4 (arXiv:1905.02244, section 5.1): the widest layer after pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks import ops
from hwnas.blocks._base import Classifier
from hwnas.blocks._key import ACTIVATIONS, require, tagged
from hwnas.space import Op, Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class LateHead(Classifier):
    """1x1 convolution + batch norm + activation, pooling, linear layer + activation, linear layer.

    Attributes:
        in_channels: Channels of the input.
        conv_channels: Of the 1x1 convolution, which sees every pixel.
        hidden_channels: Of the first linear layer, which has a bias and no batch norm.
        num_classes: Of the second linear layer.
        activation: After the convolution and after the first linear layer.
        is_normed: Whether the first linear layer is a 1x1 convolution of the pooled pixel instead, with a
            batch norm and no bias: MobileNetV4's.
    """

    kind: ClassVar[str] = "latehead"

    in_channels: int = tagged("i")
    conv_channels: int = tagged("f")
    hidden_channels: int = tagged("h")
    num_classes: int = tagged("c")
    activation: str = tagged("a", "hswish")
    is_normed: bool = tagged("n", False, is_usual=True)

    def __post_init__(self) -> None:
        numbers = (self.in_channels, self.conv_channels, self.hidden_channels, self.num_classes)
        require(min(numbers) > 0, self, "channels and classes must be positive")
        require(self.activation in ACTIVATIONS, self, f"activation must be one of {ACTIVATIONS}")
        is_fused = self.activation != "hswish"
        require(is_fused or not self.is_normed, self, "a normed head must have an activation that is fused")

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """Convolution, pooling, two linear layers."""
        self.out_shape(in_shape)  # refuses what does not fit
        wide = (self.conv_channels, *in_shape[1:])
        pooled, hidden = (self.conv_channels, 1, 1), (self.hidden_channels, 1, 1)
        normed = ops.conv("pointwise", pooled, hidden)
        return (
            ops.conv("pointwise", in_shape, wide),
            ops.moved("pool", ops.size(wide), self.conv_channels),
            normed if self.is_normed else ops.linear(self.conv_channels, self.hidden_channels),
            ops.linear(self.hidden_channels, self.num_classes),
        )

    def build(self) -> nn.Module:
        """A fresh module: NCHW in, (n, num_classes) out."""
        from torch import nn

        from hwnas.blocks import layers

        act = self.activation
        conv = layers.conv_bn(self.in_channels, self.conv_channels, 1, activation=act)
        pool, flat = nn.AdaptiveAvgPool2d(1), nn.Flatten(1)
        classifier = nn.Linear(self.hidden_channels, self.num_classes)
        if self.is_normed:
            hidden = layers.conv_bn(self.conv_channels, self.hidden_channels, 1, activation=act)
            return nn.Sequential(*conv, pool, *hidden, flat, classifier)
        linear = nn.Linear(self.conv_channels, self.hidden_channels)
        return nn.Sequential(*conv, pool, flat, linear, *layers.activation_layers(act), classifier)

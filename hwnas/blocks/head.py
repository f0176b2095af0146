"""The classifier at the end of a network."""

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
class Head(Classifier):
    """1x1 convolution + batch norm + activation, global average pooling, linear layer."""

    kind: ClassVar[str] = "head"

    in_channels: int = tagged("i")
    hidden_channels: int = tagged("h")
    num_classes: int = tagged("c")
    activation: str = tagged("a", "relu")

    def __post_init__(self) -> None:
        numbers = (self.in_channels, self.hidden_channels, self.num_classes)
        require(min(numbers) > 0, self, "channels and classes must be positive")
        require(self.activation in ACTIVATIONS, self, f"activation must be one of {ACTIVATIONS}")

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """Convolution, pooling, linear layer."""
        self.out_shape(in_shape)  # refuses what does not fit
        hidden = (self.hidden_channels, *in_shape[1:])
        return (
            ops.conv("pointwise", in_shape, hidden),
            ops.moved("pool", ops.size(hidden), self.hidden_channels),
            ops.linear(self.hidden_channels, self.num_classes),
        )

    def build(self) -> nn.Module:
        """A fresh module: NCHW in, (n, num_classes) out."""
        from torch import nn

        from hwnas.blocks import layers

        return nn.Sequential(
            *layers.conv_bn(self.in_channels, self.hidden_channels, 1, activation=self.activation),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(1),
            nn.Linear(self.hidden_channels, self.num_classes),
        )

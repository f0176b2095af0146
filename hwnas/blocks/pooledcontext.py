"""A decoder for segmentation that reads coarse features alone: DeepLabV3 without its dilated branches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks import ops
from hwnas.blocks._base import Base
from hwnas.blocks._key import ACTIVATIONS, require, tagged
from hwnas.space import Op, Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class PooledContext(Base):
    """A 1x1 convolution of features and one of their mean, joined by another, and logits.

    What arXiv:1801.04381, section 6.3, leaves of DeepLabV3 (arXiv:1706.05587) on phones. Projecting both
    and adding is the same as projecting what is joined side by side.

    Attributes:
        in_channels: Of the features.
        hidden_channels: Of both branches and of what joins them.
        num_classes: Of the logits.
        upscale: How many times as fine as the features the logits are in the end.
        activation: Of the branches, and of what joins them.
    """

    kind: ClassVar[str] = "pooledcontext"

    in_channels: int = tagged("i")
    hidden_channels: int = tagged("h")
    num_classes: int = tagged("c")
    upscale: int = tagged("u", 1)
    activation: str = tagged("a", "relu6")

    def __post_init__(self) -> None:
        numbers = (self.in_channels, self.hidden_channels, self.num_classes, self.upscale)
        require(min(numbers) > 0, self, "channels, classes and upscale must be positive")
        require(self.activation in ACTIVATIONS, self, f"activation must be one of {ACTIVATIONS}")

    def out_shape(self, in_shape: Shape) -> Shape:
        """Logits: shape (num_classes, upscale * height, upscale * width)."""
        channels, height, width = in_shape
        require(
            channels == self.in_channels, self, f"the input must have in_channels, not {channels}, channels"
        )
        return self.num_classes, self.upscale * height, self.upscale * width

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """Both branches, their projections and sum, logits."""
        self.out_shape(in_shape)  # refuses what does not fit
        hidden = (self.hidden_channels, *in_shape[1:])
        mean, small = (in_shape[0], 1, 1), (self.hidden_channels, 1, 1)
        logits = (self.num_classes, *in_shape[1:])
        found = [
            ops.conv("pointwise", in_shape, hidden),
            ops.moved("pool", ops.size(in_shape), in_shape[0]),
            ops.biased(mean, self.hidden_channels),
            ops.conv("pointwise", hidden, hidden),
            ops.biased(small, self.hidden_channels),
            ops.moved("add", ops.size(hidden) + self.hidden_channels, ops.size(hidden)),
            ops.biased(hidden, self.num_classes),
        ]
        return (*found, *([ops.resized(logits, self.upscale)[0]] if self.upscale > 1 else []))

    def build(self) -> nn.Module:
        """A fresh module: features in, NCHW; logits out."""
        from hwnas.blocks import decoders

        return decoders.PooledDecoder(
            self.in_channels, self.hidden_channels, self.num_classes, self.upscale, self.activation
        )

"""A decoder for segmentation: features of several sizes, projected and summed from coarse to fine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks import ops
from hwnas.blocks._base import HALVING, Junction
from hwnas.blocks._key import ACTIVATIONS, require, tagged
from hwnas.space import Op, Shape, Shapes

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class FPNSum(Junction):
    """1x1 projections of all features, added from coarse to fine, then a separable convolution and logits.

    The top-down path of feature pyramids (arXiv:1612.03144), of which only the finest level is used.

    Attributes:
        in_channels: Of the features, the finest first; each is twice as fine as the next.
        hidden_channels: Of the projections.
        num_classes: Of the logits, which are as fine as the finest features.
        kernel_size: Odd kernel of the depthwise convolution.
        activation: After both halves of the separable convolution.
    """

    kind: ClassVar[str] = "fpnsum"

    in_channels: tuple[int, ...] = tagged("i")
    hidden_channels: int = tagged("h")
    num_classes: int = tagged("c")
    kernel_size: int = tagged("k", 5)
    activation: str = tagged("a", "relu6")

    def __post_init__(self) -> None:
        require(len(self.in_channels) > 1, self, "there must be at least two inputs")
        numbers = (*self.in_channels, self.hidden_channels, self.num_classes)
        require(min(numbers) > 0, self, "channels and classes must be positive")
        require(
            self.kernel_size % 2 == 1 and self.kernel_size > 1, self, "kernel_size must be odd, from 3 on"
        )
        require(self.activation in ACTIVATIONS, self, f"activation must be one of {ACTIVATIONS}")

    def out_shape(self, in_shape: Shapes) -> Shape:
        """Logits: shape (num_classes, height, width) of the finest features."""
        self._check_inputs(in_shape)
        return (self.num_classes, *in_shape[0][1:])

    def ops(self, in_shape: Shapes) -> tuple[Op, ...]:
        """Projections, resizes and sums from coarse to fine; the separable convolution; logits."""
        self._check_inputs(in_shape)
        found: list[Op] = []
        above: Shape | None = None
        for shape in reversed(in_shape):
            projected = (self.hidden_channels, *shape[1:])
            found.append(ops.conv("pointwise", shape, projected))
            if above is not None:
                found.append(ops.resized(above, HALVING)[0])
                found.append(ops.moved("add", 2 * ops.size(projected), ops.size(projected)))
            above = projected
        fine, hidden = (self.hidden_channels, *in_shape[0][1:]), self.hidden_channels
        return (
            *found,
            ops.conv("depthwise", fine, fine, kernel_size=self.kernel_size, groups=hidden),
            ops.conv("pointwise", fine, fine),
            ops.biased(fine, self.num_classes),
        )

    def build(self) -> nn.Module:
        """A fresh module: features in, the finest first, NCHW; logits out."""
        from hwnas.blocks import decoders

        return decoders.FPNDecoder(
            self.in_channels, self.hidden_channels, self.num_classes, self.kernel_size, self.activation
        )

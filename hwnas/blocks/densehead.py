"""The head of a detector without anchors: scores and boxes for every pixel of every level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks import ops
from hwnas.blocks._base import Junction
from hwnas.blocks._key import ACTIVATIONS, require, tagged
from hwnas.space import Op, Shapes

if TYPE_CHECKING:
    from torch import nn

_SIDES = 4


@dataclass(frozen=True)
class DenseHead(Junction):
    """On each level separable convolutions, then a 1x1 convolution to scores and one to boxes.

    One stage and no anchors, as in FCOS (arXiv:1904.01355). Scores are logits. Boxes are distances from the
    pixel's centre to the left, upper, right and lower side, in pixels of the level, or with several bins
    logits of a distribution over 0, 1, … of each (arXiv:2006.04388). They are never joined: int8 has one
    scale a tensor.

    Attributes:
        in_channels: Of the features, the finest first; each is twice as fine as the next.
        hidden_channels: Of the convolutions.
        num_classes: Scores a pixel.
        depth: Separable convolutions a level.
        bins: Of each distance; 1 for the distance itself.
        kernel_size: Odd kernel of the depthwise convolutions.
        activation: After both halves of a separable convolution.
    """

    kind: ClassVar[str] = "densehead"

    in_channels: tuple[int, ...] = tagged("i")
    hidden_channels: int = tagged("h")
    num_classes: int = tagged("c")
    depth: int = tagged("d", 2)
    bins: int = tagged("b", 1)
    kernel_size: int = tagged("k", 5)
    activation: str = tagged("a", "relu6")

    def __post_init__(self) -> None:
        require(len(self.in_channels) > 1, self, "there must be at least two inputs")
        numbers = (*self.in_channels, self.hidden_channels, self.num_classes, self.depth, self.bins)
        require(min(numbers) > 0, self, "channels, classes, depth and bins must be positive")
        require(self.kernel_size % 2 == 1 and self.kernel_size > 1, self, "kernel_size must be odd from 3 on")
        require(self.activation in ACTIVATIONS, self, f"activation must be one of {ACTIVATIONS}")

    @property
    def box_channels(self) -> int:
        """Numbers that say the box of a pixel."""
        return _SIDES * self.bins

    def out_shape(self, in_shape: Shapes) -> Shapes:
        """Of each level the shape of scores and that of boxes, as fine as the features."""
        self._check_inputs(in_shape)
        channels = self.num_classes, self.box_channels
        return tuple((count, *shape[1:]) for shape in in_shape for count in channels)

    def ops(self, in_shape: Shapes) -> tuple[Op, ...]:
        """Of each level the separable convolutions, scores and boxes."""
        self._check_inputs(in_shape)
        found = []
        for shape in in_shape:
            for _ in range(self.depth):
                hidden = (self.hidden_channels, *shape[1:])
                groups = shape[0]
                found.append(ops.conv("depthwise", shape, shape, kernel_size=self.kernel_size, groups=groups))
                found.append(ops.conv("pointwise", shape, hidden))
                shape = hidden
            found += [ops.biased(shape, count) for count in (self.num_classes, self.box_channels)]
        return tuple(found)

    def build(self) -> nn.Module:
        """A fresh module: features in, the finest first, NCHW; scores and boxes of each level out."""
        from hwnas.blocks import detectors

        return detectors.DenseTowers(self)

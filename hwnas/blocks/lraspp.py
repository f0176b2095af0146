"""The decoder of MobileNetV3 for segmentation: lite, reduced atrous spatial pyramid pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks import ops
from hwnas.blocks._base import Junction
from hwnas.blocks._key import ACTIVATIONS, require, tagged
from hwnas.space import Op, Shape, Shapes

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class LRASPP(Junction):
    """Coarse features, gated by their own mean, and fine ones: each makes logits, which are added.

    As in arXiv:1905.02244, section 6.4, with a hard sigmoid. Logits are made before they are resized,
    which is the same as after it and cheaper, as there are fewer classes than channels.

    Attributes:
        in_channels: Of the fine and of the coarse features.
        hidden_channels: Of what is made of the coarse ones.
        num_classes: Of the logits.
        step: How many times as fine the fine features are.
        upscale: How many times as fine as these the logits are in the end.
        activation: Of the coarse features.
    """

    kind: ClassVar[str] = "lraspp"

    in_channels: tuple[int, ...] = tagged("i")
    hidden_channels: int = tagged("h")
    num_classes: int = tagged("c")
    step: int = tagged("f")
    upscale: int = tagged("u", 1)
    activation: str = tagged("a", "relu6")

    def __post_init__(self) -> None:
        require(len(self.in_channels) == 2, self, "there must be fine and coarse input channels")
        numbers = (*self.in_channels, self.hidden_channels, self.num_classes, self.upscale)
        require(min(numbers) > 0, self, "channels, classes and upscale must be positive")
        require(self.step > 1, self, "step must be at least 2")
        require(self.activation in ACTIVATIONS, self, f"activation must be one of {ACTIVATIONS}")

    @property
    def steps(self) -> tuple[int, ...]:
        """Of fine to coarse features."""
        return (self.step,)

    def out_shape(self, in_shape: Shapes) -> Shape:
        """Logits: shape (num_classes, upscale * height, upscale * width) of the fine features."""
        self._check_inputs(in_shape)
        _, height, width = in_shape[0]
        return self.num_classes, self.upscale * height, self.upscale * width

    def ops(self, in_shape: Shapes) -> tuple[Op, ...]:
        """The coarse branch with its gate, its logits, those of the fine features, and their sum."""
        self._check_inputs(in_shape)
        fine, coarse = in_shape
        hidden, mean = (self.hidden_channels, *coarse[1:]), (coarse[0], 1, 1)
        resize, resized = ops.resized((self.num_classes, *coarse[1:]), self.step)
        found = [
            ops.conv("pointwise", coarse, hidden),
            ops.moved("pool", ops.size(coarse), coarse[0]),
            ops.biased(mean, self.hidden_channels),
            ops.moved("scale", ops.size(hidden) + self.hidden_channels, ops.size(hidden)),
            ops.biased(hidden, self.num_classes),
            resize,
            ops.biased(fine, self.num_classes),
            ops.moved("add", 2 * ops.size(resized), ops.size(resized)),
        ]
        return (*found, *([ops.resized(resized, self.upscale)[0]] if self.upscale > 1 else []))

    def build(self) -> nn.Module:
        """A fresh module: fine and coarse features in, NCHW; logits out."""
        from hwnas.blocks import decoders

        return decoders.LRASPPDecoder(
            self.in_channels,
            self.hidden_channels,
            self.num_classes,
            (self.step, self.upscale),
            self.activation,
        )

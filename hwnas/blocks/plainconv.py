"""Any convolution, as networks of others have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks._base import Base
from hwnas.blocks._key import FUNCTIONS, require, tagged
from hwnas.blocks.ops import size
from hwnas.space import Op, Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class PlainConv(Base):
    """Convolution with a batch norm or a bias, and an activation: any kernel, stride, border and groups.

    Attributes:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Height and width.
        strides: Of height and width.
        border: Zeros above, below, to the left and to the right.
        groups: Of channels.
        activation: At the end.
        is_normed: Whether there is a batch norm; else there is a bias.
        dilation: How far the pixels of the kernel are apart, in height and in width.
    """

    kind: ClassVar[str] = "plainconv"

    in_channels: int = tagged("i")
    out_channels: int = tagged("o")
    kernel: tuple[int, ...] = tagged("k", (3, 3))
    strides: tuple[int, ...] = tagged("s", (1, 1))
    border: tuple[int, ...] = tagged("p", (1, 1, 1, 1))
    groups: int = tagged("g", 1)
    activation: str = tagged("a", "relu")
    is_normed: bool = tagged("n", True)
    dilation: tuple[int, ...] = tagged("d", (1, 1), is_usual=True)

    def __post_init__(self) -> None:
        require(self.in_channels > 0 and self.out_channels > 0, self, "channels must be positive")
        pairs = self.kernel, self.strides, self.dilation
        for two in pairs:
            fits = len(two) == 2 and min(two) > 0
            require(fits, self, "kernel, strides and dilation must be two positive numbers each")
        require(
            len(self.border) == 4 and min(self.border) >= 0, self, "a border must be four numbers from 0 on"
        )
        divides = self.groups > 0 and self.in_channels % self.groups == self.out_channels % self.groups == 0
        require(divides, self, "groups must divide both channel numbers")
        require(self.activation in FUNCTIONS, self, f"activation must be one of {FUNCTIONS}")

    @property
    def _window(self) -> tuple[int, ...]:
        """Height and width of what the kernel lies over."""
        return tuple((size - 1) * apart + 1 for size, apart in zip(self.kernel, self.dilation, strict=True))

    @property
    def _is_strided_pointwise(self) -> bool:
        """Whether pixels are picked: see ``layers.StridedPointwise``."""
        is_point = self.kernel == (1, 1) and not any(self.border)
        return is_point and self.strides[0] == self.strides[1] > 1

    def out_shape(self, in_shape: Shape) -> Shape:
        """Shape (out_channels, height, width): as many places as the kernel has in the bordered input."""
        channels, *sizes = in_shape
        require(channels == self.in_channels, self, f"the input must have in_channels, not {channels}")
        (top, bottom, left, right), found = self.border, []
        for length, zeros, window, step in zip(
            sizes, (top + bottom, left + right), self._window, self.strides, strict=True
        ):
            found.append((length + zeros - window) // step + 1)
        require(min(found) > 0, self, f"the kernel must fit into its input, not into {in_shape}")
        return self.out_channels, found[0], found[1]

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """The convolution."""
        out = self.out_shape(in_shape)
        weights = self.kernel[0] * self.kernel[1] * self.in_channels * self.out_channels // self.groups
        read = (self.in_channels, *out[1:]) if self._is_strided_pointwise else in_shape
        return (
            Op(
                self._operation,
                weights * out[1] * out[2],
                size(read),
                size(out),
                weights,
                self.out_channels,
                weights + (2 if self.is_normed else 1) * self.out_channels,
                self.kernel[0],
            ),
        )

    @property
    def _operation(self) -> str:
        if self.groups == self.in_channels == self.out_channels and self.groups > 1:
            return "depthwise"
        if self.kernel == (1, 1):
            return "pointwise" if self.groups == 1 else "grouped"
        return "conv"

    def params(self) -> int:
        """Trainable parameters."""
        height, width = self._window
        return sum(op.params for op in self.ops((self.in_channels, height, width)))

    def build(self) -> nn.Module:
        """A fresh module, NCHW."""
        from torch import nn

        from hwnas.blocks import layers

        channels, bias = (self.in_channels, self.out_channels), not self.is_normed
        conv: nn.Module
        if self._is_strided_pointwise:
            conv = layers.StridedPointwise(*channels, self.strides[0], self.groups, bias)
        else:
            kernel, strides, dilation = ((v[0], v[1]) for v in (self.kernel, self.strides, self.dilation))
            above, below, before, after = self.border
            border = (above, below), (before, after)
            conv = layers.Bordered(*channels, kernel, strides, border, self.groups, bias, dilation)
        norm = [nn.BatchNorm2d(self.out_channels)] if self.is_normed else []
        return nn.Sequential(conv, *norm, *layers.activation_layers(self.activation))

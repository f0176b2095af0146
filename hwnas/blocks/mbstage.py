"""A stage of equal inverted residual blocks: what MnasNet (arXiv:1807.11626) decides at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks._base import Strided
from hwnas.blocks._key import require, tagged
from hwnas.blocks.mbconv import MBConv
from hwnas.space import Op, Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class MBStage(Strided):
    """``layers`` MBConvs in a row; the first changes channels and resolution.

    Attributes:
        in_channels: Channels of the input of the first layer.
        out_channels: Channels of every output.
        layers: Number of MBConvs.
        kernel_size: Odd depthwise kernel.
        stride: Stride of the first layer.
        expansion_ratio: Hidden channels over input channels, of each layer.
        se_ratio: Hidden channels of squeeze-excite over *expanded* channels; 0 leaves it out.
        activation: As of MBConv.
        has_expansion: Whether the 1x1 expansions are there.
    """

    kind: ClassVar[str] = "mbstage"

    in_channels: int = tagged("i")
    out_channels: int = tagged("o")
    layers: int = tagged("n", 1)
    kernel_size: int = tagged("k", 3)
    stride: int = tagged("s", 1)
    expansion_ratio: float = tagged("e", 6.0)
    se_ratio: float = tagged("se", 0.0)
    activation: str = tagged("a", "relu")
    has_expansion: bool = tagged("x", True)

    def __post_init__(self) -> None:
        first = self._layer(self.in_channels, self.stride)  # refuses what an MBConv refuses
        object.__setattr__(self, "expansion_ratio", first.expansion_ratio)
        object.__setattr__(self, "se_ratio", first.se_ratio)
        require(self.layers > 0, self, "layers must be positive")

    @property
    def blocks(self) -> tuple[MBConv, ...]:
        """The MBConvs in order."""
        rest = self._layer(self.out_channels, 1)
        return (self._layer(self.in_channels, self.stride), *(rest,) * (self.layers - 1))

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """Those of its layers."""
        found: list[Op] = []
        shape = in_shape
        for block in self.blocks:
            found += block.ops(shape)
            shape = block.out_shape(shape)
        return tuple(found)

    def build(self) -> nn.Module:
        """A fresh module, NCHW."""
        from torch import nn

        return nn.Sequential(*(block.build() for block in self.blocks))

    def _layer(self, in_channels: int, stride: int) -> MBConv:
        return MBConv(
            in_channels,
            self.out_channels,
            self.kernel_size,
            stride,
            self.expansion_ratio,
            se_ratio=self.se_ratio,
            activation=self.activation,
            has_expansion=self.has_expansion,
        )

"""A convolution and the max pooling after it: the stem of ShuffleNetV2 (arXiv:1807.11164)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks import ops
from hwnas.blocks._base import Base
from hwnas.blocks._key import require, tagged
from hwnas.blocks.conv import Conv
from hwnas.space import Op, Shape

if TYPE_CHECKING:
    from torch import nn

_POOL_KERNEL, _POOL_STRIDE = 3, 2


@dataclass(frozen=True)
class ConvPool(Base):
    """Convolution + batch norm + ReLU, then max pooling with kernel 3, stride 2, padding 1.

    One block and not two: only after a ReLU is a pixel of padding the same in every runtime,
    be it zero or minus infinity.
    """

    kind: ClassVar[str] = "convpool"

    in_channels: int = tagged("i")
    out_channels: int = tagged("o")
    kernel_size: int = tagged("k", 3)
    stride: int = tagged("s", 2)
    activation: str = tagged("a", "relu")

    def __post_init__(self) -> None:
        require(self.activation in ("relu", "relu6"), self, "activation must be relu or relu6")
        _ = self._conv  # refuses what a Conv refuses

    @property
    def _conv(self) -> Conv:
        return Conv(self.in_channels, self.out_channels, self.kernel_size, self.stride, self.activation)

    def out_shape(self, in_shape: Shape) -> Shape:
        """Shape (out_channels, ceil(height / 2 stride), ceil(width / 2 stride))."""
        channels, height, width = self._conv.out_shape(in_shape)
        return channels, -(-height // _POOL_STRIDE), -(-width // _POOL_STRIDE)

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """The convolution and the pooling."""
        between, out = self._conv.out_shape(in_shape), self.out_shape(in_shape)
        return (*self._conv.ops(in_shape), ops.moved("max_pool", ops.size(between), ops.size(out)))

    def build(self) -> nn.Module:
        """A fresh module, NCHW."""
        from torch import nn

        pool = nn.MaxPool2d(_POOL_KERNEL, _POOL_STRIDE, padding=_POOL_KERNEL // 2)
        return nn.Sequential(self._conv.build(), pool)

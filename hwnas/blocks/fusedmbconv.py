"""The fused inverted residual block of EfficientNet-EdgeTPU and EfficientNetV2 (arXiv:2104.00298)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks import ops
from hwnas.blocks._base import Bottleneck
from hwnas.blocks._key import require, tagged
from hwnas.blocks.mbconv import MBConv
from hwnas.space import Block, Op, Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class FusedMBConv(Bottleneck):
    """A full convolution in the place of 1x1 expansion and depthwise kernel, then the 1x1 projection.

    More multiply-adds than ``MBConv`` has, in fewer operations that processors are better at.

    Attributes:
        in_channels: Channels of the input.
        out_channels: Channels of the output; a residual is added where the shape stays.
        kernel_size: Odd kernel of the full convolution.
        stride: Stride of the full convolution.
        expansion_ratio: Hidden channels over input channels; the product is rounded.
        activation: After the full convolution.
        padding: Of a strided kernel: "half" of it on all sides, or "same" as TensorFlow pads; "half" at
            stride 1 and of 1x1 kernels, where there is no difference.
    """

    kind: ClassVar[str] = "fusedmbconv"

    in_channels: int = tagged("i")
    out_channels: int = tagged("o")
    kernel_size: int = tagged("k", 3)
    stride: int = tagged("s", 1)
    expansion_ratio: float = tagged("e", 4.0)
    activation: str = tagged("a", "relu")
    padding: str = tagged("p", "half", is_usual=True)

    def __post_init__(self) -> None:
        self._check()
        require(self.kernel_size % 2 == 1 and self.kernel_size > 0, self, "kernel_size must be odd")
        if self.stride == 1 or self.kernel_size == 1:
            object.__setattr__(self, "padding", "half")

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """Full convolution, projection, residual; a strided 1x1 kernel reads only the pixels that it uses."""
        out, kernel = self.out_shape(in_shape), self.kernel_size
        wide = (self.hidden_channels, *out[1:])
        if kernel == 1:
            found = [ops.conv("pointwise", (self.in_channels, *out[1:]), wide)]
        else:
            found = [ops.conv("conv", in_shape, wide, kernel_size=kernel)]
        found.append(ops.conv("pointwise", wide, out))
        if self.has_residual:
            found.append(ops.moved("add", 2 * ops.size(out), ops.size(out)))
        return tuple(found)

    def inherit(self, module: nn.Module, other: Block, learned: nn.Module) -> bool:
        """Of a block as wide or wider with a kernel as large or larger: its middle, its main channels.

        An ``MBConv`` gives each hidden channel its depthwise kernel times its expansion: the activation
        between them is left out, so that batch-norm statistics must be estimated anew.
        """
        if super().inherit(module, other, learned):
            return True
        if not isinstance(other, FusedMBConv | MBConv) or not self._is_part_of(other):
            return False
        import torch

        from hwnas.blocks import inheriting

        (first, last), (*begin, middle, project) = inheriting.normed(module), inheriting.normed(learned)
        with torch.no_grad():
            kept = None
            if self.hidden_channels < other.hidden_channels:
                kept = inheriting.most_important(middle, project, self.hidden_channels)
            if begin:
                first.multiply(begin[0], middle, kept)
            else:
                first.take(middle, kept, None)
            last.take(project, None, kept)
        return True

    def _is_part_of(self, other: FusedMBConv | MBConv) -> bool:
        """Whether all that this block has is in the other one as well."""
        if isinstance(other, MBConv) and (not other.has_expansion or other.groups > 1 or other.se_channels):
            return False
        alike = ("in_channels", "out_channels", "stride")
        return (
            all(getattr(self, name) == getattr(other, name) for name in alike)
            and self.kernel_size <= other.kernel_size
            and self.hidden_channels <= other.hidden_channels
        )

    def build(self) -> nn.Module:
        """A fresh module, NCHW."""
        from torch import nn

        from hwnas.blocks import layers

        hidden = self.hidden_channels
        body = nn.Sequential(
            *layers.conv_bn(
                self.in_channels,
                hidden,
                self.kernel_size,
                stride=self.stride,
                activation=self.activation,
                padding=self.padding,
            ),
            *layers.conv_bn(hidden, self.out_channels, 1),
        )
        return layers.Residual(body) if self.has_residual else body

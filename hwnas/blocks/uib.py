"""The universal inverted bottleneck of MobileNetV4 (arXiv:2404.10518, section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks import ops
from hwnas.blocks._base import Bottleneck
from hwnas.blocks._key import require, tagged
from hwnas.space import Block, Op, Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class UniversalInvertedBottleneck(Bottleneck):
    """Depthwise kernel, 1x1 expansion, depthwise kernel, 1x1 projection; either kernel may be missing.

    With the middle kernel alone it is an inverted residual, with the first alone a block of ConvNeXt,
    with both "ExtraDW", with none a feed-forward network.

    Attributes:
        in_channels: Channels of the input.
        out_channels: Channels of the output; a residual is added where the shape stays.
        start_kernel: Odd kernel of the depthwise convolution before the expansion, which has no
            activation; 0 leaves it out.
        middle_kernel: Odd kernel of the one between expansion and projection; 0 leaves it out.
        stride: Of the middle kernel, or of the first where there is no middle one.
        expansion_ratio: Hidden channels over input channels; the product is rounded.
        activation: After the expansion and after the middle kernel.
        padding: Of a strided kernel: "half" of it on all sides, or "same" as TensorFlow pads; "half" at
            stride 1, where there is no difference.
    """

    kind: ClassVar[str] = "uib"

    in_channels: int = tagged("i")
    out_channels: int = tagged("o")
    start_kernel: int = tagged("b", 0)
    middle_kernel: int = tagged("k", 3)
    stride: int = tagged("s", 1)
    expansion_ratio: float = tagged("e", 4.0)
    activation: str = tagged("a", "relu")
    padding: str = tagged("p", "half", is_usual=True)

    def __post_init__(self) -> None:
        self._check()
        kernels = (self.start_kernel, self.middle_kernel)
        require(
            all(k == 0 or (k > 1 and k % 2) for k in kernels), self, "kernels must be 0, or odd from 3 on"
        )
        require(self.stride == 1 or any(kernels), self, "stride must be 1 where there is no kernel")
        if self.stride == 1:
            object.__setattr__(self, "padding", "half")

    @property
    def _start_stride(self) -> int:
        return 1 if self.middle_kernel else self.stride

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """Depthwise convolution, expansion, depthwise convolution, projection, residual."""
        hidden, out = self.hidden_channels, self.out_shape(in_shape)
        pixels = in_shape[1:] if self.middle_kernel else out[1:]
        start, wide, wide_out = (self.in_channels, *pixels), (hidden, *pixels), (hidden, *out[1:])
        found: list[Op] = []
        if kernel := self.start_kernel:
            groups = self.in_channels
            found.append(ops.conv("depthwise", in_shape, start, kernel_size=kernel, groups=groups))
        found.append(ops.conv("pointwise", start, wide))
        if kernel := self.middle_kernel:
            found.append(ops.conv("depthwise", wide, wide_out, kernel_size=kernel, groups=hidden))
        found.append(ops.conv("pointwise", wide_out, out))
        if self.has_residual:
            found.append(ops.moved("add", 2 * ops.size(out), ops.size(out)))
        return tuple(found)

    def inherit(self, module: nn.Module, other: Block, learned: nn.Module) -> bool:
        """Of a block as wide or wider with kernels as large or larger: their middle, its main channels.

        A first kernel that is not here was linear: what it does to even features goes into the expansion.
        """
        if super().inherit(module, other, learned):
            return True
        if not isinstance(other, UniversalInvertedBottleneck) or not self._is_part_of(other):
            return False
        import torch

        from hwnas.blocks import inheriting

        own, theirs = inheriting.normed(module), inheriting.normed(learned)
        with torch.no_grad():
            kept = None
            if self.hidden_channels < other.hidden_channels:
                kept = inheriting.most_important(theirs[-2], theirs[-1], self.hidden_channels)
            if self.start_kernel:
                own[0].take(theirs[0], None, None)
            expand = own[bool(self.start_kernel)]
            expand.take(theirs[bool(other.start_kernel)], kept, None)
            if other.start_kernel and not self.start_kernel:
                expand.absorb(theirs[0])
            if self.middle_kernel:
                own[-2].take(theirs[-2], kept, None)
            own[-1].take(theirs[-1], None, kept)
        return True

    def _is_part_of(self, other: UniversalInvertedBottleneck) -> bool:
        """Whether all that this block has is in the other one as well, and nothing between is missing."""
        alike = ("in_channels", "out_channels", "stride")
        return (
            all(getattr(self, name) == getattr(other, name) for name in alike)
            and self.start_kernel <= other.start_kernel
            and bool(self.middle_kernel) == bool(other.middle_kernel)
            and self.middle_kernel <= other.middle_kernel
            and self.hidden_channels <= other.hidden_channels
        )

    def build(self) -> nn.Module:
        """A fresh module, NCHW."""
        from torch import nn

        from hwnas.blocks import layers

        def depthwise(channels: int, kernel: int, stride: int, activation: str = "none") -> list[nn.Module]:
            return layers.conv_bn(
                channels,
                channels,
                kernel,
                stride=stride,
                groups=channels,
                activation=activation,
                padding=self.padding,
            )

        hidden, act = self.hidden_channels, self.activation
        parts: list[nn.Module] = []
        if self.start_kernel:
            parts += depthwise(self.in_channels, self.start_kernel, self._start_stride)
        parts += layers.conv_bn(self.in_channels, hidden, 1, activation=act)
        if self.middle_kernel:
            parts += depthwise(hidden, self.middle_kernel, self.stride, act)
        parts += layers.conv_bn(hidden, self.out_channels, 1)
        body = nn.Sequential(*parts)
        return layers.Residual(body) if self.has_residual else body

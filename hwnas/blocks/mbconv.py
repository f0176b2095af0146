"""The inverted residual block of MobileNetV2 (arXiv:1801.04381) in all its variants."""

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
class MBConv(Bottleneck):
    """1x1 expansion, depthwise kernel, optional squeeze-excite, 1x1 projection.

    Attributes:
        in_channels: Channels of the input.
        out_channels: Channels of the output; a residual is added where the shape stays.
        kernel_size: Odd depthwise kernel.
        stride: Stride of the depthwise convolution.
        expansion_ratio: Hidden channels over input channels; the product is rounded.
        groups: Groups of both 1x1 convolutions; over 1, channels are shuffled after the
            expansion (FBNet, arXiv:1812.03443, figure 3).
        se_ratio: Hidden channels of squeeze-excite over *expanded* channels; 0 leaves it out.
        activation: After the expansion and after the depthwise convolution.
        has_expansion: Whether the 1x1 expansion is there. MobileNetV2 leaves it out where
            the ratio is 1; FBNet keeps it.
        padding: Of a strided kernel: "half" of it on all sides, or "same" as TensorFlow pads; "half" at
            stride 1, where there is no difference.
    """

    kind: ClassVar[str] = "mbconv"

    in_channels: int = tagged("i")
    out_channels: int = tagged("o")
    kernel_size: int = tagged("k", 3)
    stride: int = tagged("s", 1)
    expansion_ratio: float = tagged("e", 6.0)
    groups: int = tagged("g", 1)
    se_ratio: float = tagged("se", 0.0)
    activation: str = tagged("a", "relu")
    has_expansion: bool = tagged("x", True)
    padding: str = tagged("p", "half", is_usual=True)

    def __post_init__(self) -> None:
        self._check()
        object.__setattr__(self, "se_ratio", float(f"{self.se_ratio:g}"))
        require(self.kernel_size % 2 == 1 and self.kernel_size > 0, self, "kernel_size must be odd")
        require(self.groups > 0, self, "groups must be positive")
        divided = (self.in_channels, self.hidden_channels, self.out_channels)
        require(all(c % self.groups == 0 for c in divided), self, "groups must divide all channel numbers")
        require(0 <= self.se_ratio <= 1, self, "se_ratio must be in [0, 1]")
        require(
            self.has_expansion or self.hidden_channels == self.in_channels,
            self,
            "only a block of expansion ratio 1 may leave out the expansion",
        )
        require(self.has_expansion or self.groups == 1, self, "a grouped block must have its expansion")
        if self.stride == 1 or self.kernel_size == 1:
            object.__setattr__(self, "padding", "half")

    @property
    def se_channels(self) -> int:
        """Hidden channels of squeeze-excite; 0 where there is none."""
        return max(1, round(self.hidden_channels * self.se_ratio)) if self.se_ratio else 0

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """Expansion, shuffle, depthwise convolution, squeeze-excite, projection, residual."""
        hidden, out = self.hidden_channels, self.out_shape(in_shape)
        wide, wide_out = (hidden, *in_shape[1:]), (hidden, *out[1:])
        pointwise = "pointwise" if self.groups == 1 else "grouped"
        found: list[Op] = []
        if self.has_expansion:
            found.append(ops.conv(pointwise, in_shape, wide, groups=self.groups))
        if self.groups > 1:
            found.append(ops.moved("shuffle", ops.size(wide), ops.size(wide)))
        found.append(ops.conv("depthwise", wide, wide_out, kernel_size=self.kernel_size, groups=hidden))
        if self.se_channels:
            found += [
                ops.moved("pool", ops.size(wide_out), hidden),
                ops.linear(hidden, self.se_channels),
                ops.linear(self.se_channels, hidden),
                ops.moved("scale", ops.size(wide_out) + hidden, ops.size(wide_out)),
            ]
        found.append(ops.conv(pointwise, wide_out, out, groups=self.groups))
        if self.has_residual:
            found.append(ops.moved("add", 2 * ops.size(out), ops.size(out)))
        return tuple(found)

    def inherit(self, module: nn.Module, other: Block, learned: nn.Module) -> bool:
        """Of a block as wide or wider with a kernel as large or larger: its middle, its main channels.

        Squeeze-excite that is not here is left out. Groups must be the same; or there was one and all hidden
        channels stay, which are dealt to the groups so that little is cut off.
        """
        if super().inherit(module, other, learned):
            return True
        if not isinstance(other, MBConv) or not self._is_part_of(other):
            return False
        import torch

        from hwnas.blocks import inheriting

        own, theirs = inheriting.normed(module), inheriting.normed(learned)
        with torch.no_grad():
            *_, depthwise, project = [layer for layer in theirs if layer.norm is not None]
            kept = made = None
            if self.hidden_channels < other.hidden_channels:
                kept = made = inheriting.most_important(depthwise, project, self.hidden_channels)
            if self.groups > other.groups:
                kept = inheriting.dealt(theirs[0], project, self.groups)
                made = inheriting.before_shuffle(kept, self.groups)
            if self.has_expansion:
                own[0].take(theirs[0], made, None)
            own[self.has_expansion].take(depthwise, kept, None)
            own[-1].take(project, None, kept)
            if self.se_channels and other.se_channels:
                reduce, expand = (layer for layer in theirs if layer.norm is None)
                few = torch.arange(self.se_channels, device=reduce.conv.weight.device)
                own[-3].take(reduce, few, kept)
                own[-2].take(expand, kept, few)
        return True

    def _is_part_of(self, other: MBConv) -> bool:
        """Whether all that this block has is in the other one as well."""
        alike = ("in_channels", "out_channels", "stride", "has_expansion")
        return (
            all(getattr(self, name) == getattr(other, name) for name in alike)
            and other.groups in (1, self.groups)
            and self.kernel_size <= other.kernel_size
            and self.hidden_channels <= other.hidden_channels
            and self.se_channels <= other.se_channels
            and (self.groups == 1 or self.hidden_channels == other.hidden_channels)
        )

    def build(self) -> nn.Module:
        """A fresh module, NCHW."""
        from torch import nn

        from hwnas.blocks import layers

        hidden, act = self.hidden_channels, self.activation
        parts: list[nn.Module] = []
        if self.has_expansion:
            parts += layers.conv_bn(self.in_channels, hidden, 1, groups=self.groups, activation=act)
        if self.groups > 1:
            parts.append(layers.ChannelShuffle(self.groups))
        parts += layers.conv_bn(
            hidden,
            hidden,
            self.kernel_size,
            stride=self.stride,
            groups=hidden,
            activation=act,
            padding=self.padding,
        )
        if self.se_channels:
            parts.append(layers.SqueezeExcite(hidden, self.se_channels))
        parts += layers.conv_bn(hidden, self.out_channels, 1, groups=self.groups)
        body = nn.Sequential(*parts)
        return layers.Residual(body) if self.has_residual else body

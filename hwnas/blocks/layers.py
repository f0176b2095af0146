"""PyTorch layers that the blocks are built from. Imported only when a block is built."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from threading import get_ident
from typing import Any, cast

import torch
from torch import fx, nn

from hwnas.quiet import ALONE

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hswish": nn.Hardswish,
    "hsigmoid": nn.Hardsigmoid,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
}


def conv_bn(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: str = "none",
    padding: str = "half",
) -> list[nn.Module]:
    """Convolution, batch normalisation and, unless it is "none", an activation."""
    conv: nn.Conv2d
    if kernel_size == 1 and stride > 1:
        conv = StridedPointwise(in_channels, out_channels, stride, groups)
    elif padding == "same" and stride > 1:
        conv = SamePadded(in_channels, out_channels, kernel_size, stride, groups=groups, bias=False)
    else:
        conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=False,
        )
    return [conv, nn.BatchNorm2d(out_channels), *activation_layers(activation)]


def activation_layers(name: str) -> list[nn.Module]:
    """The activation of a name; nothing where it is "none"."""
    return [] if name == "none" else [_ACTIVATIONS[name]()]


class Prepared(nn.Conv2d):
    """A convolution of what ``prepare`` makes of its input: one operation wherever it is traced."""

    def prepare(self, x: torch.Tensor) -> torch.Tensor:
        """What is convolved: shape (n, c, h, w) in, other heights and widths out."""
        raise NotImplementedError

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Shape (n, c, h, w) in, (n, out_channels, ceil(h / step), ceil(w / step)) out."""
        return super().forward(self.prepare(input))


class StridedPointwise(Prepared):
    """A strided 1x1 convolution as what it is: pixels are picked, then convolved at stride 1.

    Never as ``nn.Conv2d(..., 1, stride)``: oneDNN 3.12 (torch 2.13) writes outside its memory in
    the weight gradient of that on CPUs with AVX-512. Exported it is one strided convolution.

    Attributes:
        step: Every so many rows and columns are used; ``stride`` is that of the convolution, 1.
    """

    def __init__(
        self, in_channels: int, out_channels: int, step: int, groups: int = 1, bias: bool = False
    ) -> None:
        super().__init__(in_channels, out_channels, 1, groups=groups, bias=bias)
        self.step = step

    def prepare(self, x: torch.Tensor) -> torch.Tensor:
        """The pixels that are used: (n, c, h, w) to (n, c, ceil(h / step), ceil(w / step))."""
        return x[:, :, :: self.step, :: self.step]


class SamePadded(Prepared):
    """A strided convolution padded as TensorFlow does for ``SAME``: an odd row or column goes to the end.

    At stride 2 on even sizes that is one row less above than PyTorch pads, and one pixel further
    that the kernel looks; at stride 1 there is no difference.
    """

    def pads(self, height: int, width: int) -> Pads:
        """Zeros before and after, of height and of width."""
        return tuple(  # type: ignore[return-value]
            same_pads(length, window, step)
            for length, window, step in zip((height, width), self.kernel_size, self.stride, strict=True)
        )

    def prepare(self, x: torch.Tensor) -> torch.Tensor:
        """With its border of zeros."""
        (top, bottom), (left, right) = self.pads(x.shape[2], x.shape[3])
        return nn.functional.pad(x, (left, right, top, bottom))


class Bordered(Prepared):
    """A convolution with a number of zeros of its own on each side."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int],
        stride: tuple[int, int],
        border: Pads,
        groups: int = 1,
        bias: bool = False,
        dilation: tuple[int, int] = (1, 1),
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, groups=groups, bias=bias, dilation=dilation
        )
        self.border = border

    def pads(self, _height: int, _width: int) -> Pads:
        """Zeros before and after, of height and of width."""
        return self.border

    def prepare(self, x: torch.Tensor) -> torch.Tensor:
        """With its border of zeros."""
        (top, bottom), (left, right) = self.border
        return nn.functional.pad(x, (left, right, top, bottom))


Pads = tuple[tuple[int, int], tuple[int, int]]
"""Zeros before and after, of height and of width."""


def same_pads(length: int, window: int, step: int) -> tuple[int, int]:
    """Zeros before and after that leave ``ceil(length / step)`` places of a window, as ``SAME`` has them."""
    total = max((-(-length // step) - 1) * step + window - length, 0)
    return total // 2, total - total // 2


class Averaging(nn.Conv2d):
    """The mean of each channel over a square window, zeros around the image among them: nothing learns.

    A depthwise convolution, as int8 runtimes have no other that they do fast.
    """

    def __init__(self, channels: int, kernel_size: int, stride: int) -> None:
        super().__init__(
            channels, channels, kernel_size, stride, padding=kernel_size // 2, groups=channels, bias=False
        )
        shape = self.weight.shape
        del self.weight
        self.register_buffer("weight", torch.full(shape, 1 / kernel_size**2), persistent=False)


class Zeros(nn.Module):
    """Zeros in the shape of a strided block's output."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (n, c, h, w) in, (n, channels, ceil(h / stride), ceil(w / stride)) out."""
        picked = x[:, :1, :: self.stride, :: self.stride]
        return torch.zeros_like(picked).expand(-1, self.channels, -1, -1)


class ChannelShuffle(nn.Module):
    """Interleaves the channels of ``groups`` groups (ShuffleNet, arXiv:1707.01083)."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (n, c, h, w) in and out."""
        n, c, h, w = x.shape
        return x.reshape(n, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(n, c, h, w)


class SqueezeExcite(nn.Module):
    """Channel gate of MobileNetV3 (arXiv:1905.02244): pool, 1x1, ReLU, 1x1, hard sigmoid."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.activation = nn.ReLU()
        self.expand = nn.Conv2d(hidden, channels, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (n, c, h, w) in and out."""
        return x * cast(torch.Tensor, self.gate(self.expand(self.activation(self.reduce(self.pool(x))))))


class Residual(nn.Module):
    """Adds the input to what the body makes of it."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (n, c, h, w) in and out."""
        return x + cast(torch.Tensor, self.body(x))

    def without_body(self) -> nn.Module:
        """What it is if its body adds nothing."""
        return nn.Identity()

    def shut(self) -> None:
        """Makes the body add nothing, until training changes its last batch norm's scale."""
        last = [module for module in self.body.modules() if isinstance(module, nn.BatchNorm2d)][-1]
        nn.init.zeros_(last.weight)


class ActivatedResidual(nn.Module):
    """Adds what a short way makes of the input to what the body does; an activation is behind the sum."""

    def __init__(self, body: nn.Module, short: nn.Module, activation: str) -> None:
        super().__init__()
        self.body, self.short = body, short
        self.activation = nn.Sequential(*activation_layers(activation))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (n, c, h, w) in, what the body makes of it out."""
        return cast(torch.Tensor, self.activation(self.body(x) + self.short(x)))

    def without_body(self) -> nn.Module:
        """What it is if its body adds nothing."""
        return nn.Sequential(self.short, self.activation)


class Resize(nn.Module):
    """Makes a tensor a whole number of times as fine, bilinearly, between the centres of pixels."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (n, c, h, w) in, (n, c, factor * h, factor * w) out."""
        return nn.functional.interpolate(
            x, scale_factor=float(self.factor), mode="bilinear", align_corners=False
        )


class ChannelSlice(nn.Module):
    """Channels ``start`` to ``stop``, the last one not included."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (n, c, h, w) in, (n, stop - start, h, w) out."""
        return x[:, self.start : self.stop]


MOVING: Mapping[type[nn.Module], str] = {
    ChannelShuffle: "shuffle",
    ChannelSlice: "slice",
    nn.MaxPool2d: "max_pool",
    Resize: "resize",
}
"""Layers that move values, choose between them or look between them: the kind of their ``Op``."""

LEAVES = StridedPointwise, SamePadded, Bordered, Averaging, Zeros, ChannelShuffle, ChannelSlice, Resize
"""Layers that count as one operation wherever a network is traced."""


class Tracer(fx.Tracer):
    """Looks into everything but the layers of torch.nn and ``LEAVES``.

    While it does, PyTorch sends the calls of all modules of the process through it: those of other threads
    are let by, and of two threads that trace one waits.
    """

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        """The calls of a module, in a graph."""
        with ALONE:
            self._thread = get_ident()
            return super().trace(root, concrete_args)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """What a call of a module gives, recorded where it is of what is traced."""
        if get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """What a module has under a name."""
        if get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether calls of this module are recorded as such."""
        return isinstance(m, LEAVES) or super().is_leaf_module(m, module_qualified_name)


class Combined(nn.Module):
    """A sum, a product or a concatenation of what several places give, and an activation behind it.

    Args:
        how: "sum", "product" or "join".
        activation: Of ``activation_layers``.
    """

    def __init__(self, how: str, activation: str = "none") -> None:
        super().__init__()
        self.how = how
        self.activation = nn.Sequential(*activation_layers(activation))

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        """Shape (n, c, h, w) each, of a product the second may be (n, c, 1, 1)."""
        if self.how == "join":
            made = torch.cat(parts, 1)
        else:
            made = parts[0] + parts[1] if self.how == "sum" else parts[0] * parts[1]
        return cast(torch.Tensor, self.activation(made))


class Graph(nn.ModuleList):
    """Nodes that each read the sum of earlier ones, or the input.

    Args:
        nodes: In running order.
        reads: Of each node the numbers of those that it reads; of those that read the input none.
        last: Numbers of the nodes whose sum is the output.
    """

    def __init__(
        self, nodes: Sequence[nn.Module], reads: Sequence[Sequence[int]], last: Sequence[int]
    ) -> None:
        super().__init__(nodes)
        self.reads, self.last = tuple(map(tuple, reads)), tuple(last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (n, c, h, w) in, that of a node out."""
        made: list[torch.Tensor] = []
        for node, read in zip(self, self.reads, strict=True):
            made.append(node(reduce(operator.add, [made[n] for n in read]) if read else x))
        return reduce(operator.add, [made[n] for n in self.last])


class FirstOf(nn.Module):
    """The first of two tensors."""

    def forward(self, first: torch.Tensor, _second: torch.Tensor) -> torch.Tensor:
        """Shape (n, c, h, w) each and out."""
        return first


class Branches(nn.Module):
    """Concatenates the channels of what two branches make of the same input."""

    def __init__(self, left: nn.Module, right: nn.Module) -> None:
        super().__init__()
        self.left, self.right = left, right

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (n, c, h, w) in and out."""
        return torch.cat((self.left(x), self.right(x)), 1)

"""Sums, products and concatenations of what several places of a network give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks import ops
from hwnas.blocks._base import Junction
from hwnas.blocks._key import FUNCTIONS, require, tagged
from hwnas.space import FALLBACK, SUM, Op, Shape, Shapes

if TYPE_CHECKING:
    from torch import nn

_MOST_JOINED = 4  # that all runtimes take at once


class _Combining(Junction):
    """A block that makes one tensor of several that are as fine as each other."""

    in_channels: tuple[int, ...]
    activation: str

    def __post_init__(self) -> None:
        require(min(self.in_channels) > 0, self, "channels must be positive")
        require(self.activation in FUNCTIONS, self, f"activation must be one of {FUNCTIONS}")

    def _check_pair(self, must_be: str) -> None:
        """Refuse other than two tensors of as many channels; ``must_be`` begins the sentence."""
        two = len(self.in_channels) == 2 and len(set(self.in_channels)) == 1
        require(two, self, f"{must_be} two tensors of as many channels")

    @property
    def steps(self) -> tuple[int, ...]:
        """All are as fine."""
        return (1,) * (len(self.in_channels) - 1)


@dataclass(frozen=True)
class Sum(_Combining):
    """The sum of two tensors, and an activation; where one of them is nothing, the other.

    Attributes:
        in_channels: Of both.
        activation: Behind it.
    """

    kind: ClassVar[str] = SUM

    in_channels: tuple[int, ...] = tagged("i")
    activation: str = tagged("a", "none")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_pair("a sum must be of")

    def out_shape(self, in_shape: Shapes) -> Shape:
        """That of each input."""
        self._check_inputs(in_shape)
        return in_shape[0]

    def ops(self, in_shape: Shapes) -> tuple[Op, ...]:
        """The sum."""
        out = self.out_shape(in_shape)
        return (ops.moved("add", 2 * ops.size(out), ops.size(out)),)

    def build(self) -> nn.Module:
        """A fresh module of two inputs, NCHW."""
        from hwnas.blocks import layers

        return layers.Combined("sum", self.activation)


@dataclass(frozen=True)
class TensorProduct(_Combining):
    """The product of two tensors, of which the second may be one pixel: a gate.

    Attributes:
        in_channels: Of both.
        is_gate: Whether the second is one pixel.
        activation: Behind it.
    """

    kind: ClassVar[str] = "product"

    in_channels: tuple[int, ...] = tagged("i")
    is_gate: bool = tagged("g", True)
    activation: str = tagged("a", "none")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_pair("a product must be of")

    def out_shape(self, in_shape: Shapes) -> Shape:
        """That of the first input."""
        if self.is_gate:
            fitting = isinstance(in_shape[0], tuple) and len(in_shape) == 2
            require(fitting, self, f"there must be 2 inputs, not {in_shape}")
            require(in_shape[1][1:] == (1, 1), self, f"a gate must be one pixel, not {in_shape[1]}")
            self._check_inputs((in_shape[0], (in_shape[1][0], *in_shape[0][1:])))
        else:
            self._check_inputs(in_shape)
        return in_shape[0]

    def ops(self, in_shape: Shapes) -> tuple[Op, ...]:
        """The product."""
        out = self.out_shape(in_shape)
        return (ops.moved("scale", sum(map(ops.size, in_shape)), ops.size(out)),)

    def build(self) -> nn.Module:
        """A fresh module of two inputs, NCHW."""
        from hwnas.blocks import layers

        return layers.Combined("product", self.activation)


@dataclass(frozen=True)
class Join(_Combining):
    """The channels of two to four tensors one after the other, and an activation.

    Attributes:
        in_channels: Of each.
        activation: Behind it.
    """

    kind: ClassVar[str] = "join"

    in_channels: tuple[int, ...] = tagged("i")
    activation: str = tagged("a", "none")

    def __post_init__(self) -> None:
        super().__post_init__()
        few = 1 < len(self.in_channels) <= _MOST_JOINED
        require(few, self, f"there must be two to {_MOST_JOINED} tensors to join")

    def out_shape(self, in_shape: Shapes) -> Shape:
        """Shape (sum of the channels, height, width)."""
        self._check_inputs(in_shape)
        return (sum(self.in_channels), *in_shape[0][1:])

    def ops(self, in_shape: Shapes) -> tuple[Op, ...]:
        """The concatenation."""
        out = self.out_shape(in_shape)
        return (ops.moved("concat", ops.size(out), ops.size(out)),)

    def build(self) -> nn.Module:
        """A fresh module of as many inputs, NCHW."""
        from hwnas.blocks import layers

        return layers.Combined("join", self.activation)


@dataclass(frozen=True)
class Fallback(_Combining):
    """The first of two tensors; the second where the first is nothing.

    So a cell that no path leads through is left out, as a layer is by ``Skip``. A supernet does not look:
    there it gives the first, be it zeros.

    Attributes:
        in_channels: Of both.
        activation: None.
    """

    kind: ClassVar[str] = FALLBACK

    in_channels: tuple[int, ...] = tagged("i")
    activation: str = tagged("a", "none")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_pair("there must be")
        require(self.activation == "none", self, "activation must be none: nothing is computed")

    @property
    def is_identity(self) -> bool:
        """True: it computes nothing."""
        return True

    def out_shape(self, in_shape: Shapes) -> Shape:
        """That of each input."""
        self._check_inputs(in_shape)
        return in_shape[0]

    def ops(self, in_shape: Shapes) -> tuple[Op, ...]:
        """None."""
        self._check_inputs(in_shape)
        return ()

    def build(self) -> nn.Module:
        """A module of two inputs, NCHW."""
        from hwnas.blocks import layers

        return layers.FirstOf()

"""The candidate that leaves a way out: what would be added to is left as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks._base import Strided
from hwnas.blocks._key import require, tagged
from hwnas.space import ZERO, Op, Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Zero(Strided):
    """Nothing: the "none" of DARTS (arXiv:1806.09055).

    In a supernet zeros; a network of its own has neither this nor what only it would feed.
    """

    kind: ClassVar[str] = ZERO

    in_channels: int = tagged("i")
    out_channels: int = tagged("o")
    stride: int = tagged("s", 1)

    def __post_init__(self) -> None:
        require(self.in_channels > 0 and self.out_channels > 0, self, "channels must be positive")
        require(self.stride > 0, self, "stride must be positive")

    @property
    def is_identity(self) -> bool:
        """True: it costs nothing."""
        return True

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """None."""
        self.out_shape(in_shape)  # refuses what does not fit
        return ()

    def build(self) -> nn.Module:
        """A module that gives zeros, NCHW."""
        from hwnas.blocks import layers

        return layers.Zeros(self.out_channels, self.stride)

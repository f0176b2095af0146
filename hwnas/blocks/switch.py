"""A tensor that is made in one precision and read in another, as in files of several precisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas.blocks._base import Base
from hwnas.blocks._key import require, tagged
from hwnas.blocks.plainconv import PlainConv
from hwnas.space import Op, Shape

if TYPE_CHECKING:
    from torch import nn

PRECISIONS = ("int8", "fp32", "16x8")


@dataclass(frozen=True)
class Switch(Base):
    """Two layers that multiply each element once, each in a precision of its own, in an int8 file.

    What runtimes do between two precisions depends on both sides: ONNX Runtime also changes the order of
    dimensions. Nothing but layers makes them do it, so it is measured between the smallest that there are.
    What these themselves take is known from the same with one precision on both sides.

    Attributes:
        in_channels: Of the tensor.
        before: Precision that it is made in.
        after: That it is read in.
    """

    kind: ClassVar[str] = "switch"

    in_channels: int = tagged("i")
    before: str = tagged("b")
    after: str = tagged("a")

    def __post_init__(self) -> None:
        require(self.in_channels > 0, self, "channels must be positive")
        known = self.before in PRECISIONS and self.after in PRECISIONS
        require(known, self, f"precisions must be of {PRECISIONS}")

    @property
    def layer(self) -> PlainConv:
        """Each of the two layers, as a block of its own."""
        return PlainConv(
            self.in_channels,
            self.in_channels,
            (1, 1),
            border=(0, 0, 0, 0),
            groups=self.in_channels,
            activation="none",
            is_normed=False,
        )

    @property
    def precisions(self) -> tuple[str, ...]:
        """Of its layers in an int8 file, in running order."""
        return self.before, self.after

    def out_shape(self, in_shape: Shape) -> Shape:
        """That of the input."""
        return self.layer.out_shape(in_shape)

    def ops(self, in_shape: Shape) -> tuple[Op, ...]:
        """The two layers; changing between precisions is none that is counted."""
        return self.layer.ops(in_shape) * 2

    def build(self) -> nn.Module:
        """A fresh module, NCHW."""
        from torch import nn

        return nn.Sequential(self.layer.build(), self.layer.build())

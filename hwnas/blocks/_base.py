"""What the kinds of blocks share: figures that are sums over operations, keys, output shapes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from hwnas.blocks._key import ACTIVATIONS, PADDINGS, encode, require
from hwnas.space import Block, Op, Shape, Shapes

if TYPE_CHECKING:
    from torch import nn


HALVING = 2
"""How many times as fine features are as those after a strided block."""


class Base(ABC):
    """A kind of block: it must say its operations, its output shape and how it is built."""

    in_channels: int

    @property
    def is_identity(self) -> bool:
        """Whether there is nothing to compute."""
        return False

    @abstractmethod
    def out_shape(self, in_shape: Any) -> Any:
        """Shape of the output; raises SpaceError where the input does not fit."""

    @abstractmethod
    def ops(self, in_shape: Any) -> tuple[Op, ...]:
        """What it computes, in order."""

    @abstractmethod
    def build(self) -> nn.Module:
        """A fresh module, NCHW."""

    def inherit(self, module: nn.Module, other: Block, learned: nn.Module) -> bool:
        """All weights of an equal block; nothing of others, where the kind does not know better."""
        if other.key() != self.key() or not self.params():
            return False
        module.load_state_dict(learned.state_dict())
        return True

    def macs(self, in_shape: Any) -> int:
        """Multiply-adds for one image."""
        return sum(op.macs for op in self.ops(in_shape))

    def params(self) -> int:
        """Trainable parameters; they do not depend on the size of the input."""
        return sum(op.params for op in self.ops((self.in_channels, 1, 1)))

    def key(self) -> str:
        """Canonical text."""
        return encode(self)


class Strided(Base):
    """A block that keeps the size of its input, or divides it by a stride."""

    out_channels: int
    stride: int

    def out_shape(self, in_shape: Shape) -> Shape:
        """Shape (out_channels, ceil(height / stride), ceil(width / stride))."""
        channels, height, width = in_shape
        require(
            channels == self.in_channels, self, f"the input must have in_channels, not {channels}, channels"
        )
        require(height > 0 and width > 0, self, f"the input must not be empty, not {in_shape}")
        return self.out_channels, -(-height // self.stride), -(-width // self.stride)


class Bottleneck(Strided):
    """A block that makes hidden channels, then projects them, and adds its input where the shape stays."""

    expansion_ratio: float
    activation: str
    padding: str

    @property
    def hidden_channels(self) -> int:
        """Channels in front of the projection."""
        return round(self.in_channels * self.expansion_ratio)

    @property
    def has_residual(self) -> bool:
        """Whether the input is added to the output."""
        return self.stride == 1 and self.in_channels == self.out_channels

    def _check(self) -> None:
        """Round the ratio as keys do; refuse what no kind can be: the beginning of ``__post_init__``."""
        object.__setattr__(self, "expansion_ratio", float(f"{self.expansion_ratio:g}"))
        require(self.in_channels > 0 and self.out_channels > 0, self, "channels must be positive")
        require(self.stride > 0, self, "stride must be positive")
        require(0 < self.expansion_ratio < 100, self, "expansion_ratio must be in (0, 100)")
        require(self.hidden_channels > 0, self, "the expansion must leave at least one channel")
        require(self.activation in ACTIVATIONS, self, f"activation must be one of {ACTIVATIONS}")
        require(self.padding in PADDINGS, self, f"padding must be one of {PADDINGS}")


class Junction(Base):
    """A block that reads several tensors, the finest first, each so many times as fine as the next."""

    in_channels: tuple[int, ...]  # type: ignore[assignment]

    @property
    def steps(self) -> tuple[int, ...]:
        """How many times as fine each input is as the next one; twice where a kind does not say otherwise."""
        return (HALVING,) * (len(self.in_channels) - 1)

    def least_shapes(self) -> Shapes:
        """The smallest inputs that there are."""
        sides, side = [1], 1
        for step in reversed(self.steps):
            side *= step
            sides.insert(0, side)
        return tuple((c, s, s) for c, s in zip(self.in_channels, sides, strict=True))

    def params(self) -> int:
        """Trainable parameters; they do not depend on the size of the inputs."""
        return sum(op.params for op in self.ops(self.least_shapes()))

    def _check_inputs(self, in_shapes: Shapes) -> None:
        """Refuse inputs of other channels, or not as fine as they must be."""
        fitting = isinstance(in_shapes[0], tuple) and len(in_shapes) == len(self.in_channels)
        require(fitting, self, f"there must be {len(self.in_channels)} inputs, not {in_shapes}")
        channels = tuple(shape[0] for shape in in_shapes)
        require(channels == self.in_channels, self, f"inputs must have in_channels, not {channels}, channels")
        for fine, coarse, step in zip(in_shapes, in_shapes[1:], self.steps, strict=False):
            wanted = tuple(step * side for side in coarse[1:])
            require(
                fine[1:] == wanted,
                self,
                f"what is read must halve evenly: an input of {coarse[1:]} pixels must stand behind one of "
                f"{wanted}, not {fine[1:]}",
            )


class Classifier(Base):
    """A block that ends a network."""

    num_classes: int

    def out_shape(self, in_shape: Shape) -> Shape:
        """Shape (num_classes, 1, 1), although the module answers (n, num_classes)."""
        channels = in_shape[0]
        require(channels == self.in_channels, self, f"the input must have in_channels, not {channels}")
        return self.num_classes, 1, 1

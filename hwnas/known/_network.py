"""What all baselines share: how a row of blocks becomes a network, and how channels are rounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwnas.known import decoders
from hwnas.space import Architecture, Block, Choice, SearchSpace

DIVISORS = {"imagenet": 32, "cifar": 8, "os16": 16, "os8": 8}
"""What strides divide the image by."""

STRIDES = tuple(DIVISORS)
USUAL_STRIDES = "imagenet"
"""Where there is a decoder, or the weights of others."""

_CHANNEL_STEP = 8


@dataclass(frozen=True)
class Setting:
    """What a baseline is built for.

    Attributes:
        name: Full name of the network.
        resolution: Height and width of the input.
        num_classes: Classes of the classifier.
        strides: "imagenet" as published; "cifar" leaves out the first two halvings; "os16" and "os8" all
            that come after the image was divided by so much.
        width: Multiplier of the channels.
        padding: Of strided kernels: "half" as PyTorch pads, "same" as TensorFlow.
        decoder: Name of what stands in the place of the classifier; empty for the classifier.
    """

    name: str
    resolution: int
    num_classes: int
    strides: str
    width: float = 1.0
    padding: str = "half"
    decoder: str = ""

    def strided(self, strides: Sequence[int]) -> tuple[int, ...]:
        """Strides from the stem on; for "cifar" the first two that halve become 1, for "os16" the last."""
        if self.strides.startswith("os"):
            return self._until(DIVISORS[self.strides], strides)
        left = 0 if self.strides == "imagenet" else 2
        found = []
        for stride in strides:
            cut = stride > 1 and left > 0
            left -= cut
            found.append(1 if cut else stride)
        return tuple(found)

    def _until(self, most: int, strides: Sequence[int]) -> tuple[int, ...]:
        """Strides whose product is no more than this; those behind it become 1."""
        found, product = [], 1
        for stride in strides:
            found.append(stride if product * stride <= most else 1)
            product *= found[-1]
        return tuple(found)

    def channels(self, channels: float) -> int:
        """The channels times the width, rounded to a multiple of 8 that is not 10 % below."""
        return divisible(channels * self.width)

    def last_channels(self, channels: int) -> int:
        """Those of the last convolution, which a width only ever raises."""
        return divisible(channels * max(1.0, self.width))

    def network(self, stem: Block, body: Sequence[Block], head: Block) -> Architecture:
        """The network as the only architecture of a space of its own."""
        input_shape = (3, self.resolution, self.resolution)
        choices = tuple(Choice(f"block{n}", (block,)) for n, block in enumerate(body, start=1))
        ending: tuple[Block, ...] = (head,)
        if self.decoder:
            features = decoders.taps(input_shape, (stem,), choices)
            choices = (*choices, *decoders.choices(self.decoder, features, self.num_classes))
            ending = ()
        space = SearchSpace(self.name, input_shape, (stem,), choices, ending)
        return space.architecture([0] * len(choices))


def divisible(channels: float) -> int:
    """The nearest multiple of 8, but never more than 10 % below (TensorFlow's ``make_divisible``)."""
    rounded = max(_CHANNEL_STEP, int(channels + _CHANNEL_STEP / 2) // _CHANNEL_STEP * _CHANNEL_STEP)
    return rounded + _CHANNEL_STEP if rounded < 0.9 * channels else rounded

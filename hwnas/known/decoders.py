"""Decoders on known networks: what makes an answer for every pixel of features of several sizes.

A decoder takes the place of the classifier. It reads *taps*: the last block of each size of features, from
a quarter of the image on; what stands between those and the classifier goes with it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hwnas.blocks import LRASPP, FPNSum, PooledContext
from hwnas.errors import SpaceError
from hwnas.space import STEM, Block, Choice, Shape, shapes_of

NAME = "decoder"
"""Of the choice where it goes."""

_FINEST = 4
_NAME = re.compile(r"(?P<kind>lraspp|fpnsum|pooled)(?P<hidden>[1-9]\d*)(?:t(?P<tap>4|8))?")

SEGMENTATION = (
    *("fpnsum64", "fpnsum32", "fpnsum96"),
    *("lraspp128t4", "lraspp64t4", "lraspp128", "lraspp64"),
    *("pooled128", "pooled64"),
)
"""Those that a search tries; the first is the usual one."""


@dataclass(frozen=True)
class Tap:
    """Features that a decoder may read.

    Attributes:
        choice: Name of the choice that gives them, or ``STEM``.
        channels: Of them.
        stride: How many times as fine the image is.
    """

    choice: str
    channels: int
    stride: int


@dataclass(frozen=True)
class Decoder:
    """What a decoder's name says: ``fpnsum64``, ``lraspp128``, ``lraspp128t4``, ``pooled256``.

    Attributes:
        kind: "lraspp", "fpnsum" or "pooled".
        hidden_channels: Of what it makes of features.
        tap: How many times as fine the image is as the fine features that an LR-ASPP reads.
    """

    kind: str
    hidden_channels: int
    tap: int = 8

    @classmethod
    def of(cls, name: str) -> Decoder:
        """What a name says; raises SpaceError where it is none."""
        matched = _NAME.fullmatch(name)
        if not matched or (matched["tap"] and matched["kind"] != "lraspp"):
            raise SpaceError(f"a decoder must be named like {', '.join(SEGMENTATION)}, but got {name!r}")
        return cls(matched["kind"], int(matched["hidden"]), int(matched["tap"] or 8))

    def on(self, taps: Sequence[Tap], num_classes: int) -> tuple[Block, tuple[str, ...]] | None:
        """Its block on features, and the choices that it reads; None where it needs others."""
        by_stride, coarse = {tap.stride: tap for tap in taps}, taps[-1]
        hidden = self.hidden_channels
        if self.kind == "pooled":
            block: Block = PooledContext(coarse.channels, hidden, num_classes, coarse.stride // _FINEST)
            return block, (coarse.choice,)
        if self.kind == "fpnsum":
            if len(taps) < 2:
                return None
            channels = tuple(tap.channels for tap in taps)
            return FPNSum(channels, hidden, num_classes), tuple(tap.choice for tap in taps)
        fine = by_stride.get(self.tap)
        if fine is None or fine.stride == coarse.stride:
            return None
        step, upscale = coarse.stride // fine.stride, fine.stride // _FINEST
        block = LRASPP((fine.channels, coarse.channels), hidden, num_classes, step, upscale)
        return block, (fine.choice, coarse.choice)


def taps(input_shape: Shape, stem: Sequence[Block], choices: Sequence[Choice]) -> tuple[Tap, ...]:
    """The last features of each size, from a quarter of the image on, the finest first.

    Raises:
        SpaceError: The image cannot be halved evenly as often as the network does.
    """
    side, shape = input_shape[1], input_shape
    for block in stem:
        shape = block.out_shape(shape)
    given = [(STEM, shape)]
    for choice in choices:
        shape = shapes_of(choice.candidates[0].out_shape(shape))[0]
        given.append((choice.name, shape))
    found: dict[int, Tap] = {}
    for name, (channels, height, _) in given:
        if side % height:
            raise SpaceError(
                f"an image must be a whole number of times as fine as features that are decoded, but "
                f"{name} makes {height} pixels of {side}: give a multiple of 32"
            )
        found[side // height] = Tap(name, channels, side // height)
    return tuple(tap for stride, tap in sorted(found.items()) if stride >= _FINEST)


def choice(names: Sequence[str], features: Sequence[Tap], num_classes: int) -> Choice:
    """Decoders as the candidates of a choice, those that the features do not suit left out.

    Raises:
        SpaceError: The first does not suit them.
    """
    found: dict[tuple[Block, tuple[str, ...]], None] = {}
    for name in dict.fromkeys(names):
        made = Decoder.of(name).on(features, num_classes)
        if made is not None:
            found[made] = None
        elif name == names[0]:
            raise SpaceError(
                f"a decoder must have the features that it reads, but {name} has only those "
                f"{', '.join(str(tap.stride) for tap in features)} times as coarse as the image: give "
                "another decoder, or other strides"
            )
    return Choice(NAME, tuple(block for block, _ in found), tuple(reads for _, reads in found))

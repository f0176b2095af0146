"""Decoders on known networks: what makes an answer for every pixel, or objects, of features of several sizes.

A decoder takes the place of the classifier. It reads *taps*: the last block of each size of features, from
a quarter of the image on; what stands between those and the classifier goes with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hwnas.blocks import LRASPP, DenseHead, FPNSum, PooledContext, Pyramid, pyramid
from hwnas.errors import SpaceError
from hwnas.space import STEM, Block, Choice, Shape, shapes_of

NAMES = ("decoder", "neck", "head")
"""Of the choices where they go: a decoder of pixels is one block, one of objects a neck and a head."""

SEGMENTATION = (
    *("fpnsum64", "fpnsum32", "fpnsum96"),
    *("lraspp128t4", "lraspp64t4", "lraspp128", "lraspp64"),
    *("pooled128", "pooled64"),
)
"""Those that a search for pixels tries; the first is the usual one."""

DETECTION = "fpn64"
"""The usual one for objects."""

_FINEST = 4  # stride of the image
FINEST_OF_OBJECTS = 8
"""Stride of the finest features that decoders of objects read and answer with; it doubles level by level."""
_OF_PIXELS = re.compile(r"(?P<kind>lraspp|fpnsum|pooled)(?P<hidden>[1-9]\d*)(?:t(?P<tap>4|8))?")
_OF_OBJECTS = re.compile(
    r"(?P<kind>ssdlite|plain|fpn|pan|bifpn|up|direct)(?P<hidden>[1-9]\d*)(?:d(?P<depth>[1-4]))?(?:b(?P<bins>[1-9]\d?))?"
)
_PROGRAMS: dict[str, Callable[[int], str]] = {
    "fpn": pyramid.top_down,
    "pan": pyramid.path_aggregation,
    "bifpn": pyramid.bidirectional,
    "up": pyramid.bottom_up,
    "direct": pyramid.direct,
    "plain": lambda _: pyramid.NONE,
}
_NO_NECK = "ssdlite"
_KERNELS = (3, 5)
_HEAD_KERNEL = 5


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
class PixelDecoder:
    """What the name of a decoder of pixels says: ``fpnsum64``, ``lraspp128``, ``lraspp128t4``, ``pooled256``.

    Attributes:
        kind: "lraspp", "fpnsum" or "pooled".
        hidden_channels: Of what it makes of features.
        tap: How many times as fine the image is as the fine features that an LR-ASPP reads.
    """

    kind: str
    hidden_channels: int
    tap: int = 8

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

    def choices(self, taps: Sequence[Tap], num_classes: int, *, others: bool) -> tuple[Choice, ...] | None:
        """The choice where it goes, with other decoders that suit the features as well; None without them."""
        several = map(_of_pixels, SEGMENTATION) if others else ()
        made = [each.on(taps, num_classes) for each in dict.fromkeys((self, *filter(None, several)))]
        if made[0] is None:
            return None
        found = dict.fromkeys(each for each in made if each is not None)
        return (Choice(NAMES[0], tuple(b for b, _ in found), tuple(reads for _, reads in found)),)


@dataclass(frozen=True)
class ObjectDecoder:
    """What the name of a decoder of objects says: ``fpn64``, ``pan96d1``, ``plain64``, ``bifpn64b8``.

    Attributes:
        kind: Of the neck: "plain", "fpn", "pan", "bifpn", "up" or "direct"; "ssdlite" for a head right on
            the features, as in SSDLite (arXiv:1801.04381, section 6.2), but without anchors and without
            further levels.
        hidden_channels: Of what the neck makes, and of the head.
        depth: Separable convolutions of the head; 0 for as many as are usual of the kind.
        bins: Of each distance of a box.
    """

    kind: str
    hidden_channels: int
    depth: int = 0
    bins: int = 1

    def choices(self, taps: Sequence[Tap], num_classes: int, *, others: bool) -> tuple[Choice, ...] | None:
        """The choices of neck and head, with others that suit the features; None without features."""
        read = [tap for tap in taps if tap.stride >= FINEST_OF_OBJECTS]
        if len(read) < 2:
            return None
        names, channels = tuple(tap.choice for tap in read), tuple(tap.channels for tap in read)
        hidden = self.hidden_channels
        if self.kind == _NO_NECK:
            heads = self._heads(channels, num_classes, others=others)
            return (Choice(NAMES[2], heads, (names,) * len(heads)),)
        necks = [
            Pyramid(channels, hidden, _PROGRAMS[kind](len(read)), kernel)
            for kind in dict.fromkeys((self.kind, *_PROGRAMS))
            for kernel in _KERNELS
        ]
        necks = list(dict.fromkeys(necks)) if others else necks[:1]
        heads = self._heads((hidden,) * len(read), num_classes, others=others)
        return Choice(NAMES[1], tuple(necks), (names,) * len(necks)), Choice(NAMES[2], heads)

    def _heads(self, channels: tuple[int, ...], num_classes: int, *, others: bool) -> tuple[DenseHead, ...]:
        hidden = self.hidden_channels
        depth, kernel = (1, 3) if self.kind == _NO_NECK else (2, _HEAD_KERNEL)
        found = [
            DenseHead(channels, width, num_classes, layers, self.bins, size)
            for layers in dict.fromkeys((self.depth or depth, 2, 1))
            for width in (hidden, hidden * 3 // 2)
            for size in dict.fromkeys((kernel, _HEAD_KERNEL, 3))
        ]
        return tuple(dict.fromkeys(found)) if others else (found[0],)


def of(name: str) -> PixelDecoder | ObjectDecoder:
    """What the name of a decoder says; raises SpaceError where it is none."""
    if (found := _of_pixels(name)) is not None:
        return found
    matched = _OF_OBJECTS.fullmatch(name)
    if not matched:
        raise SpaceError(
            f"a decoder must be named like {', '.join(SEGMENTATION)} for pixels, or like {DETECTION}, "
            f"pan96d1, bifpn64b8 or ssdlite128 for objects, but got {name!r}"
        )
    numbers = {key: int(matched[key]) for key in ("depth", "bins") if matched[key]}
    return ObjectDecoder(matched["kind"], int(matched["hidden"]), **numbers)


def _of_pixels(name: str) -> PixelDecoder | None:
    matched = _OF_PIXELS.fullmatch(name)
    if not matched or (matched["tap"] and matched["kind"] != "lraspp"):
        return None
    return PixelDecoder(matched["kind"], int(matched["hidden"]), int(matched["tap"] or 8))


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


def choices(
    name: str, features: Sequence[Tap], num_classes: int, *, others: bool = False
) -> tuple[Choice, ...]:
    """The choices where a decoder goes.

    Args:
        name: Of the decoder; its own blocks come first.
        features: That it may read.
        num_classes: Of what it answers.
        others: Whether other decoders that suit the features are candidates as well.

    Raises:
        SpaceError: There is no such decoder, or it does not suit the features.
    """
    found = of(name).choices(features, num_classes, others=others)
    if found is None:
        raise SpaceError(
            f"a decoder must have the features that it reads, but {name} has only those "
            f"{', '.join(str(tap.stride) for tap in features)} times as coarse as the image: give another "
            "decoder, or other strides"
        )
    return found

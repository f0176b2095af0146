"""Known networks in this project's own blocks, to compare with: one family a file.

A baseline is the only architecture of a space of its own, so that it is trained, exported,
measured and shipped like any network that was found. Names are ``<family>[-<width>]``, full
names ``<family>[-<width>]-r<resolution>-c<classes>-<strides>``, and ``-half`` or ``-same`` behind
either where strided kernels are not padded as is usual for the family; ``load`` makes the same
network again from a full name alone. ``+<decoder>`` behind family and width puts a decoder in the place of
the classifier, as in ``mobilenetv3-small+lraspp128``: see ``decoders``. Where weights of them come from
stands in ``pretrained``.

A new family is one file with a function of a ``Setting`` and one line in ``FAMILIES``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from hwnas.errors import SpaceError
from hwnas.known import decoders
from hwnas.known._network import DIVISORS, STRIDES, USUAL_STRIDES, Setting, divisible
from hwnas.known.efficientnet_lite import SCALES, efficientnet_lite
from hwnas.known.fbnet_c import fbnet_c
from hwnas.known.mnasnet import mnasnet_a1, mnasnet_b1
from hwnas.known.mobilenetv1 import mobilenetv1
from hwnas.known.mobilenetv2 import mobilenetv2
from hwnas.known.mobilenetv3 import mobilenetv3_large, mobilenetv3_small
from hwnas.known.mobilenetv4 import mobilenetv4_conv_medium, mobilenetv4_conv_small
from hwnas.known.shufflenetv2 import WIDTHS, shufflenetv2
from hwnas.space import Architecture


@dataclass(frozen=True)
class Family:
    """Networks that differ in their width.

    Attributes:
        make: The network of a setting.
        widths: Widths that there are; None for any.
        resolution: Pixels that it is published for.
        paddings: How strided kernels can be padded, the usual way first.
    """

    make: Callable[[Setting], Architecture]
    widths: tuple[float, ...] | None = (1.0,)
    resolution: int = 224
    paddings: tuple[str, ...] = ("half", "same")


FAMILIES: dict[str, Family] = {
    **{
        name: Family(efficientnet_lite(channels, layers), None, pixels, paddings=("same", "half"))
        for name, (channels, layers, pixels) in SCALES.items()
    },
    "fbnet-c": Family(fbnet_c, None),
    "mnasnet-a1": Family(mnasnet_a1, None),
    "mnasnet-b1": Family(mnasnet_b1, None),
    "mobilenetv1": Family(mobilenetv1, None),
    "mobilenetv2": Family(mobilenetv2, None),
    "mobilenetv3-large": Family(mobilenetv3_large, None),
    "mobilenetv3-small": Family(mobilenetv3_small, None),
    "mobilenetv4-conv-medium": Family(mobilenetv4_conv_medium, None),
    "mobilenetv4-conv-small": Family(mobilenetv4_conv_small, None),
    "shufflenetv2": Family(shufflenetv2, tuple(WIDTHS), paddings=("half",)),
}

_SMALLEST_IMAGENET = 96  # pixels; dividing fewer by 32 leaves next to nothing
_WIDEST = 4.0
_NAME = re.compile(
    rf"(?P<family>{'|'.join(FAMILIES)})(-(?P<width>\d+(\.\d+)?))?(\+(?P<decoder>[a-z0-9]+))?"
    rf"(-r(?P<resolution>\d+))?(-c(?P<classes>\d+))?(-(?P<strides>{'|'.join(STRIDES)}))?"
    r"(-(?P<padding>half|same))?"
)


def knows(name: str) -> bool:
    """Whether a name, short or full, has the form of a baseline's."""
    return _NAME.fullmatch(name) is not None


def family(name: str) -> Family:
    """The family of a name; raises SpaceError where there is none."""
    if name not in FAMILIES:
        raise SpaceError(f"a family of baselines must be one of {sorted(FAMILIES)}, but got {name!r}")
    return FAMILIES[name]


def short_name(family: str, width: float = 1.0, decoder: str = "") -> str:
    """The name of a family's network: ``mobilenetv2``, ``mobilenetv2-0.5``, ``mobilenetv2-0.5+lraspp128``."""
    return (family if width == 1 else f"{family}-{width:g}") + (f"+{decoder}" if decoder else "")


def decorated(name: str, decoder: str) -> str:
    """The name of a network, or of a source of weights, with a decoder, if it has none.

    Raises:
        SpaceError: It has one of another kind: of pixels instead of objects, or the other way round.
    """
    if "+" in name:
        own = named(name).decoder if knows(name) else ""
        if own and type(decoders.of(own)) is not type(decoders.of(decoder)):
            raise SpaceError(
                f"a decoder must be of the kind that the task needs, as {decoder} is, but got {name}: leave "
                f"out +{own}, or give another task"
            )
        return name
    if not knows(name):
        return f"{name}+{decoder}"
    said = named(name)
    return short_name(said.family, said.width, decoder) + said.rest


@dataclass(frozen=True)
class Named:
    """What a name says, short or full; None of what it leaves open.

    Attributes:
        family: One of ``FAMILIES``.
        width: Multiplier of the channels.
        rest: What stands behind both, with its hyphen.
        resolution: Height and width of the input.
        classes: Of the classifier.
        strides: One of ``STRIDES``.
        padding: "half" or "same".
        decoder: In the place of the classifier; empty for the classifier.
    """

    family: str
    width: float
    rest: str
    resolution: int | None
    classes: int | None
    strides: str | None
    padding: str | None
    decoder: str = ""

    def at(self, width: float, strides: str | None = None) -> str:
        """The same name with another width, and with strides where they are given."""
        rest = self.rest
        if strides is not None:
            padding = f"-{self.padding}" if self.padding else ""
            rest = rest.removesuffix(padding).removesuffix(f"-{self.strides}") + f"-{strides}{padding}"
        return short_name(self.family, width, self.decoder) + rest

    @property
    def plain(self) -> str:
        """The same name without the decoder, and without strides that only a decoder has a use for."""
        is_coarse = self.strides is None or not self.strides.startswith("os")
        rest = self.rest if is_coarse else self.rest.replace(f"-{self.strides}", "")
        return short_name(self.family, self.width) + rest


def named(name: str) -> Named:
    """What a name says; raises SpaceError where it has not the form of a baseline's."""
    matched = _NAME.fullmatch(name)
    if not matched:
        raise SpaceError(
            f"a baseline must be one of {sorted(FAMILIES)}, with a width as in mobilenetv2-0.5 where it has "
            f"several, but got {name!r}"
        )
    whole = {key: None if (text := matched[key]) is None else int(text) for key in ("resolution", "classes")}
    return Named(
        matched["family"],
        float(matched["width"] or 1),
        name[max(map(matched.end, ("family", "width", "decoder"))) :],
        strides=matched["strides"],
        padding=matched["padding"],
        decoder=matched["decoder"] or "",
        **whole,
    )


def load(
    name: str,
    *,
    resolution: int | None = None,
    num_classes: int | None = None,
    strides: str | None = None,
    padding: str | None = None,
) -> Architecture:
    """The network of a short name ("mobilenetv2-0.5") or a full one.

    What is given beside the name overrides what the name says; what neither says is the pixels that
    the family is published for, 1000 classes, the strides that suit the resolution, and the family's
    usual padding.

    Args:
        name: Family and width, and in a full name resolution, classes and strides.
        resolution: Height and width of the input.
        num_classes: Classes of the classifier.
        strides: "imagenet" as published, which divides the input by 32; "cifar" leaves out the
            first two halvings and divides by 8; "os16" and "os8" leave out all that come after the input
            was divided by so much. By default "imagenet" from 96 pixels on and where there is a decoder.
        padding: "half" or "same", of strided kernels.

    Raises:
        SpaceError: There is no such network.
    """
    said = named(name)
    kind, width = FAMILIES[said.family], said.width
    if resolution is None:
        resolution = kind.resolution if said.resolution is None else said.resolution
    if num_classes is None:
        num_classes = 1000 if said.classes is None else said.classes
    suits = "imagenet" if said.decoder or resolution >= _SMALLEST_IMAGENET else "cifar"
    strides = strides or said.strides or suits
    padding = padding or said.padding or kind.paddings[0]
    widths = kind.widths
    if strides not in STRIDES:
        raise SpaceError(f"strides must be one of {STRIDES}, but got {strides!r}")
    if padding not in kind.paddings:
        raise SpaceError(f"the padding of {said.family} must be of {kind.paddings}, but got {padding!r}")
    if resolution < 8:
        raise SpaceError(f"resolution must be at least 8, but got {resolution}")
    if widths is None and not 0 < width <= _WIDEST:
        raise SpaceError(f"a width must be in (0, {_WIDEST:g}], but got {width:g} for {said.family}")
    if widths is not None and width not in widths:
        raise SpaceError(f"the width of {said.family} must be one of {widths}, but got {width:g}")
    full = f"{short_name(said.family, width, said.decoder)}-r{resolution}-c{num_classes}-{strides}"
    if padding != kind.paddings[0]:
        full += f"-{padding}"
    return kind.make(Setting(full, resolution, num_classes, strides, width, padding, said.decoder))


__all__ = [
    "DIVISORS",
    "FAMILIES",
    "USUAL_STRIDES",
    "Family",
    "Named",
    "Setting",
    "decorated",
    "divisible",
    "family",
    "knows",
    "load",
    "named",
    "short_name",
]

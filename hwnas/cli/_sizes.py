"""Sizes of a known network as options of ``hwnas search`` name them, and what is refused of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.errors import HwnasError

if TYPE_CHECKING:
    from hwnas.cli._known import Known

_STRIDES = ("imagenet", "os16", "os8")  # those that weights of others know, where there is a decoder
_ANY = 224  # pixels that all of them divide evenly
_LEAST_POWER = -6  # a 50th of the multiply-adds


def resolutions(text: str | None) -> tuple[int, ...]:
    """The resolutions of an option, joined by commas; none where there is no option.

    Raises:
        HwnasError: They are no numbers of pixels, or one is there twice.
    """
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    found = tuple(int(part) for part in parts if part.isdecimal() and part.isascii() and len(part) < 6)
    if len(found) != len(parts) or min(found) < 8:
        raise HwnasError(f"resolutions must be pixels, at least 8, joined by commas, but got {text!r}")
    if len(set(found)) < len(found):
        raise HwnasError(f"resolutions must differ, but got {text!r}")
    return found


def widths(text: str | None) -> tuple[float, ...]:
    """The widths of an option, joined by commas; none where there is no option.

    Raises:
        HwnasError: They are no shares of the channels, or one is there twice.
    """
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    found = tuple(float(part) for part in parts if re.fullmatch(r"[0-9]+(\.[0-9]{1,4})?", part))
    if len(found) != len(parts) or not all(0 < width <= 1 for width in found):
        raise HwnasError(
            f"widths must be of the channels, in (0, 1], joined by commas as 1,0.75, but got {text!r}"
        )
    if len(set(found)) < len(found):
        raise HwnasError(f"widths must differ, but got {text!r}")
    return found


def strides(text: str | None) -> tuple[str, ...]:
    """The strides of an option, joined by commas; none where there is no option.

    Raises:
        HwnasError: There are no such strides, or some are there twice.
    """
    if text is None:
        return ()
    found = tuple(part.strip() for part in text.split(","))
    if not set(found) <= set(_STRIDES):
        raise HwnasError(
            f"strides must be of {', '.join(_STRIDES)}, joined by commas as imagenet,os16, but got {text!r}"
        )
    if len(set(found)) < len(found):
        raise HwnasError(f"strides must differ, but got {text!r}")
    return found


def compound(text: str | None) -> tuple[float, ...]:
    """The powers of compound scaling of an option, joined by commas; none where there is no option.

    Raises:
        HwnasError: They are no powers up to 0, as weights can be cut but not grown, or one is there twice.
    """
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    found = tuple(float(part) for part in parts if re.fullmatch(r"-?[0-9]+(\.[0-9]{1,4})?", part))
    if len(found) != len(parts) or not all(_LEAST_POWER <= power <= 0 for power in found):
        raise HwnasError(
            "powers of compound scaling must be 0 or below, as weights can be cut but not grown, and "
            f"{_LEAST_POWER} or more, joined by commas as 0,-0.5,-1, but got {text!r}"
        )
    if len(set(found)) < len(found):
        raise HwnasError(f"powers of compound scaling must differ, but got {text!r}")
    return found


def require_widths(known: Known) -> None:
    """Refuse widths of what is not known by its width alone, and widths that nobody has weights of.

    Raises:
        HwnasError: The network is a run's or a source's, or its name says a width, or there are none of it.
    """
    from hwnas import known as networks
    from hwnas.known import pretrained

    widths = known.all_widths
    if not widths:
        return
    option, numbers = ("--compound", known.compound) if known.compound else ("--width", known.widths)
    asked = f"--from {known.name} and {option} {','.join(f'{number:g}' for number in numbers)}"
    is_named = _is_named(known)
    if known.widths and is_named and (said := networks.named(known.name).width) != 1:
        raise HwnasError(
            f"a width must be said once, but got {asked}: name the network without its width {said:g}"
        )
    if set(widths) == {1.0}:
        return
    if not is_named:
        raise HwnasError(
            "a network must have a name of hwnas's own to be cut to a width, such as efficientnet-lite0, but "
            f"got {asked}: leave out {option}"
        )
    for width in widths:
        pretrained.sources_of(known.at(width))


def require_strides(known: Known, task: str) -> None:
    """Refuse strides of what has no use for them, and those that leave a decoder without its features.

    Raises:
        HwnasError: The network is a run's or a source's, or its name says strides, or it is a classifier, or
            its decoder reads features that are not there.
    """
    from hwnas import known as networks
    from hwnas import tasks

    if not known.strides:
        return
    asked = f"--from {known.name} and --strides {','.join(known.strides)}"
    if not _is_named(known):
        raise HwnasError(
            "a network must have a name of hwnas's own to be given strides, such as efficientnet-lite0, but "
            f"got {asked}: leave out --strides"
        )
    if (said := networks.named(known.name).strides) is not None:
        raise HwnasError(
            f"strides must be said once, but got {asked}: name the network without its strides {said}"
        )
    whole = networks.named(tasks.get(task).network(known.name))
    if not whole.decoder:
        raise HwnasError(
            "strides must be of a network with a decoder, which reads features of several sizes, but got "
            f"{asked} for {task}, which a classifier answers: leave out --strides"
        )
    for each in known.strides:
        networks.load(whole.at(whole.width, each), resolution=_ANY)


def _is_named(known: Known) -> bool:
    """Whether a network is meant by its own name, not a run folder or a source of weights."""
    from hwnas import known as networks

    return networks.knows(known.name) and not Path(known.name).expanduser().is_dir()

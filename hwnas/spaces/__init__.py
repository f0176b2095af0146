"""The search spaces that come with hwnas, one a file.

A new space is one file with a function that returns a ``SearchSpace``, and one line in
``SPACES``; a plug-in has ``register`` instead. Its name must be
``<key>-r<resolution>-c<classes>[-<strides>]``, so that ``load`` makes the same space again from the name
alone.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from hwnas import known, plugins
from hwnas.errors import PluginError, SpaceError
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.space import Architecture, SearchSpace
from hwnas.spaces import own
from hwnas.spaces.adapted import PREFIX, adapted
from hwnas.spaces.darts import darts
from hwnas.spaces.fbnet import fbnet
from hwnas.spaces.macro import macro
from hwnas.spaces.mfas import mfas
from hwnas.spaces.mnasnet import mnasnet
from hwnas.spaces.mobilenetv3 import mobilenetv3
from hwnas.spaces.nasbench201 import nasbench201
from hwnas.spaces.nasnet import nasnet
from hwnas.spaces.ofa import ofa
from hwnas.spaces.proxylessnas import proxylessnas
from hwnas.spaces.randwire import randwire

SPACES: dict[str, Callable[..., SearchSpace]] = {
    "darts": darts,
    "fbnet": fbnet,
    "macro": macro,
    "mfas": mfas,
    "mnasnet": mnasnet,
    "mobilenetv3": mobilenetv3,
    "nasbench201": nasbench201,
    "nasnet": nasnet,
    "ofa": ofa,
    "proxylessnas": proxylessnas,
    "randwire": randwire,
}

Make = TypeVar("Make", bound=Callable[..., SearchSpace])

_NAME = re.compile(
    r"(?P<key>[a-z0-9]+)(-r(?P<resolution>\d+))?(-c(?P<num_classes>\d+))?(-(?P<strides>[a-z]+))?"
)


def register(make: Make) -> Make:
    """Add a space of one's own; a decorator of the function that makes it, which it is named by.

    Args:
        make: Takes ``resolution`` and ``num_classes``, and ``strides`` where there is more than one way;
            ``hwnas.testing.check_space`` says what the space must be like.

    Raises:
        PluginError: The name is taken, or can be none.
    """
    name = getattr(make, "__name__", None)
    if isinstance(name, str) and known.knows(name):
        raise PluginError(f"a space must have a name of its own, but {name!r} is a known network: rename it")
    plugins.add(SPACES, name, make, "space", "[a-z][a-z0-9]*")
    return make


def says_classes(name: str) -> bool:
    """Whether the name of a space says how many classes there are; else it gets those of the data."""
    return re.search(r"-c\d+", name) is not None


def load(
    name: str,
    *,
    resolution: int | None = None,
    num_classes: int | None = None,
    strides: str | None = None,
) -> SearchSpace:
    """The space of a short name ("fbnet") or a full one ("fbnet-r224-c1000-imagenet").

    What is given beside the name overrides what the name says; what neither says takes the
    space's own default. The name of a baseline gives the space of that one network, and ``from:`` before
    it the space of all that is cheaper than it, block by block. A folder of a run or of an imported network
    stands for the name of its space.

    Raises:
        SpaceError: The name or an option is unknown to the space.
    """
    if name.startswith(own.PREFIX):
        return own.load(name, resolution=resolution, num_classes=num_classes)
    if name.startswith(PREFIX):
        network = name.removeprefix(PREFIX)
        if not (known.knows(network) or network.startswith(own.PREFIX)):
            network = _network_of(network)
        return adapted(network, resolution=resolution, num_classes=num_classes, strides=strides)
    if known.knows(name):
        return known.load(name, resolution=resolution, num_classes=num_classes, strides=strides).space
    matched = _NAME.fullmatch(name)
    if not (matched and matched["key"] in SPACES) and _is_folder(name):
        found = in_folder(Path(name)).name
        return load(found, resolution=resolution, num_classes=num_classes, strides=strides)
    if not matched or matched["key"] not in SPACES:
        raise SpaceError(
            f"a space must be one of {sorted(SPACES)}, or {PREFIX} and a known network as in "
            f"{PREFIX}efficientnet-lite0, but got {name!r}: one of your own comes with --plugin"
        )
    make = SPACES[matched["key"]]
    given: dict[str, Any] = {
        "resolution": _given(resolution, matched["resolution"]),
        "num_classes": _given(num_classes, matched["num_classes"]),
        "strides": strides or matched["strides"],
    }
    options = {key: value for key, value in given.items() if value is not None}
    unknown = sorted(set(options) - set(inspect.signature(make).parameters))
    if unknown:
        odd = ", ".join(f"{option} ({options[option]!r})" for option in unknown)
        raise SpaceError(f"{matched['key']} must not be given {odd}: it has none")
    if options.get("resolution", 8) < 8:
        raise SpaceError(f"resolution must be at least 8, but got {options['resolution']}")
    if options.get("num_classes", 1) < 1:
        raise SpaceError(f"num_classes must be at least 1, but got {options['num_classes']}")
    return make(**options)


def is_tied(name: str) -> bool:
    """Whether decisions of a space fill several places; not where there is no space of this name."""
    try:
        return load(name).is_tied
    except SpaceError:
        return False


def is_begun(name: str) -> bool:
    """Whether blocks of a space begin with a known network's weights; not where there is no such space."""
    try:
        return load(name).is_begun
    except SpaceError:
        return False


def in_folder(run: Path) -> SearchSpace:
    """The space of the network of a folder.

    Raises:
        HwnasError: It is the folder of none.
    """
    found = architecture_from_json(records.arch(run)).space
    return own.typed(found, str(run)) if found.is_told_whole else found


def _is_folder(text: str) -> bool:
    """Whether a text is the folder of a network."""
    return RunFolder(Path(text)).arch.is_file()


def _network_of(folder: str) -> str:
    """Name of the network of a folder; raises SpaceError where it is the folder of none."""
    if not _is_folder(folder):
        raise SpaceError(
            f"a network to search around must be a known one, as {PREFIX}efficientnet-lite0, or the folder "
            f"of a run or of an imported network, but {folder!r} is neither: `hwnas spaces list` names those "
            "that are known"
        )
    return in_folder(Path(folder)).name


def _given(option: int | None, named: str | None) -> int | None:
    """An option, or else the number in the name; 0 is no "not given"."""
    if option is not None:
        return option
    return int(named) if named else None


def of_run(run: Path, name: str) -> SearchSpace:
    """The space of a name, as the network of a run tells it where no name makes it again."""
    if _is_folder(str(run)):
        in_folder(run)
    return load(name)


def architecture_from_json(data: Mapping[str, Any]) -> Architecture:
    """The architecture that ``Architecture.to_json`` described, with its space made again."""
    if data.get("schema") != "hwnas-architecture/1":
        raise SpaceError(
            f"an architecture must be of schema hwnas-architecture/1, but got {data.get('schema')!r}"
        )
    whole = data.get("whole_space")
    space = load(str(data.get("space"))) if whole is None else own.told(whole)
    return Architecture.from_json(space, data)


__all__ = [
    "SPACES",
    "adapted",
    "architecture_from_json",
    "darts",
    "fbnet",
    "in_folder",
    "is_begun",
    "is_tied",
    "load",
    "macro",
    "mfas",
    "mnasnet",
    "mobilenetv3",
    "nasbench201",
    "nasnet",
    "of_run",
    "ofa",
    "own",
    "proxylessnas",
    "randwire",
    "register",
]

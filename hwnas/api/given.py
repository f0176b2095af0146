"""What callers may give: names, paths or objects, and nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from hwnas import device, spaces
from hwnas.annotations import require_types
from hwnas.device import Device
from hwnas.space import SearchSpace

AnySpace = str | SearchSpace
AnyDevice = str | Device
AnyPath = str | Path

_P = ParamSpec("_P")
_R = TypeVar("_R")


def space_of(given: AnySpace) -> SearchSpace:
    """The space itself, or the one of a name."""
    return spaces.load(given) if isinstance(given, str) else given


def device_of(given: AnyDevice) -> Device:
    """The device itself, or the one of a name."""
    return device.load(given) if isinstance(given, str) else given


def typed(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The function, which refuses what is of another type than its annotations say.

    Raises:
        HwnasError: The function is given something else; the message says what it takes.
    """
    signature = inspect.signature(function)

    @wraps(function)
    def verb(*args: _P.args, **options: _P.kwargs) -> _R:
        try:
            given = signature.bind(*args, **options).arguments
        except TypeError:
            return function(*args, **options)  # which says what is missing, or not known
        require_types(given, function)
        return function(*args, **options)

    return verb

"""What callers may give: names, paths or objects, and nothing else."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import wraps
from importlib import import_module
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from hwnas import device, spaces
from hwnas.device import Device
from hwnas.errors import HwnasError
from hwnas.space import SearchSpace

AnySpace = str | SearchSpace
AnyDevice = str | Device
AnyPath = str | Path

_P = ParamSpec("_P")
_R = TypeVar("_R")
_KINDS: Mapping[Any, tuple[Any, str]] = {
    str: (str, "text"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    bool: (bool, "True or False"),
    Path: (PathLike, "a path"),
    types.NoneType: (types.NoneType, "None"),
}


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


def require_types(given: Mapping[str, Any], owner: Any) -> None:
    """Values as the annotations of a function or a class say; names that these lack are let by.

    Raises:
        HwnasError: One is of another type.
    """
    hints = typing.get_type_hints(owner, localns=_Public(vars(sys.modules[owner.__module__])))
    for name, value in given.items():
        if name in hints and not _fits(value, hints[name]):
            raise HwnasError(f"{name} must be {_words(hints[name])}, but got {value!r}")


class _Public(dict[str, Any]):
    """Types that are imported for annotations only: the public ones by name, any type for others."""

    def __missing__(self, name: str) -> Any:
        if not name[0].isupper():  # built in
            raise KeyError(name)
        return getattr(import_module("hwnas"), name, Any)


def _fits(given: Any, hint: Any) -> bool:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return any(_fits(given, part) for part in parts)
    if origin is Sequence:
        is_list = isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping)
        return is_list and (not isinstance(given, Collection) or all(_fits(one, parts[0]) for one in given))
    if origin is Mapping:
        return isinstance(given, Mapping) and all(
            _fits(one, part) for item in given.items() for one, part in zip(item, parts, strict=True)
        )
    if origin is Callable:
        return callable(given)
    if hint is Any or getattr(hint, "_is_protocol", False):
        return True
    kind, _ = _KINDS.get(hint, (hint, ""))
    return isinstance(given, kind) and not (isinstance(given, bool) and hint in (int, float))


def _words(hint: Any) -> str:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(map(_words, parts))
    if origin is Sequence:
        return f"a list of {_words(parts[0])}"
    if origin is Mapping:
        return f"a mapping from {_words(parts[0])} to {_words(parts[1])}"
    if origin is Callable:
        return "a function"
    return _KINDS[hint][1] if hint in _KINDS else "anything" if hint is Any else str(hint.__name__)

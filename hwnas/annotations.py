"""Values as annotations say: what is of another type is refused in one sentence."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any

from hwnas.errors import HwnasError

_KINDS: Mapping[Any, tuple[Any, str]] = {
    str: (str, "text"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    bool: (bool, "True or False"),
    Path: (PathLike, "a path"),
    types.NoneType: (types.NoneType, "None"),
}


def require_types(given: Mapping[str, Any], owner: Any, error: type[HwnasError] = HwnasError) -> None:
    """Values as the annotations of a function or a class say; names that these lack are let by.

    Args:
        given: The values by their names.
        owner: The function or the class.
        error: What is raised.

    Raises:
        HwnasError: Of that kind: one value is of another type.
    """
    hints = _hints(owner)
    for name, value in given.items():
        if name in hints and not _fits(value, hints[name]):
            raise error(f"{name} must be {_words(hints[name])}, but got {value!r}")


def require_fields(options: Any, error: type[HwnasError]) -> None:
    """The same of the fields of a dataclass, by its own annotations: to be called as it is made."""
    require_types(vars(options), type(options), error)


@cache
def _hints(owner: Any) -> dict[str, Any]:
    return typing.get_type_hints(owner, localns=_Public(vars(sys.modules[owner.__module__])))


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
    if origin in (Sequence, tuple):
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
    if origin in (Sequence, tuple):
        return f"a list of {_words(parts[0])}"
    if origin is Mapping:
        return f"a mapping from {_words(parts[0])} to {_words(parts[1])}"
    if origin is Callable:
        return "a function"
    return _KINDS[hint][1] if hint in _KINDS else "anything" if hint is Any else str(hint.__name__)

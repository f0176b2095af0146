"""A setting as a config and the command line have it: read off the fields of a dataclass."""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import getdoc
from typing import Any

from hwnas.settings.comments import comment


@dataclass(frozen=True)
class Key:
    """One key of a section.

    Attributes:
        name: Its name.
        hint: Type that its value must have.
        default: Its default; None where it is not set.
        doc: One paragraph.
    """

    name: str
    hint: Any
    default: Any
    doc: str


_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "search.supernet": {"width": 0.5, "device": "auto"},
    "train": {"device": "auto", "distill_weight": 0.5},  # as finalists are tuned: ``train.config.TAUGHT``
}
_UNSET = {("search.supernet", "seed"), ("train", "seed")}
_OF_THE_PROGRAM = {"training"}
_SCALARS = (bool, int, float, str)


def keys_of(section: str, kind: type[Any]) -> list[Key]:
    """The keys that a section has of a dataclass, documented by its ``Attributes:``."""
    hints, docs = typing.get_type_hints(kind), _documented(kind)
    found = []
    for field in dataclasses.fields(kind):
        name, hint = field.name, hints[field.name]
        if not _fits_toml(hint) or name in _OF_THE_PROGRAM:
            continue
        default = _DEFAULTS.get(section, {}).get(name, field.default)
        if (section, name) in _UNSET:
            default = None
        found.append(Key(name, hint, default, comment(section, name, docs.get(name, ""))))
    return found


def _fits_toml(hint: Any) -> bool:
    return (
        hint in _SCALARS or any(_fits_toml(part) for part in _alternatives(hint)) or _item(hint) is not None
    )


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The types of a union but None; nothing for what is no union."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return tuple(part for part in typing.get_args(hint) if part is not types.NoneType)
    return ()


def _item(hint: Any) -> Any:
    """Type of the items of a tuple of any length; None for what is none."""
    arguments = typing.get_args(hint)
    is_tuple = typing.get_origin(hint) is tuple and len(arguments) == 2 and arguments[1] is ...
    return arguments[0] if is_tuple and arguments[0] in _SCALARS else None


def convert(value: Any, hint: Any) -> Any:
    """A value of TOML as a type wants it.

    Raises:
        TypeError: It is of another type; the message says which is wanted.
    """
    if alternatives := _alternatives(hint):
        return convert(value, alternatives[0])
    if (item := _item(hint)) is not None:
        given = value if isinstance(value, list) else [value]
        return tuple(convert(part, item) for part in given)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise TypeError("a finite number")
    if isinstance(value, str) and "\0" in value:
        raise TypeError("text without NUL characters")
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise TypeError({bool: "true or false", int: "a whole number", float: "a number", str: "text"}[hint])
    return value


def _documented(kind: type[Any]) -> dict[str, str]:
    """The ``Attributes:`` of a class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base is object or "__doc__" not in vars(base):
            continue
        _, _, text = (getdoc(base) or "").partition("Attributes:\n")
        for match in re.finditer(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", text, re.MULTILINE):
            found[match[1]] = re.sub(r"\s+", " ", match[2])
    return found

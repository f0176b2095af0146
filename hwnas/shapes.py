"""What a piece of JSON must be like, and what of it is not.

A shape is a type (``float`` takes whole numbers too), a ``Range``, a tuple of shapes (any of them),
``[shape]`` (a list), ``Items`` (a list of a length), ``{name: shape}`` (an object; a name that ends
in ``?`` may be missing, further names are left alone) or ``{str: shape}`` (an object of any names).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.errors import SchemaMismatch

Shape = Any

NONE = type(None)


@dataclass(frozen=True)
class Range:
    """A shape: a number within bounds, both included.

    Attributes:
        kind: ``int`` or ``float``.
        least: The smallest.
        most: The largest.
    """

    kind: type[int] | type[float]
    least: float
    most: float = math.inf

    def __str__(self) -> str:
        to = (
            f"from {self.least:g} to {self.most:g}" if self.most < math.inf else f"of at least {self.least:g}"
        )
        return f"{'a whole number' if self.kind is int else 'a number'} {to}"


@dataclass(frozen=True)
class Items:
    """A shape: a list of so many items.

    Attributes:
        shape: Of each item.
        least: The fewest items.
        most: The most; None for any number.
    """

    shape: Any
    least: int
    most: int | None = None

    def __str__(self) -> str:
        return f"a list of {self.least}" + ("" if self.most == self.least else " or more")


def require(content: Any, shape: Shape, what: str, path: Path, remedy: str) -> None:
    """Raise SchemaMismatch where JSON is not of a shape; what is odd, and where, is named."""
    for place, wanted, found in _odd(content, shape, ""):
        place = place.removeprefix(".")
        raise SchemaMismatch(
            f"{what} must be as hwnas writes it, but {path} has {found} instead of {wanted}"
            f"{' as ' + place if place else ''}: {remedy}",
            field=place.rsplit(".", 1)[-1] or "schema",
        )


def _odd(content: Any, shape: Shape, place: str) -> list[tuple[str, str, str]]:
    """The first place that does not fit, with what is wanted and what is there; else nothing."""
    if isinstance(shape, tuple):
        found = [_odd(content, each, place) for each in shape]
        if not all(found):
            return []
        deeper = [each for each in found if each[0][0] != place]
        return deeper[0] if deeper else [(place, _wanted(shape), _said(content))]
    if isinstance(shape, list | Items):
        among = shape if isinstance(shape, Items) else Items(shape[0], 0)
        most = among.most or math.inf
        if not isinstance(content, list) or not among.least <= len(content) <= most:
            return [(place, _wanted(shape), _said(content))]
        parts = [(f"{place}[{number}]", item, among.shape) for number, item in enumerate(content)]
    elif isinstance(shape, dict):
        if not isinstance(content, dict):
            return [(place, "an object", _said(content))]
        if str in shape:
            parts = [(f"{place}.{name}", item, shape[str]) for name, item in content.items()]
        else:
            names = {name: name.removesuffix("?") for name in shape}
            missing = [name for name in names if not name.endswith("?") and name not in content]
            if missing:
                return [(f"{place}.{missing[0]}", _wanted(shape[missing[0]]), "nothing")]
            parts = [(f"{place}.{n}", content[n], shape[key]) for key, n in names.items() if n in content]
    else:
        fits = _fits(content, shape)
        return [] if fits else [(place, _wanted(shape), _said(content))]
    for inner, item, part in parts:
        if wrong := _odd(item, part, inner.removeprefix(".")):
            return wrong
    return []


def _fits(content: Any, shape: Shape) -> bool:
    if isinstance(shape, Range):
        return _fits(content, shape.kind) and shape.least <= content <= shape.most
    kinds = (int, float) if shape is float else shape
    if not isinstance(content, kinds) or (isinstance(content, bool) and shape is not bool):
        return False
    if isinstance(content, str) and "\0" in content:  # no path has one
        return False
    return not isinstance(content, float) or math.isfinite(content)


def _wanted(shape: Shape) -> str:
    if isinstance(shape, Range | Items):
        return str(shape)
    if isinstance(shape, tuple):
        return " or ".join(map(_wanted, shape))
    if isinstance(shape, dict | list):
        return "an object" if isinstance(shape, dict) else "a list"
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    return {**words, dict: "an object", list: "a list", NONE: "null"}[shape]


def _said(content: Any) -> str:
    text = json.dumps(content, default=str)
    return text if len(text) <= 40 else f"{text[:37]}…"


SHARE, COUNT, SOME, SIZE = Range(float, 0, 1), Range(int, 0), Range(int, 1), Range(float, 0)

"""Colours of classes, as masks are shown in."""

from __future__ import annotations

_BITS = 8


def palette(count: int) -> tuple[tuple[int, int, int], ...]:
    """So many colours that differ, black the first: those of PASCAL VOC's masks.

    The bits of a number, taken in threes, go to red, green and blue, from the highest down.
    """
    return tuple(tuple(_channel(number >> part) for part in range(3)) for number in range(count))  # type: ignore[misc]


def _channel(number: int) -> int:
    return sum((number >> 3 * place & 1) << _BITS - 1 - place for place in range(_BITS))

"""Numbers in words; bounds are rounded outwards, so that what is printed is true and can be typed back."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

DIGITS = 4
"""Significant digits that a bound is printed with."""

_LAST_BIT = 1e-12  # relative: sums of the same numbers in another order differ by as much


def at_least(value: float) -> str:
    """The smallest number of four digits that is not below a value, as in "at least ... is needed"."""
    return _rounded(value * (1 + _LAST_BIT), ROUND_CEILING)


def at_most(value: float) -> str:
    """The largest number of four digits that is not above a value, as in "... is too little"."""
    return _rounded(value, ROUND_FLOOR)


def span(low: float, high: float) -> str:
    """A range that holds both of its ends, each as it is said where it is said alone."""
    return f"{at_most(low)} to {at_least(high)}"


def decimals(*values: float) -> int:
    """How many decimals it takes to show three digits that count of every value."""
    found = max((2 - math.floor(math.log10(abs(value))) for value in values if value), default=3)
    return max(0, found)


def _rounded(value: float, how: str) -> str:
    exact = Decimal(repr(float(value)))
    if not exact.is_finite() or not exact:
        return str(value)
    step = Decimal(1).scaleb(exact.adjusted() - DIGITS + 1)
    text = f"{exact.quantize(step, rounding=how):f}"  # never as 1e-05: budgets are not read so
    return text.rstrip("0").rstrip(".") if "." in text else text

"""Numbers as people read them."""

from __future__ import annotations

from hwnas.statistics.bounds import decimals
from hwnas.statistics.metric import Metric

Reading = tuple[float, tuple[float, float] | None]
"""A latency with its 95 % interval; None where the rounds are too few to carry one."""

_SPACE = "\N{NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"


def ms(value: float) -> str:
    """Milliseconds without the unit: three digits that count."""
    return f"{value:.{decimals(value)}f}"


def plus_minus(value: float, half: float) -> str:
    """A value and half its interval, as ``0.681 ± 0.013``, both with the same decimals.

    The decimals are those of ``ms``, and more where the interval would read as zero.
    """
    digits = decimals(value)
    while half > 0 and digits < 6 and round(half, digits) == 0:
        digits += 1
    return f"{value:.{digits}f}{_SPACE}±{_SPACE}{half:.{digits}f}"


def measured(value: float, interval: tuple[float, float] | list[float] | None) -> str:
    """A measurement with the longer arm of its interval: no less than what was measured."""
    if interval is None:
        return f"{ms(value)} (too few rounds for an interval)"
    low, high = interval
    return plus_minus(value, max(value - low, high - value))


def quality(metric: Metric, value: float, interval: tuple[float, float] | list[float] | None) -> str:
    """A value of a metric with its interval, where there is one."""
    said = metric.text(value, 2)
    return said if interval is None else f"{said} ({metric.within(interval)})"


def gap(metric: Metric, difference: float) -> str:
    """A difference of two values of a metric, signed: of a share, 0.0123 is ``+1.23``."""
    return metric.gap(difference, 2, "+").replace("-", _MINUS)


def signed_percent(share: float) -> str:
    """A signed share: 0.0123 is ``+1.2%``; no sign where it rounds to zero."""
    text = f"{share:+.1%}"
    return "0.0%" if float(text[:-1]) == 0 else text.replace("-", _MINUS)


def count(number: int) -> str:
    """How many: in full, or as a power of ten where nobody would read it."""
    return f"{number:,}" if number < 10**7 else f"{number:.1e}".replace("e+", "\N{MULTIPLICATION SIGN}10^")


def size(count: int) -> str:
    """Bytes of a file."""
    return f"{count / 1024:.0f} KiB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MiB"

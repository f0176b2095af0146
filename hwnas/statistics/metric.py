"""What networks are judged by: a metric with its name, its direction and its unit."""

from __future__ import annotations

from dataclasses import dataclass

_LEAST = 1e-12  # of a reference that another value is a part of


@dataclass(frozen=True)
class Metric:
    """What predictions are judged by.

    Attributes:
        name: In words, for example "accuracy".
        is_higher_better: Whether more of it is better.
        is_share: Whether it lies in [0, 1] and is told in percent.
    """

    name: str
    is_higher_better: bool
    is_share: bool

    @property
    def key(self) -> str:
        """Its name in records."""
        return self.name.replace(" ", "_")

    @property
    def score_key(self) -> str:
        """What the scores of a search are called in its records."""
        return "accuracy" if self == ACCURACY else "quality"

    def text(self, value: float, decimals: int = 1) -> str:
        """A value for people; decimals of a share in percent, four digits of another."""
        return f"{value:.{decimals}%}" if self.is_share else f"{value:.4g}"

    def within(self, interval: tuple[float, float] | list[float], decimals: int = 1) -> str:
        """An interval for people."""
        low, high = interval
        return f"{self.text(low, decimals)} to {self.text(high, decimals)}"

    def better(self, value: float) -> float:
        """The value with the sign that makes more better."""
        return value if self.is_higher_better else -value

    def lost(self, value: float, reference: float) -> float:
        """By how much a value is worse than a reference, in the unit of limits.

        That is a part of 1 for a share (0.01 is a point), and a part of the reference for another metric.
        """
        gap = self.better(reference) - self.better(value)
        return self.limited(gap, reference)

    def limited(self, gap: float, reference: float) -> float:
        """A difference from a reference in the unit of limits; see ``lost``."""
        return gap if self.is_share else gap / max(abs(reference), _LEAST)

    def limit(self, value: float) -> str:
        """A limit for people, as "at most ... is lost"."""
        return (
            f"{value * 100:g} points of {self.name}" if self.is_share else f"{value * 100:g} % of {self.name}"
        )

    def gap(self, difference: float, decimals: int = 1, sign: str = "") -> str:
        """A difference of two values for people, without ``unit``; "+" as sign shows it always."""
        return f"{difference * 100:{sign}.{decimals}f}" if self.is_share else f"{difference:{sign}.3g}"

    @property
    def unit(self) -> str:
        """What follows a ``gap``."""
        return " points" if self.is_share else ""


ACCURACY = Metric("accuracy", is_higher_better=True, is_share=True)
"""What records that name no metric are of."""

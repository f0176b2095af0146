"""What regrets of several strategies come to: means with intervals, and which of two is better.

Regrets of networks are far from normal (many are exactly 0), so that means have bootstrap intervals over
seeds, and two strategies are compared by Wilcoxon's signed-rank test over matched searches (Biometrics
Bulletin 1, 1945), all pairs together by Holm's method.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from hwnas.latency.base import FloatArray
from hwnas.statistics import resampled
from hwnas.statistics.intervals import SIGNIFICANT, together

_DECIMALS = 9
"""Of regrets in points: what differs by less was summed in another order."""


@dataclass(frozen=True)
class Pairing:
    """Two strategies over matched searches: the same budget and seed.

    Attributes:
        first: Name of one.
        second: Name of the other.
        wins: Searches in which the first has the smaller regret.
        equal: In which both have the same.
        losses: In which the second has the smaller.
        chance: p-value of "both are as good", of all pairs together.
    """

    first: str
    second: str
    wins: int
    equal: int
    losses: int
    chance: float

    @property
    def is_significant(self) -> bool:
        """Whether chance does not explain it."""
        return self.chance < SIGNIFICANT

    @property
    def text(self) -> str:
        """As tables have it."""
        return f"{self.wins}/{self.equal}/{self.losses}{'*' * self.is_significant}"

    @property
    def swapped(self) -> Pairing:
        """The same from the other's side."""
        return replace(self, first=self.second, second=self.first, wins=self.losses, losses=self.wins)


def mean_interval(regrets: FloatArray, most: float) -> tuple[float, float]:
    """95 % interval of a mean over seeds, by drawing seeds again.

    Args:
        regrets: Shape (seeds,).
        most: What no regret exceeds, which is all that a single seed tells.
    """
    rows = np.stack([regrets, np.ones_like(regrets)], axis=1)
    bounds = min(0.0, float(regrets.min())), max(most, float(regrets.max()))
    return resampled.interval(rows, lambda sums: sums[..., 0] / sums[..., 1], bounds)


def pairings(regrets: Mapping[str, FloatArray]) -> tuple[Pairing, ...]:
    """Every two strategies.

    Args:
        regrets: Of each, shape (searches,), matched in their order.
    """
    gaps = {pair: _gaps(regrets[pair[0]], regrets[pair[1]]) for pair in combinations(regrets, 2)}
    chances = together([_chance(gap) for gap in gaps.values()])
    return tuple(
        Pairing(*pair, int((gap < 0).sum()), int((gap == 0).sum()), int((gap > 0).sum()), chance)
        for (pair, gap), chance in zip(gaps.items(), chances, strict=True)
    )


def least_chance(searches: int, pairs: int) -> float:
    """The p-value of a strategy that wins every search, as one of so many pairs."""
    return min(1.0, pairs * 2.0 ** (1 - searches))


def _gaps(first: FloatArray, second: FloatArray) -> FloatArray:
    return np.round(first - second, _DECIMALS)


def _chance(gaps: FloatArray) -> float:
    """Two-sided p-value of Wilcoxon's test; searches that end alike speak for neither, as he has it."""
    from scipy import stats

    told = gaps[gaps != 0]
    return float(stats.wilcoxon(told).pvalue) if len(told) else 1.0

"""What follows from a metric that is a share, as accuracy and means of IoU or precision over classes."""

from __future__ import annotations

import math

from hwnas.statistics.intervals import SIGNIFICANT, chance_of_gap, right_of, wilson
from hwnas.tasks.common import OnImages

_LEAST_RISE = 0.005


class OfShares(OnImages):
    """A network that is judged by a share, as if so many images were right and the others wrong."""

    def least_gain(self, value: float, images: int) -> float:
        """Half a point, or the standard error of a share of so many images where that is more."""
        return max(_LEAST_RISE, math.sqrt(max(value * (1 - value), 1 / images) / images))

    def is_clearly_worse(self, one: float, other: float, images: int) -> bool:
        """By Fisher's exact test."""
        first, second = right_of(one, images), right_of(other, images)
        return first < second and chance_of_gap(first, second, images) < SIGNIFICANT

    def merit_interval(self, merit: float, images: int) -> tuple[float, float]:
        """Wilson's interval of a share."""
        return wilson(merit, images)

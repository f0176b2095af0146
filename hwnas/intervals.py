"""How wide intervals are, for people and for files: one place for the constants behind them."""

from __future__ import annotations

import math
from statistics import NormalDist

NORMAL_90 = NormalDist().inv_cdf(0.95)
"""Half the width of the 90 % interval of a normal distribution, in standard deviations."""

NORMAL_95 = NormalDist().inv_cdf(0.975)
"""The same of the 95 % interval."""


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share in [0, 1] that was seen on ``count`` images (Wilson's score)."""
    spread = NORMAL_95**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = NORMAL_95 / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / count / 4)
    return max(0.0, middle - half), min(1.0, middle + half)

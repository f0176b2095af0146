"""How wide intervals are, and what chance explains: for people and for files, in one place.

Shares of right answers are counts. Few images and shares near 0 or 1 are what people have, and
there normal approximations fail (a bound above 1, a perfect network that "may be guessing"), so
tests and intervals of counts are exact here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from statistics import NormalDist

NORMAL_90 = NormalDist().inv_cdf(0.95)
"""Half the width of the 90 % interval of a normal distribution, in standard deviations."""

NORMAL_95 = NormalDist().inv_cdf(0.975)
"""The same of the 95 % interval."""

MAD_NORMAL = 1.4826
"""Standard deviation over the median absolute deviation, of a normal distribution."""

SIGNIFICANT = 0.05
"""What chance explains with a probability below this is taken for real."""


def arm(value: float, interval: tuple[float, float] | Sequence[float]) -> float:
    """The longer arm of an interval about a value, which stands after a ± everywhere."""
    low, high = interval
    return max(high - value, value - low)


def together(chances: Sequence[float]) -> tuple[float, ...]:
    """p-values of several tests so that all that are below a level are right but for that probability.

    Holm's step-down method (Scandinavian Journal of Statistics 6, 1979), whatever the tests share.

    Args:
        chances: p-value of each test alone.
    """
    order = sorted(range(len(chances)), key=lambda n: chances[n])
    raised = accumulate((chances[n] * (len(order) - rank) for rank, n in enumerate(order)), max)
    found = dict(zip(order, raised, strict=True))
    return tuple(min(1.0, found[n]) for n in range(len(chances)))


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share in [0, 1] that was seen on ``count`` images (Wilson's score)."""
    spread = NORMAL_95**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = NORMAL_95 / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / count / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def right_of(share: float, count: int) -> int:
    """How many of ``count`` images a share in [0, 1] is."""
    return min(count, max(0, round(share * count)))


def clopper_pearson(right: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of a share of which ``right`` of ``count`` were seen; (0, 1) of nothing."""
    if count == 0:
        return 0.0, 1.0
    from scipy import stats

    found = stats.binomtest(right, count).proportion_ci(confidence, method="exact")
    return float(found.low), float(found.high)


def chance_of_at_least(right: int, count: int, share: float) -> float:
    """Probability that ``count`` tries that succeed by ``share`` succeed ``right`` times or oftener.

    With the share of the commonest class it is the one-sided p-value of "no better than the best
    constant answer".
    """
    from scipy import stats

    return float(stats.binom.sf(right - 1, count, share))


def chance_of_at_most(right: int, count: int, share: float) -> float:
    """Probability that ``count`` tries that succeed by ``share`` succeed ``right`` times or more rarely."""
    from scipy import stats

    return float(stats.binom.cdf(right, count, share))


def beats_guessing(right: int, count: int, guess: float) -> bool | None:
    """Whether so many right answers are better than a guess (exact binomial test).

    Args:
        right: Right answers.
        count: Of so many.
        guess: Share that the best constant answer has right.

    Returns:
        None where the images cannot tell: not even an accuracy half way from guessing to perfect
        would show on so few.
    """
    if chance_of_at_least(right, count, guess) < SIGNIFICANT:
        return True
    half_way = int(count * (1 + guess) / 2)
    return False if chance_of_at_least(half_way, count, guess) < SIGNIFICANT else None


def chance_of_gap(low: int, high: int, count: int) -> float:
    """One-sided p-value of "the first is as good as the second" (Fisher's exact test).

    Args:
        low: Right answers of the first, of ``count``.
        high: Right answers of the second, of as many.
        count: Images of each. Where both answered the same ones and it is known which, use
            ``chance_of_swaps``, which sees smaller differences.
    """
    from scipy import stats

    return float(stats.hypergeom.cdf(low, 2 * count, low + high, count))


def chance_of_swaps(gained: int, lost: int) -> float:
    """Two-sided p-value of "both are as good" on the same images (McNemar's exact test).

    Args:
        gained: Images that only the first has right.
        lost: Images that only the second has right.
    """
    if gained + lost == 0:
        return 1.0
    from scipy import stats

    return float(stats.binomtest(gained, gained + lost, 0.5).pvalue)


def difference(right: int, count: int, other_right: int, other_count: int) -> tuple[float, float]:
    """The 95 % interval of a share less another, on different images.

    Newcombe's hybrid score interval (Statistics in Medicine 17, 1998, method 10): never beyond
    [-1, 1], and sound for shares of 0 and 1.
    """
    one, two = right / count, other_right / other_count
    (low, high), (other_low, other_high) = wilson(one, count), wilson(two, other_count)
    gap = one - two
    return (
        gap - math.hypot(one - low, other_high - two),
        gap + math.hypot(high - one, two - other_low),
    )


def paired_difference(gained: int, lost: int, count: int) -> tuple[float, float]:
    """The 95 % interval of an accuracy less another on the same images.

    The adjusted Wald interval of Bonett and Price (Journal of Educational and Behavioral
    Statistics 37, 2012), which also holds for few images.

    Args:
        gained: Images that only the first has right.
        lost: Images that only the second has right.
        count: All images.
    """
    one, two = (gained + 1) / (count + 2), (lost + 1) / (count + 2)
    half = NORMAL_95 * math.sqrt((one + two - (one - two) ** 2) / (count + 2))
    return max(-1.0, one - two - half), min(1.0, one - two + half)

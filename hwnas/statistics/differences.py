"""Which differences are real: a metric on the same images, latencies of the same session."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import DataError
from hwnas.statistics.intervals import NORMAL_95, SIGNIFICANT, chance_of_swaps, paired_difference

TRAINING_NOISE = 0.02
"""By how much the accuracies of two trainings of one network differ easily; no difference below it speaks of
networks."""


@dataclass(frozen=True)
class Difference:
    """By how much one network is better than another, by the same metric on the same images.

    Attributes:
        mean: Over the trainings; positive where the first is better. Of accuracies it is in [-1, 1].
        interval: Of it, 95 %. With one training a side it is only of these two trained networks.
        chance: p-value of "both are as good" on these images; None where there is no such test.
        images: How many both answered.
        trainings: Of each.
        gained: Images that only the first has right; None of several trainings, and where an image is
            not simply right or wrong.
        lost: Images that only the second has right.
        noise: By how much two trainings of one network differ easily.
    """

    mean: float
    interval: tuple[float, float]
    chance: float | None
    images: int
    trainings: int
    gained: int | None = None
    lost: int | None = None
    noise: float = TRAINING_NOISE

    @classmethod
    def of(cls, first: Sequence[NDArray[np.bool_]], second: Sequence[NDArray[np.bool_]]) -> Difference:
        """Compare right answers.

        One training a side: McNemar's exact test and the interval of ``paired_difference``. Several:
        the error of their mean (Student's t over the pairs of trainings) and that of the images add up.

        Args:
            first: Which images were answered rightly, shape (images,), one array a training.
            second: The same of the other network, for the same images in the same order.

        Raises:
            DataError: The arrays do not go together.
        """
        if not first or len(first) != len(second) or len({len(item) for item in (*first, *second)}) != 1:
            raise DataError("a difference must be of as many trainings on the same images, but is not")
        gains = np.array(first, np.float64) - np.array(second, np.float64)
        images, trainings, mean = gains.shape[1], len(first), float(gains.mean())
        if trainings == 1:
            gained, lost = int((gains > 0).sum()), int((gains < 0).sum())
            interval, chance = paired_difference(gained, lost, images), chance_of_swaps(gained, lost)
            return cls(mean, interval, chance, images, 1, gained, lost)
        from scipy import stats

        over_images = gains.mean(axis=0)
        of_images = NORMAL_95 * float(over_images.std(ddof=1)) / math.sqrt(images) if images > 1 else 1.0
        spread = statistics.stdev(gains.mean(axis=1).tolist()) / math.sqrt(trainings)
        half = math.hypot(of_images, float(stats.t.ppf(0.975, trainings - 1)) * spread)
        return cls(mean, (max(-1.0, mean - half), min(1.0, mean + half)), None, images, trainings)

    @property
    def is_real(self) -> bool:
        """Whether it is not explained by chance; with one training a side, that of the images alone."""
        low, high = self.interval
        return not low <= 0 <= high and (self.chance is None or self.chance < SIGNIFICANT)

    @property
    def said(self) -> str:
        """Whether it is real, in words."""
        if not self.is_real:
            return f"not shown by {self.images:,} images" + self._once
        if self.trainings == 1:
            low, high = (abs(end) for end in self.interval)
            if min(low, high) <= self.noise:
                return "of these two trainings; another training may turn it round"
            return "real" + self._once
        return "real"

    @property
    def _once(self) -> str:
        return ", with one training of each" if self.trainings == 1 else ""

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self) | {"interval": list(self.interval), "real": self.is_real, "said": self.said}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Difference:
        """Rebuild what ``to_json`` wrote; earlier versions wrote fewer fields."""
        fields = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        low, high = fields["interval"]
        return cls(**fields | {"interval": (low, high)})


def ratio_interval(
    first: float,
    of_first: tuple[float, float] | None,
    second: float,
    of_second: tuple[float, float] | None,
) -> tuple[float, float] | None:
    """95 % interval of a ratio of two latencies from those of both; None where either has none above 0.

    The squared arms add up on the logarithmic scale (Zou and Donner, Statistics in Medicine 27, 2008).

    Args:
        first: Above the line.
        of_first: Its 95 % interval.
        second: Below the line.
        of_second: Its 95 % interval.
    """
    if of_first is None or of_second is None or of_first[0] <= 0 or of_second[0] <= 0:
        return None
    ratio = first / second
    low = math.hypot(math.log(first / of_first[0]), math.log(of_second[1] / second))
    high = math.hypot(math.log(of_first[1] / first), math.log(second / of_second[0]))
    return ratio * math.exp(-low), ratio * math.exp(high)


def chance_of_ratio(ratio: float, interval: tuple[float, float]) -> float:
    """Two-sided p-value of "both take as long", below .05 where the 95 % interval leaves 1 out.

    Normal on the logarithmic scale, with the arm of the interval that reaches towards 1.

    Args:
        ratio: Of two latencies.
        interval: Its 95 % interval, see ``ratio_interval``.
    """
    arm = abs(math.log(interval[0 if ratio > 1 else 1] / ratio))
    away = abs(math.log(ratio))
    if not arm:
        return 0.0 if away else 1.0
    return math.erfc(NORMAL_95 * away / arm / math.sqrt(2))

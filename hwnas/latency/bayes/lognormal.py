"""Latencies of which the logarithm is known to within a normal distribution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnas.latency.base import FloatArray, Prediction
from hwnas.statistics.intervals import NORMAL_90

HELD = 0.9
"""Probability of the interval that a standard deviation stands for."""

_HALVINGS = 50  # of the interval's width: as exact as numbers are


@dataclass(frozen=True)
class LogNormal:
    """One distribution a network.

    Attributes:
        centre: Mean of the logarithm of the latency in ms, shape (n,).
        std: Standard deviation of the logarithm, shape (n,), positive.
    """

    centre: FloatArray
    std: FloatArray

    @property
    def least_wrong_ms(self) -> FloatArray:
        """What is expected to be wrong by the least share of the true latency, shape (n,).

        That is the median where shares of a small latency weigh what they are: lower than the median by
        the variance. A network that takes .01 or 3 ms is wrong by 299 times if it is said to take 3.
        """
        return np.asarray(np.exp(self.centre - self.std**2))

    def around(self, mean_ms: FloatArray) -> Prediction:
        """Predictions whose symmetrical 90 % intervals hold 90 % of the distribution."""
        low, high = np.zeros_like(mean_ms), np.exp(self.centre + 4 * self.std) + mean_ms
        for _ in range(_HALVINGS):
            half = (low + high) / 2
            enough = self._below(mean_ms + half) - self._below(mean_ms - half) >= HELD
            low, high = np.where(enough, low, half), np.where(enough, half, high)
        return Prediction(mean_ms, high / NORMAL_90)

    def _below(self, latency_ms: FloatArray) -> FloatArray:
        """Probability of less than a latency; none is less than nothing."""
        from scipy.special import ndtr

        least = float(np.finfo(np.float64).tiny)
        return np.asarray(ndtr((np.log(np.maximum(latency_ms, least)) - self.centre) / self.std))

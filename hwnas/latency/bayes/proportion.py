"""What no prediction of a new device is far off: known devices, each scaled by its median ratio.

A network that takes next to nothing on every known device takes no average time on the new one. Where
known devices disagree about a network far more than about any that was measured on the new one (it
collapses on some of them, and none that collapses was measured), nobody knows what it takes here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnas.latency.base import FloatArray, IntArray
from hwnas.latency.bayes.known_latency import KnownLatency

BEYOND = 2.0
"""How many times farther than any left-out network a prediction may be off all known devices, and than about
any measured network these may disagree."""


@dataclass(frozen=True)
class Proportion:
    """Known devices, scaled to the new one.

    Attributes:
        known: What whole networks take on known devices.
        ratios: Of the new device to each known one, shape (devices,).
        factor: How far a prediction may be off all of them.
        spread: Variance of logarithms that may be between them.
    """

    known: KnownLatency
    ratios: FloatArray
    factor: float
    spread: float

    @classmethod
    def fit(
        cls, known: KnownLatency, indices: IntArray, latency_ms: FloatArray, folds: IntArray
    ) -> tuple[Proportion, FloatArray]:
        """Learn from measured networks, and how far those of a fold are off what the others say.

        Returns:
            The proportion, and for each network what ``unheard`` is by those of other folds, shape (n,).
        """
        rows, farthest, left_out = known(indices), 1.0, np.zeros(len(indices))
        for fold in np.unique(folds):
            out = folds == fold
            scaled = rows * _ratios(rows[~out], latency_ms[~out])
            low, high, taken = scaled[out].min(axis=1), scaled[out].max(axis=1), latency_ms[out]
            farthest = max(farthest, float(np.maximum(low / taken, taken / high).max()))
            left_out[out] = np.maximum(_spread(scaled[out]) - _most(scaled[~out]), 0.0)
        ratios = _ratios(rows, latency_ms)
        return cls(known, ratios, BEYOND * farthest, _most(rows * ratios)), left_out

    def bounds(self, indices: IntArray) -> tuple[FloatArray, FloatArray]:
        """The least and the most that architectures of shape (n, choices) may be predicted to take, in ms."""
        scaled = self.known(indices) * self.ratios
        return scaled.min(axis=1) / self.factor, scaled.max(axis=1) * self.factor

    def unheard(self, indices: IntArray) -> FloatArray:
        """Variance of logarithms between known devices that no measured network prepared for, shape (n,)."""
        return np.asarray(np.maximum(_spread(self.known(indices) * self.ratios) - self.spread, 0.0))


def _ratios(rows: FloatArray, latency_ms: FloatArray) -> FloatArray:
    return np.asarray(np.median(latency_ms[:, None] / rows, axis=0))


def _spread(scaled: FloatArray) -> FloatArray:
    return np.asarray(np.log(scaled).var(axis=1))


def _most(scaled: FloatArray) -> float:
    return float(_spread(scaled).max()) * BEYOND**2

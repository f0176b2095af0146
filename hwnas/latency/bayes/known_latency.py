"""What whole networks take on known devices, and the new device in proportion to that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hwnas.latency.base import FloatArray, IntArray, Prediction
from hwnas.latency.bayes.device_prior import Known
from hwnas.latency.bayes.entries import Entries
from hwnas.latency.bayes.gaussian import LEAST
from hwnas.latency.bayes.interactions import Remainder
from hwnas.statistics.intervals import MAD_NORMAL

BEYOND = 2.0
"""How many times farther than any left-out network a prediction may be off all known devices."""

EXACT = 1e-3
"""Relative error that a combination has at least: no ten networks show that it is exact."""


@dataclass(frozen=True)
class KnownLatency:
    """Whole networks on known devices.

    Attributes:
        entries: What is known of the space's candidates.
        known: Cost vectors of known devices; at least one.
        remainders: What their sums of costs cannot explain, and what was measured.
    """

    entries: Entries
    known: Known
    remainders: Mapping[str, Remainder]

    def __call__(self, indices: IntArray) -> FloatArray:
        """Latency in ms, shape (n, devices): what was measured, or else what is predicted.

        A prediction is at least the least that the device was measured to take, or, where it was
        not measured whole, a thousandth of its average network.
        """
        paid = self.entries.layout.matrix(indices)
        columns = []
        for name, costs in self.known.items():
            latency, remainder = paid @ np.asarray(costs), self.remainders.get(name)
            if remainder is None:
                least = float(self.entries.average @ np.asarray(costs)) * LEAST
                columns.append(np.maximum(latency, least))
            else:
                predicted = np.maximum(latency + remainder(indices), remainder.least_ms)
                columns.append(remainder.measured_ms.of(indices, predicted))
        return np.stack(columns, axis=1)

    @property
    def least_ms(self) -> FloatArray:
        """What the fastest network takes, shape (devices,)."""
        fastest = []
        for name, costs in self.known.items():
            *choices, fixed = np.split(np.asarray(costs), [*self.entries.layout.offsets[1:], -1])
            least = sum(float(part.min()) for part in choices) + float(fixed[0])
            fastest.append(self.remainders[name].least_ms if name in self.remainders else least)
        return np.array(fastest)

    @property
    def average_ms(self) -> FloatArray:
        """Sum of costs of the average network, shape (devices,)."""
        return np.array([self.entries.average @ np.asarray(costs) for costs in self.known.values()])


@dataclass(frozen=True)
class Combination:
    """The simplest model: known devices' latencies with positive factors, and a constant.

    Attributes:
        known: What whole networks take on known devices.
        factors: Shape (devices + 1,), the constant in ms last.
        least_ms: No prediction is less.
        error: Relative standard deviation of a network.
    """

    known: KnownLatency
    factors: FloatArray
    least_ms: float
    error: float

    @classmethod
    def fit(cls, known: KnownLatency, indices: IntArray, latency_ms: FloatArray) -> Combination:
        """Least squares in ms over measured networks, shapes (n, choices) and (n,), n at least 1."""
        from scipy.optimize import nnls

        rows = _with_constant(known(indices))
        factors, _ = nnls(rows, latency_ms)
        least, free = float(latency_ms.mean()) * LEAST, max(1, len(rows) - int((factors > 0).sum()))
        off = np.abs(latency_ms / np.maximum(rows @ factors, least) - 1)
        error = float(MAD_NORMAL * np.median(off) * np.sqrt(len(rows) / free))
        return cls(known, factors, least, max(error, EXACT))

    def predict(self, indices: IntArray) -> Prediction:
        """Latency of architectures of shape (n, choices)."""
        mean = np.maximum(_with_constant(self.known(indices)) @ self.factors, self.least_ms)
        return Prediction(mean, mean * self.error)


def _with_constant(rows: FloatArray) -> FloatArray:
    return np.concatenate([rows, np.ones((len(rows), 1))], axis=1)


@dataclass(frozen=True)
class Proportion:
    """What no prediction is far off: known devices, each scaled by its median ratio.

    A network that takes next to nothing on every known device takes no average time on the new one.

    Attributes:
        known: What whole networks take on known devices.
        ratios: Of the new device to each known one, shape (devices,).
        factor: How far a prediction may be off all of them.
    """

    known: KnownLatency
    ratios: FloatArray
    factor: float

    @classmethod
    def fit(
        cls, known: KnownLatency, indices: IntArray, latency_ms: FloatArray, folds: IntArray
    ) -> Proportion:
        """Ratios of measured networks, and how far those of a fold are off what the others say."""
        rows, farthest = known(indices), 1.0
        for fold in np.unique(folds):
            out = folds == fold
            scaled = rows[out] * np.median(latency_ms[~out, None] / rows[~out], axis=0)
            off = np.maximum(scaled.min(axis=1) / latency_ms[out], latency_ms[out] / scaled.max(axis=1))
            farthest = max(farthest, float(off.max()))
        return cls(known, np.median(latency_ms[:, None] / rows, axis=0), BEYOND * farthest)

    def within(self, prediction: Prediction, indices: IntArray) -> Prediction:
        """The same, but for what is too far off; that is doubted by as much as it was moved."""
        scaled = self.known(indices) * self.ratios
        low, high = scaled.min(axis=1) / self.factor, scaled.max(axis=1) * self.factor
        mean = np.clip(prediction.mean_ms, low, high)
        relative, moved = prediction.std_ms / prediction.mean_ms, np.log(mean / prediction.mean_ms)
        return Prediction(mean, mean * np.hypot(relative, moved))

"""What whole networks take on known devices, and the new device as a plain combination of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from hwnas.latency.base import FloatArray, IntArray, Prediction
from hwnas.latency.bayes.device_prior import Known
from hwnas.latency.bayes.entries import Entries
from hwnas.latency.bayes.gaussian import LEAST
from hwnas.latency.bayes.interactions import ResidualProcess
from hwnas.statistics.intervals import MAD_NORMAL

EXACT = 1e-3
"""Relative error that a combination has at least: no ten networks show that it is exact."""


@dataclass(frozen=True)
class KnownLatency:
    """Whole networks on known devices.

    Attributes:
        entries: What is known of the space's candidates.
        known: Cost vectors of known devices; at least one.
        residuals: What their sums of costs cannot explain, and what was measured.
    """

    entries: Entries
    known: Known
    residuals: Mapping[str, ResidualProcess]

    def __call__(self, indices: IntArray) -> FloatArray:
        """Latency in ms, shape (n, devices): what was measured, or else what is predicted.

        A prediction is at least the least that the device was measured to take, or, where it was
        not measured whole, a thousandth of its average network.
        """
        columns = []
        for name, costs in self.known.items():
            residual = self.residuals.get(name)
            if residual is None:
                least = float(self.entries.average @ np.asarray(costs)) * LEAST
                columns.append(np.maximum(self._sums(costs, indices), least))
            else:
                columns.append(residual.measured_ms.of(indices, partial(self._with_residual, name)))
        return np.stack(columns, axis=1)

    def _sums(self, costs: Sequence[float], indices: IntArray) -> FloatArray:
        return np.asarray(self.entries.layout.matrix(indices) @ np.asarray(costs))

    def _with_residual(self, name: str, indices: IntArray) -> FloatArray:
        residual = self.residuals[name]
        return np.maximum(self._sums(self.known[name], indices) + residual(indices), residual.least_ms)

    @property
    def least_ms(self) -> FloatArray:
        """What the fastest network takes, shape (devices,)."""
        fastest = []
        for name, costs in self.known.items():
            *choices, fixed = np.split(np.asarray(costs), [*self.entries.layout.offsets[1:], -1])
            least = sum(float(part.min()) for part in choices) + float(fixed[0])
            fastest.append(self.residuals[name].least_ms if name in self.residuals else least)
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


def least_of(latency_ms: FloatArray) -> float:
    """No prediction in ms is less; the fastest of ten may take far more than the fastest of all."""
    return min(float(latency_ms.min()) / 2, float(latency_ms.mean()) * LEAST)

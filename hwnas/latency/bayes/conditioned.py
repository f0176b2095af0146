"""A latency model that knows of some architectures what was measured: conditioned in closed form.

What a model is wrong by is a Gaussian process over architectures. Its covariance is the sum of
what the model doubts about its costs; of what sums of costs cannot explain, which architectures
share the more the fewer choices they differ in; and of a common factor, because machines drift.
Conditioned on measurements it gives mean and interval of any other architecture (Rasmussen &
Williams, Gaussian Processes for Machine Learning, equations 2.25 and 2.26). Where the errors are
larger than all that allows, the covariance is scaled to them: intervals of a model that was
caught being wrong are wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np

from hwnas.latency.base import FloatArray, IntArray, LatencyModel, Prediction
from hwnas.latency.bayes.posterior import Posterior
from hwnas.latency.layout import Layout
from hwnas.latency.networks import Networks
from hwnas.space import SearchSpace

REACH = 0.3
"""Share of choices that may differ before what sums cannot explain is shared to 1/e."""

FACTOR = 0.03
"""Relative standard deviation of the common factor."""

LEAST_ERROR = 0.003
"""Relative standard deviation of a measurement, at least."""


@dataclass(frozen=True)
class Conditioned:
    """A model and what was measured since.

    Attributes:
        model: What was believed before.
        space: The space of the architectures.
        networks: What was measured; may be empty.
        error_ms: Standard deviation of each measurement, shape (n,).
    """

    model: LatencyModel
    space: SearchSpace
    networks: Networks
    error_ms: FloatArray

    def predict(self, indices: IntArray) -> Prediction:
        """Latency of architectures, shape (n, choices)."""
        before = self.model.predict(self.space, indices)
        if not len(self.networks):
            return before
        gain, weights, amplitude = self._solved
        shared = self._covariance(indices, before)
        mean = before.mean_ms + shared @ weights
        alone = before.std_ms**2 + (FACTOR * before.mean_ms) ** 2
        left = np.maximum(alone - np.sum((shared @ gain) * shared, axis=1), 0.0)
        return Prediction(np.maximum(mean, 1e-3 * before.mean_ms), amplitude * np.sqrt(left))

    @cached_property
    def _known(self) -> Prediction:
        return self.model.predict(self.space, self.networks.indices)

    @cached_property
    def _solved(self) -> tuple[FloatArray, FloatArray, float]:
        """Inverse covariance of the measurements, their weights, and how far errors are beyond it."""
        error = np.maximum(self.error_ms, LEAST_ERROR * self.networks.latency_ms)
        covariance = self._covariance(self.networks.indices, self._known) + np.diag(error**2)
        gain = np.asarray(np.linalg.inv(covariance), np.float64)
        residual = self.networks.latency_ms - self._known.mean_ms
        weights = gain @ residual
        return gain, weights, sqrt(max(1.0, float(residual @ weights) / len(residual)))

    def _covariance(self, indices: IntArray, prediction: Prediction) -> FloatArray:
        """Of architectures with those measured, shape (n, measured)."""
        layout, known = Layout(self.space.sizes), self._known
        first, second = layout.matrix(indices), layout.matrix(self.networks.indices)
        costs = np.zeros((len(first), len(second)))
        alone, alone_known = prediction.std_ms, known.std_ms
        if isinstance(self.model, Posterior):
            posterior = self.model.gaussian(self.space)
            costs = first @ posterior.covariance @ second.T
            alone, alone_known = posterior.noise * prediction.mean_ms, posterior.noise * known.mean_ms
        same = first[:, : layout.fixed] @ second[:, : layout.fixed].T / len(self.space.sizes)
        nearby = np.exp(-(1.0 - same) / REACH) * np.outer(alone, alone_known)
        factor = FACTOR**2 * np.outer(prediction.mean_ms, known.mean_ms)
        return np.asarray(costs + nearby + factor)

"""A new device as a product: each known device's latency to some power, and a factor a candidate.

A sum of costs is fitted to within a share of the average network. Where latencies span orders of
magnitude, because whole branches are skipped once one choice makes them useless, that says nothing
of nearly empty networks. In logarithms every network counts alike, and what a known device skips
is skipped by the new one as well:

    log latency = level + sum over devices of power_k log latency_k + sum over choices of log factor

It is the same Gaussian model as that of costs: the powers are expected to be equal and to sum to one
and are not negative, factors are expected to be one, and how far they are not is inferred from the
measured networks. Predictions are medians.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hwnas.latency.base import FloatArray, IntArray, Prediction
from hwnas.latency.bayes.device_prior import NOISE, PLAUSIBLE, Known
from hwnas.latency.bayes.entries import Entries
from hwnas.latency.bayes.evidence import believe, infer_variances
from hwnas.latency.bayes.gaussian import LEAST, Belief, Component, Equations, Prior
from hwnas.latency.bayes.interactions import Remainder

LEVEL = 1.0
"""Standard deviation of the logarithm of the level around that of the measured networks."""


@dataclass(frozen=True)
class Logs:
    """Architectures as equations of the product.

    Attributes:
        entries: What is known of the space's candidates.
        known: Cost vectors of known devices; at least one.
        remainders: What their sums of costs cannot explain.
    """

    entries: Entries
    known: Known
    remainders: Mapping[str, Remainder]

    def __call__(self, indices: IntArray) -> FloatArray:
        """Candidates and logarithms of latencies, shape (n, entries + known devices).

        A known device takes at least the least that it was measured to take, or, where it was not
        measured whole, a thousandth of its average network.
        """
        paid = self.entries.layout.matrix(indices)
        columns = []
        for name, costs in self.known.items():
            latency = paid @ np.asarray(costs)
            least = float(self.entries.average @ np.asarray(costs)) * LEAST
            if name in self.remainders:
                latency = latency + self.remainders[name](indices)
                least = self.remainders[name].least_ms or least
            columns.append(np.log(np.maximum(latency, least)))
        return np.concatenate([paid, np.stack(columns, axis=1)], axis=1)

    @property
    def prior(self) -> Prior:
        """Over the level, the logarithms of factors, and the powers."""
        entries, count = self.entries, len(self.known)
        size = entries.layout.entries

        def factors(name: str, root: FloatArray, start: float) -> Component:
            return Component(name, np.concatenate([root, np.zeros((count, root.shape[1]))]), start)

        powers = np.concatenate([np.zeros((size, count)), np.eye(count)])
        return Prior(
            (
                Component("known", powers, PLAUSIBLE["known"], np.full(count, 1 / count), positive=True),
                factors("level", entries.fixed_only, LEVEL),
                factors("candidate", entries.groups(entries.candidates), PLAUSIBLE["entry"]),
                factors("entry", entries.groups(entries.workloads), PLAUSIBLE["entry"]),
            ),
            NOISE,
        )


@dataclass(frozen=True)
class Product:
    """What was learnt of a new device as a product.

    Attributes:
        logs: Turns architectures into equations.
        centre: Of the measured networks' equations, shape (entries + known devices,).
        level: Mean logarithm of their latency.
        belief: The Gaussian over level, factors and powers; the noise is that of the logarithm.
    """

    logs: Logs
    centre: FloatArray
    level: float
    belief: Belief

    @classmethod
    def fit(cls, logs: Logs, indices: IntArray, latency_ms: FloatArray) -> Product:
        """Learn from measured networks, shapes (n, choices) and (n,), n at least 1."""
        rows, values = logs(indices), np.log(latency_ms)
        # powers turn around the measured networks, and leave their level where it is
        centre, size = rows.mean(axis=0), logs.entries.layout.entries
        centre[:size] = 0.0
        level, prior = float(values.mean()), logs.prior
        equations = Equations(rows - centre, values - level)
        belief = believe(prior, infer_variances(prior, equations), equations)
        return cls(logs, centre, level, belief)

    def predict(self, indices: IntArray) -> Prediction:
        """Medians, and the standard deviation of the logarithm as a share of them."""
        rows = self.logs(indices) - self.centre
        median = np.exp(self.level + rows @ self.belief.mean_ms)
        variance = np.maximum(np.sum((rows @ self.belief.covariance) * rows, axis=1), 0.0)
        return Prediction(median, median * np.sqrt(variance + self.belief.noise**2))

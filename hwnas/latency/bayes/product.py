"""A new device as a product: each known device's latency to some power, and a factor a candidate.

A sum of costs is fitted to within a share of the average network. Where latencies span orders of
magnitude, because whole branches are skipped once one choice makes them useless, that says nothing
of nearly empty networks. In logarithms every network counts alike, and what a known device skips
is skipped by the new one as well:

    log latency = level + sum over devices of power_k log latency_k + sum over choices of log factor

It is the same Gaussian model as that of costs: the powers are expected to be equal and to sum to one
and are not negative, factors are expected to be one, and how far they are not is inferred from the
measured networks. Predictions are medians.

Where each run of a known device starts with a time that the new one does not need, proportions hold
of what its networks take over the fastest one. The simplest model of this kind has no factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnas.latency.base import FloatArray, IntArray, Prediction
from hwnas.latency.bayes.device_prior import NOISE, PLAUSIBLE
from hwnas.latency.bayes.evidence import infer_variances, posterior_of
from hwnas.latency.bayes.gaussian import Component, Equations, Gaussian, Prior
from hwnas.latency.bayes.known_latency import KnownLatency

LEVEL = 1.0
"""Standard deviation of the logarithm of the level around that of the measured networks."""

START = 0.01
"""Share of what the average network takes over the fastest one that is added before logarithms."""


@dataclass(frozen=True)
class Logs:
    """Architectures as equations of the product.

    Attributes:
        known: What whole networks take on known devices.
        over_fastest: Whether that is what they take over the fastest network.
        factors: Whether candidates have factors.
    """

    known: KnownLatency
    over_fastest: bool = False
    factors: bool = True

    def __call__(self, indices: IntArray) -> FloatArray:
        """Candidates and logarithms of latencies, shape (n, entries + known devices)."""
        latency = self.known(indices)
        if self.over_fastest:
            least = self.known.least_ms
            latency = np.maximum(latency - least, 0.0) + START * (self.known.average_ms - least)
        return np.concatenate([self.known.entries.layout.matrix(indices), np.log(latency)], axis=1)

    @property
    def prior(self) -> Prior:
        """Over the level, the logarithms of factors, and the powers."""
        entries, count = self.known.entries, len(self.known.known)
        size = entries.layout.entries

        def component(name: str, root: FloatArray, start: float) -> Component:
            return Component(name, np.concatenate([root, np.zeros((count, root.shape[1]))]), start)

        powers = np.concatenate([np.zeros((size, count)), np.eye(count)])
        components = [
            Component("known", powers, PLAUSIBLE["known"], np.full(count, 1 / count), positive=True),
            component("level", entries.fixed_only, LEVEL),
        ]
        if self.factors:
            for name, labels in (("candidate", entries.candidates), ("entry", entries.workloads)):
                components.append(component(name, entries.groups(labels), PLAUSIBLE["entry"]))
        return Prior(tuple(components), NOISE)


@dataclass(frozen=True)
class Product:
    """What was learnt of a new device as a product.

    Attributes:
        logs: Turns architectures into equations.
        centre: Of the measured networks' equations, shape (entries + known devices,).
        level: Mean logarithm of their latency.
        posterior: The Gaussian over level, factors and powers; the noise is that of the logarithm.
    """

    logs: Logs
    centre: FloatArray
    level: float
    posterior: Gaussian

    @classmethod
    def fit(cls, logs: Logs, indices: IntArray, latency_ms: FloatArray) -> Product:
        """Learn from measured networks, shapes (n, choices) and (n,), n at least 1."""
        rows, values = logs(indices), np.log(latency_ms)
        # powers turn around the measured networks, and leave their level where it is
        centre, size = rows.mean(axis=0), logs.known.entries.layout.entries
        centre[:size] = 0.0
        level, prior = float(values.mean()), logs.prior
        equations = Equations(rows - centre, values - level)
        # intervals are widened to left-out networks: the most probable variances do
        posterior = posterior_of(prior, infer_variances(prior, equations, integrate=False), equations)
        return cls(logs, centre, level, posterior)

    def predict(self, indices: IntArray) -> Prediction:
        """Medians, and the standard deviation of the logarithm as a share of them."""
        rows = self.logs(indices) - self.centre
        median = np.exp(self.level + rows @ self.posterior.mean_ms)
        variance = np.maximum(np.sum((rows @ self.posterior.covariance) * rows, axis=1), 0.0)
        return Prediction(median, median * np.sqrt(variance + self.posterior.noise**2))

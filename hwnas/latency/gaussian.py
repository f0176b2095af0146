"""Gaussian beliefs about costs, and what measured networks do to them. In closed form.

The prior is ``costs ~ N(mean, sum of variance_k * root_k root_k')``: each *component* is one
way in which the costs may be off together (all of them by a factor, each by itself, ...).
Networks are sums of costs with a relative error of variance ``noise``; dividing each equation
by its measured latency makes all errors relative. The variances are those that make the
measurements most probable (type-II maximum likelihood; Rasmussen & Williams, Gaussian
Processes for Machine Learning, section 5.4), held near their starting values by a wide
log-normal prior, so that a few networks cannot drive them to extremes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.errors import LatencyModelError
from hwnas.latency.base import FloatArray

LOG_VARIANCE_SPREAD = 2.0
"""Standard deviation of the logarithm of each variance around its starting value."""


@dataclass(frozen=True)
class Component:
    """One way in which costs may be off together.

    Attributes:
        name: What it stands for.
        root: Shape (entries, rank), in ms; its covariance is ``variance * root @ root.T``.
        start: Relative standard deviation to start from.
    """

    name: str
    root: FloatArray
    start: float


@dataclass(frozen=True)
class Prior:
    """What is believed before whole networks are measured.

    Attributes:
        mean_ms: Shape (entries,).
        components: At least one.
        noise: Relative standard deviation of one network to start from: what sums of costs
            cannot explain, and errors of measurement.
    """

    mean_ms: FloatArray
    components: tuple[Component, ...]
    noise: float

    @property
    def start(self) -> FloatArray:
        """Variances to start from, the noise's last, shape (components + 1,)."""
        return np.array([c.start**2 for c in self.components] + [self.noise**2])

    def covariance(self, variances: FloatArray) -> FloatArray:
        """Covariance of the costs in ms², shape (entries, entries)."""
        weighted = [c.root * np.sqrt(v) for c, v in zip(self.components, variances, strict=False)]
        root = np.concatenate(weighted, axis=1)
        return np.asarray(root @ root.T)


@dataclass(frozen=True)
class Belief:
    """A Gaussian over costs.

    Attributes:
        mean_ms: Shape (entries,).
        covariance: In ms², shape (entries, entries).
        noise: Relative standard deviation of one network around its sum of costs.
    """

    mean_ms: FloatArray
    covariance: FloatArray
    noise: float


def condition(prior: Prior, variances: FloatArray, matrix: FloatArray, latency_ms: FloatArray) -> Belief:
    """The belief after networks were measured.

    Args:
        prior: The belief before.
        variances: One a component, the noise's last, shape (components + 1,).
        matrix: Which costs each network pays, shape (n, entries).
        latency_ms: What was measured, shape (n,), positive.
    """
    covariance, noise = prior.covariance(variances), float(np.sqrt(variances[-1]))
    if not len(latency_ms):
        return Belief(prior.mean_ms, covariance, noise)
    rows, residual = _relative(prior, matrix, latency_ms)
    shared = covariance @ rows.T
    gain = np.linalg.solve(rows @ shared + variances[-1] * np.eye(len(rows)), shared.T).T
    mean = prior.mean_ms + gain @ residual
    left = covariance - gain @ shared.T
    return Belief(mean, (left + left.T) / 2, noise)


def fit_variances(prior: Prior, matrix: FloatArray, latency_ms: FloatArray) -> FloatArray:
    """The variances that make the measured networks most probable.

    Returns:
        One variance a component, the noise's last, shape (components + 1,).

    Raises:
        LatencyModelError: The optimiser could not make sense of the measurements.
    """
    from scipy.optimize import minimize

    start = np.log(prior.start)
    if not len(latency_ms):
        return prior.start
    rows, residual, lost, lost_count = _compress(*_relative(prior, matrix, latency_ms))
    grams = [(rows @ c.root) @ (rows @ c.root).T for c in prior.components] + [np.eye(len(rows))]

    def loss(log_variances: FloatArray) -> tuple[float, FloatArray]:
        variances = np.exp(log_variances)
        away = (log_variances - start) / LOG_VARIANCE_SPREAD
        value, slope = _evidence(grams, residual, variances)
        value += 0.5 * (lost / variances[-1] + lost_count * log_variances[-1] + away @ away)
        slope[-1] += 0.5 * (lost_count - lost / variances[-1])
        return value, slope + away / LOG_VARIANCE_SPREAD

    bounds = [(s - 15, s + 15) for s in start]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    if not np.isfinite(found.fun):
        raise LatencyModelError(
            f"the measured networks must have a finite likelihood, but got {found.fun}: check the table"
        )
    return np.asarray(np.exp(found.x))


def non_negative(belief: Belief) -> FloatArray:
    """Costs in ms, shape (entries,), none below zero.

    The most negative cost is conditioned on being zero, which moves the others as far as they
    are correlated with it, until none is left.
    """
    mean, covariance = belief.mean_ms.copy(), belief.covariance.copy()
    tolerance = 1e-12 * float(np.abs(mean).max())
    for _ in range(len(mean)):
        worst = int(mean.argmin())
        if mean[worst] >= -tolerance:
            break
        if covariance[worst, worst] > 0:
            gain = covariance[:, worst] / covariance[worst, worst]
            mean -= gain * mean[worst]
            covariance -= np.outer(gain, covariance[worst])
        mean[worst] = 0.0
        covariance[worst] = covariance[:, worst] = 0.0
    return np.asarray(np.maximum(mean, 0.0))


def _relative(prior: Prior, matrix: FloatArray, latency_ms: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Each equation over its latency, and what the prior mean leaves of it."""
    rows = matrix / latency_ms[:, None]
    return rows, 1.0 - rows @ prior.mean_ms


def _compress(rows: FloatArray, residual: FloatArray) -> tuple[FloatArray, FloatArray, float, int]:
    """At most as many equations as costs; and the square sum and number of what only noise explains."""
    count, entries = rows.shape
    if count <= entries:
        return rows, residual, 0.0, 0
    basis, triangle = np.linalg.qr(rows)
    seen = basis.T @ residual
    return triangle, seen, max(0.0, float(residual @ residual - seen @ seen)), count - entries


def _evidence(
    grams: Sequence[FloatArray], residual: FloatArray, variances: FloatArray
) -> tuple[float, FloatArray]:
    """Negative log likelihood without constants, and its slope by the log variances."""
    total = sum((v * g for v, g in zip(variances, grams, strict=True)), np.zeros_like(grams[0]))
    lower = np.linalg.cholesky(total)
    inverse_lower = np.linalg.solve(lower, np.eye(len(lower)))
    inverse = inverse_lower.T @ inverse_lower
    weights = inverse @ residual
    value = 0.5 * float(residual @ weights) + float(np.log(np.diag(lower)).sum())
    slope = [
        0.5 * v * (np.sum(inverse * g) - weights @ g @ weights) for v, g in zip(variances, grams, strict=True)
    ]
    return value, np.array(slope)

"""How large the components of a prior are: the variances that make measurements probable.

The evidence of measured networks (Rasmussen & Williams, Gaussian Processes for Machine
Learning, section 5.4) times the prior of the variances is maximised, and then integrated over
a star of points around the maximum (in the manner of INLA: Rue, Martino & Chopin, 2009): a few
networks leave the variances uncertain, and predictions must know.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from hwnas.errors import LatencyModelError
from hwnas.latency.base import FloatArray
from hwnas.latency.bayes.gaussian import Equations, Gaussian, Prior, condition

LOG_VARIANCE_RANGE = 12.0
"""Variances stay within this distance of their start, in logarithms: factors of 400 in size."""


@dataclass(frozen=True)
class Variances:
    """Plausible variances of a prior's components, the noise's last.

    Attributes:
        points: Shape (m, components + 1); the most probable ones first.
        weights: Shape (m,), summing to one.
        log_evidence: Logarithm of the probability density of what was measured (Laplace's
            approximation, but for a constant of the number of networks): compares priors.
    """

    points: FloatArray
    weights: FloatArray
    log_evidence: float = 0.0


def infer_variances(prior: Prior, equations: Equations, *, integrate: bool = True) -> Variances:
    """Learn a prior's variances from measured networks.

    Args:
        prior: Knows which variances are plausible.
        equations: What was measured.
        integrate: Whether the neighbourhood of the maximum is described too.

    Raises:
        LatencyModelError: No variances make the measurements possible.
    """
    if not len(equations.values):
        return Variances(prior.start[None], np.ones(1))
    from scipy.optimize import minimize

    loss = _Loss(prior, equations)
    start = np.log(prior.start)
    noisy = start + np.eye(len(start))[-1] * prior.noise_spread / 2
    bounds = [(s - LOG_VARIANCE_RANGE, s + LOG_VARIANCE_RANGE) for s in start]
    found = min(
        (minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds) for first in (start, noisy)),
        key=lambda result: float(result.fun),
    )
    if not np.isfinite(found.fun):
        raise LatencyModelError(
            f"measured networks must have a finite likelihood, but got {found.fun}: check their latencies"
        )
    strength, axes = _curvature(loss, found.x)
    occam = float(np.log(loss.spread).sum() + 0.5 * np.log(strength).sum())
    log_evidence = -float(found.fun) - occam - equations.log_scale
    points = found.x[None]
    if integrate:
        arms = axes * np.sqrt(len(strength) / strength)
        ends = [found.x + sign * arm for arm, sign in product(arms.T, (-1.0, 1.0))]
        points = np.clip(np.stack([found.x, *ends]), *np.array(bounds).T)
    values = np.array([loss(point)[0] for point in points])
    weights = np.exp(values.min() - values)
    return Variances(np.exp(points), weights / weights.sum(), log_evidence)


def posterior_of(prior: Prior, variances: Variances, equations: Equations) -> Gaussian:
    """The posterior after networks were measured, averaged over plausible variances."""
    posteriors = [condition(prior, point, equations) for point in variances.points]
    mean = sum(w * b.mean_ms for w, b in zip(variances.weights, posteriors, strict=True))
    covariance = np.zeros_like(posteriors[0].covariance)
    for weight, posterior in zip(variances.weights, posteriors, strict=True):
        away = posterior.mean_ms - mean
        covariance += weight * (posterior.covariance + np.outer(away, away))
    noise = float(np.sqrt(variances.weights @ [b.noise**2 for b in posteriors]))
    return Gaussian(np.asarray(mean), covariance, noise)


class _Loss:
    """Negative logarithm of evidence times prior, and its slope, by log variances."""

    def __init__(self, prior: Prior, equations: Equations) -> None:
        rows = equations.rows
        self.grams = [(rows @ c.root) @ (rows @ c.root).T for c in prior.components]
        self.grams.append(np.eye(len(rows)))
        self.residual = equations.values - rows @ prior.mean_ms
        self.start, self.spread = np.log(prior.start), prior.spread
        self.lost, self.lost_count = equations.lost, equations.lost_count

    def __call__(self, log_variances: FloatArray) -> tuple[float, FloatArray]:
        variances = np.exp(log_variances)
        away = (log_variances - self.start) / self.spread
        total = sum((v * g for v, g in zip(variances, self.grams, strict=True)), 0.0 * self.grams[-1])
        lower = np.linalg.cholesky(total)
        inverse_lower = np.linalg.inv(lower)
        inverse = inverse_lower.T @ inverse_lower
        weights = inverse @ self.residual
        value = 0.5 * float(self.residual @ weights) + float(np.log(np.diag(lower)).sum())
        slope = (
            np.array([0.5 * (np.sum(inverse * g) - weights @ g @ weights) for g in self.grams]) * variances
        )
        value += 0.5 * (self.lost / variances[-1] + self.lost_count * log_variances[-1] + float(away @ away))
        slope[-1] += 0.5 * (self.lost_count - self.lost / variances[-1])
        return value, slope + away / self.spread


def _curvature(loss: _Loss, centre: FloatArray, step: float = 0.05) -> tuple[FloatArray, FloatArray]:
    """Curvatures of the loss around its minimum, shape (k,), and their axes, shape (k, k)."""
    moves = step * np.eye(len(centre))
    hessian = np.stack([(loss(centre + e)[1] - loss(centre - e)[1]) / (2 * step) for e in moves])
    strength, axes = np.linalg.eigh((hessian + hessian.T) / 2)
    return np.maximum(strength, 1 / loss.spread.max() ** 2), axes

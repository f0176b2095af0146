"""Gaussians over costs, and what measured networks do to them. In closed form.

A prior is a sum of *components*: ways in which costs may be what they are, or be off together
(all of them by a factor, each by itself, as another device has them, ...). Component k has a
matrix ``root_k`` and weights ``w_k ~ N(centre_k, variance_k)``, and ``costs = sum of root_k w_k``.
A measured network is the sum of the costs that it pays, with an independent error.

All equations are divided by the latency that the prior expects, scaled to the level that was
measured: errors are relative, and noise in a measurement does not change its own weight. A prior
may say from which factor on what a network took itself sets its weight: on a device whose latencies
span orders of magnitude, nearly empty networks would count for nothing otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwnas.errors import LatencyModelError
from hwnas.latency.base import FloatArray

LEAST = 1e-3
"""Share of the average network's latency that a device is taken to need for any network at least."""


@dataclass(frozen=True)
class Component:
    """One way in which costs may be what they are.

    Attributes:
        name: What it stands for.
        root: Shape (entries, rank), in ms for a weight of one.
        start: Standard deviation of the weights that is most plausible beforehand.
        centre: Mean of the weights, shape (rank,); None where all are zero.
        positive: Whether negative weights make no sense.
        spread: Standard deviation of the logarithm of the weights' variance around its start.
    """

    name: str
    root: FloatArray
    start: float
    centre: FloatArray | None = None
    positive: bool = False
    spread: float = 2.0

    @property
    def middle(self) -> FloatArray:
        """Mean of the weights, shape (rank,)."""
        return np.zeros(self.root.shape[1]) if self.centre is None else self.centre


@dataclass(frozen=True)
class Prior:
    """What is believed before whole networks are measured.

    Attributes:
        components: At least one.
        noise: Relative standard deviation of one network that is most plausible beforehand:
            what sums of costs cannot explain, and errors of measurement.
        noise_spread: Standard deviation of the logarithm of its square.
        unexpected: Factor between the expected and the measured latency of a network beyond which
            the measured one sets the weight of its equation.
    """

    components: tuple[Component, ...]
    noise: float
    noise_spread: float = 4.0
    unexpected: float = math.inf

    @cached_property
    def mean_ms(self) -> FloatArray:
        """Expected costs, shape (entries,)."""
        return np.asarray(sum(c.root @ c.middle for c in self.components))

    @property
    def start(self) -> FloatArray:
        """Plausible variances, the noise's last, shape (components + 1,)."""
        return np.array([c.start**2 for c in self.components] + [self.noise**2])

    @property
    def spread(self) -> FloatArray:
        """Standard deviation of the logarithm of each variance, shape (components + 1,)."""
        return np.array([c.spread for c in self.components] + [self.noise_spread])

    def covariance(self, variances: FloatArray) -> FloatArray:
        """Covariance of the costs in ms², shape (entries, entries)."""
        weighted = [c.root * np.sqrt(v) for c, v in zip(self.components, variances, strict=False)]
        root = np.concatenate(weighted, axis=1)
        return np.asarray(root @ root.T)


@dataclass(frozen=True)
class Equations:
    """Measured networks as linear equations with errors of the same size.

    Attributes:
        rows: Shape (n, entries), in 1/ms.
        values: What ``rows @ costs`` came out as, shape (n,), near one.
        log_scale: Logarithm of what the latencies were divided by, summed.
        lost: Square sum of what no costs can explain, of equations that were merged.
        lost_count: Number of equations that were merged away.
    """

    rows: FloatArray
    values: FloatArray
    log_scale: float = 0.0
    lost: float = 0.0
    lost_count: int = 0

    @classmethod
    def of(cls, prior: Prior, matrix: FloatArray, latency_ms: FloatArray) -> Equations:
        """Scale the networks' equations; merge them where there are more than costs.

        Args:
            prior: Knows what to expect of each network.
            matrix: Which costs each network pays, shape (n, entries).
            latency_ms: What was measured, shape (n,), positive.

        Raises:
            LatencyModelError: The prior expects a network to take no time.
        """
        if not len(latency_ms):
            return cls(matrix, latency_ms)
        expected = matrix @ prior.mean_ms
        if math.isfinite(prior.unexpected):
            # residuals of known devices may overshoot; what was measured sets the weight there
            expected = np.maximum(expected, LEAST * expected.mean())
        if not (expected > 0).all():
            raise LatencyModelError(
                f"a prior must expect time of every network, but expects {expected.min():.4g} ms of one: "
                "check the block latencies"
            )
        expected = expected * (latency_ms.mean() / expected.mean())
        ratio = latency_ms / expected
        scale = expected * (ratio / np.clip(ratio, 1 / prior.unexpected, prior.unexpected))
        return cls.merged(matrix / scale[:, None], latency_ms / scale, float(np.log(scale).sum()))

    @classmethod
    def merged(cls, rows: FloatArray, values: FloatArray, log_scale: float = 0.0) -> Equations:
        """Equations whose errors are of one size already, as few as there are unknowns at most.

        Args:
            rows: Shape (n, entries).
            values: What they came out as, shape (n,).
            log_scale: As of the attribute.
        """
        count, entries = rows.shape
        if count <= entries:
            return cls(rows, values, log_scale)
        basis, triangle = np.linalg.qr(rows)
        seen = basis.T @ values
        lost = max(0.0, float(values @ values - seen @ seen))
        return cls(triangle, seen, log_scale, lost, count - entries)


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian over costs.

    Attributes:
        mean_ms: Shape (entries,).
        covariance: In ms², shape (entries, entries).
        noise: Relative standard deviation of one network around its sum of costs.
    """

    mean_ms: FloatArray
    covariance: FloatArray
    noise: float


def condition(prior: Prior, variances: FloatArray, equations: Equations) -> Gaussian:
    """The posterior after networks were measured, for given variances.

    Where components have positive weights, the mean is the most probable one that respects it,
    and the covariance is that of the unrestricted Gaussian: intervals are not narrowed by it.

    Args:
        prior: What is known before.
        variances: One a component, the noise's last, shape (components + 1,).
        equations: What was measured.
    """
    covariance, noise = prior.covariance(variances), float(np.sqrt(variances[-1]))
    if not len(equations.values):
        return Gaussian(prior.mean_ms, covariance, noise)
    rows = equations.rows
    shared = covariance @ rows.T
    gain = np.linalg.solve(rows @ shared + variances[-1] * np.eye(len(rows)), shared.T).T
    left = covariance - gain @ shared.T
    if any(c.positive for c in prior.components):
        mean = _restricted_mean(prior, variances, equations)
    else:
        mean = prior.mean_ms + gain @ (equations.values - rows @ prior.mean_ms)
    return Gaussian(mean, (left + left.T) / 2, noise)


def _restricted_mean(prior: Prior, variances: FloatArray, equations: Equations) -> FloatArray:
    """Most probable costs whose positive components have no negative weight, shape (entries,).

    The other components are integrated out, which leaves least squares with non-negative
    unknowns; given those, the others follow in closed form.
    """
    from scipy.optimize import nnls

    pairs = list(zip(prior.components, variances[:-1], strict=True))
    free = Prior(tuple(c for c, _ in pairs if not c.positive), prior.noise)
    free_variances = np.array([v for c, v in pairs if not c.positive])
    root = np.concatenate([c.root for c, _ in pairs if c.positive], axis=1)
    centre = np.concatenate([c.middle for c, _ in pairs if c.positive])
    spread = np.concatenate([np.full(c.root.shape[1], np.sqrt(v)) for c, v in pairs if c.positive])
    rows, base = equations.rows, np.zeros(len(root))
    covariance = np.zeros((len(root), len(root)))
    if free.components:
        base, covariance = free.mean_ms, free.covariance(free_variances)
    target = equations.values - rows @ base
    unexplained = rows @ covariance @ rows.T + variances[-1] * np.eye(len(rows))
    whiten = np.linalg.inv(np.linalg.cholesky(unexplained))
    weights, _ = nnls(
        np.concatenate([whiten @ rows @ root, np.diag(1 / spread)]),
        np.concatenate([whiten @ target, centre / spread]),
    )
    rest = np.linalg.solve(unexplained, target - rows @ root @ weights)
    return np.asarray(base + root @ weights + covariance @ rows.T @ rest)


def non_negative(posterior: Gaussian) -> FloatArray:
    """Costs in ms, shape (entries,), none below zero.

    The most negative cost is conditioned on being zero, which moves the others as far as they
    are correlated with it, until none is left.
    """
    mean = posterior.mean_ms
    tolerance = 1e-12 * float(np.abs(mean).max())
    for _ in range(len(mean)):
        worst = int(posterior.mean_ms.argmin())
        if posterior.mean_ms[worst] >= -tolerance:
            break
        posterior = pinned(posterior, np.eye(len(mean))[worst])
    return np.asarray(np.maximum(posterior.mean_ms, 0.0))


def pinned(posterior: Gaussian, row: FloatArray) -> Gaussian:
    """The posterior once it is known that ``row @ costs`` is zero; row has the shape (entries,)."""
    shared = posterior.covariance @ row
    variance = float(row @ shared)
    if variance <= 0:
        mean = np.where(row > 0, np.maximum(posterior.mean_ms, 0.0), posterior.mean_ms)
        return Gaussian(mean, posterior.covariance, posterior.noise)
    gain = shared / variance
    mean = posterior.mean_ms - gain * float(row @ posterior.mean_ms)
    return Gaussian(mean, posterior.covariance - np.outer(gain, shared), posterior.noise)

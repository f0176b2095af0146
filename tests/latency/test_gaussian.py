"""The closed-form update and the evidence against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from hwnas.errors import LatencyModelError
from hwnas.latency.bayes.evidence import infer_variances, posterior_of
from hwnas.latency.bayes.gaussian import Component, Equations, Gaussian, Prior, condition, non_negative
from hwnas.latency.bayes.quadratic import Variance
from hwnas.latency.layout import Layout

LAYOUT = Layout((3, 2, 3))
NOTHING = np.zeros((0, LAYOUT.entries)), np.zeros(0)


def problem(networks: int, seed: int = 0, positive: bool = False) -> tuple[Prior, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    entries = LAYOUT.entries
    prior = Prior(
        (
            Component("level", rng.uniform(1, 3, (entries, 1)), 0.2, np.ones(1)),
            Component("own", np.diag(rng.uniform(1, 2, entries)), 0.3),
            Component("work", rng.uniform(0, 1, (entries, 4)), 0.3, np.full(4, 0.1), positive=positive),
        ),
        noise=0.05,
    )
    indices = np.stack([rng.integers(0, size, networks) for size in LAYOUT.sizes], axis=1)
    matrix = LAYOUT.matrix(indices)
    truth = prior.mean_ms * rng.uniform(0.7, 1.3, entries)
    return prior, matrix, matrix @ truth * rng.uniform(0.95, 1.05, networks)


def unmerged(prior: Prior, matrix: np.ndarray, latency_ms: np.ndarray) -> Equations:
    """The equations as their definition says, never merged."""
    expected = matrix @ prior.mean_ms
    scale = expected * latency_ms.mean() / expected.mean()
    return Equations(matrix / scale[:, None], latency_ms / scale, float(np.log(scale).sum()))


@pytest.mark.parametrize("networks", [1, 4, 30])
def test_update_is_the_minimum_of_the_log_posterior(networks: int) -> None:
    prior, matrix, latency_ms = problem(networks)
    precision = np.linalg.inv(prior.covariance(prior.start))
    equations = unmerged(prior, matrix, latency_ms)

    def loss(costs: np.ndarray) -> float:
        away = costs - prior.mean_ms
        error = (equations.rows @ costs - equations.values) / prior.noise
        return 0.5 * float(away @ precision @ away + error @ error)

    posterior = condition(prior, prior.start, Equations.of(prior, matrix, latency_ms))
    found = minimize(loss, prior.mean_ms, tol=1e-12)
    np.testing.assert_allclose(posterior.mean_ms, found.x, rtol=1e-4)
    weighted = equations.rows / prior.noise
    np.testing.assert_allclose(
        np.linalg.inv(posterior.covariance), precision + weighted.T @ weighted, rtol=1e-6
    )


def test_update_equals_the_moments_of_weighted_samples() -> None:
    prior, matrix, latency_ms = problem(3)
    equations = unmerged(prior, matrix, latency_ms)
    rng = np.random.default_rng(1)
    samples = rng.multivariate_normal(prior.mean_ms, prior.covariance(prior.start), 400_000)
    error = (samples @ equations.rows.T - equations.values) / prior.noise
    weights = np.exp(-0.5 * (error**2).sum(axis=1))
    weights /= weights.sum()
    posterior = condition(prior, prior.start, equations)
    mean = weights @ samples
    np.testing.assert_allclose(posterior.mean_ms, mean, atol=0.05)
    centred = samples - mean
    np.testing.assert_allclose(posterior.covariance, (centred * weights[:, None]).T @ centred, atol=0.05)


@pytest.mark.parametrize("networks", [2, 5, 20])
def test_restricted_update_is_the_best_with_positive_weights(networks: int) -> None:
    prior, matrix, latency_ms = problem(networks, seed=3, positive=True)
    latency_ms = latency_ms * np.linspace(0.5, 1.5, networks)  # far from what positive weights allow
    equations = Equations.of(prior, matrix, latency_ms)
    root = np.concatenate([c.root for c in prior.components], axis=1)
    centre = np.concatenate([c.middle for c in prior.components])
    spread = np.concatenate([np.full(c.root.shape[1], c.start) for c in prior.components])
    bounds = [
        (0, None) if c.positive else (None, None) for c in prior.components for _ in range(c.root.shape[1])
    ]

    def loss(weights: np.ndarray) -> float:
        error = (equations.rows @ root @ weights - equations.values) / prior.noise
        away = (weights - centre) / spread
        return 0.5 * float(error @ error + away @ away)

    found = minimize(
        loss, np.maximum(centre, 0.1), bounds=bounds, method="L-BFGS-B", options={"maxiter": 5000}
    )
    posterior = condition(prior, prior.start, equations)
    np.testing.assert_allclose(posterior.mean_ms, root @ found.x, rtol=0.01, atol=0.02)
    unrestricted = condition(problem(networks, seed=3)[0], prior.start, equations)
    np.testing.assert_allclose(posterior.covariance, unrestricted.covariance)


def log_density(prior: Prior, variances: np.ndarray, equations: Equations) -> float:
    """Logarithm of the probability density of latencies, by its definition."""
    rows = equations.rows
    spread = rows @ prior.covariance(variances) @ rows.T + variances[-1] * np.eye(len(rows))
    residual = equations.values - rows @ prior.mean_ms
    return float(multivariate_normal(np.zeros(len(rows)), spread).logpdf(residual)) - equations.log_scale


@pytest.mark.parametrize("networks", [5, 60])
def test_inferred_variances_are_the_most_probable(networks: int) -> None:
    prior, matrix, latency_ms = problem(networks)
    equations = unmerged(prior, matrix, latency_ms)

    def loss(log_variances: np.ndarray) -> float:
        away = (log_variances - np.log(prior.start)) / prior.spread
        return 0.5 * float(away @ away) - log_density(prior, np.exp(log_variances), equations)

    found = np.log(infer_variances(prior, Equations.of(prior, matrix, latency_ms)).points[0])
    for index in range(len(found)):
        for step in (-0.1, 0.1):
            moved = found.copy()
            moved[index] += step
            assert loss(moved) > loss(found)


def test_merging_equations_loses_nothing() -> None:
    prior, matrix, latency_ms = problem(60)
    merged, whole = Equations.of(prior, matrix, latency_ms), unmerged(prior, matrix, latency_ms)
    assert len(merged.values) == LAYOUT.entries
    first, second = infer_variances(prior, merged), infer_variances(prior, whole)
    np.testing.assert_allclose(first.points, second.points, rtol=1e-3)
    np.testing.assert_allclose(
        posterior_of(prior, first, merged).mean_ms, posterior_of(prior, first, whole).mean_ms, rtol=1e-8
    )


def test_evidence_prefers_the_prior_that_the_networks_were_drawn_from() -> None:
    wins = 0
    for seed in range(20):
        prior, matrix, _ = problem(25, seed)
        rng = np.random.default_rng(seed)
        truth = rng.multivariate_normal(prior.mean_ms, prior.covariance(prior.start))
        latency_ms = np.abs(matrix @ truth) * rng.normal(1, 0.05, 25)
        other = Prior((Component("wrong", rng.uniform(1, 3, (LAYOUT.entries, 1)), 0.3, np.ones(1)),), 0.05)
        right, wrong = (
            infer_variances(p, Equations.of(p, matrix, latency_ms)).log_evidence for p in (prior, other)
        )
        wins += right > wrong
    assert wins >= 18


def test_without_networks_nothing_is_learnt() -> None:
    prior, _, _ = problem(1)
    equations = Equations.of(prior, *NOTHING)
    variances = infer_variances(prior, equations)
    np.testing.assert_array_equal(variances.points, [prior.start])
    np.testing.assert_array_equal(posterior_of(prior, variances, equations).mean_ms, prior.mean_ms)


def test_a_prior_that_expects_no_time_is_refused() -> None:
    prior = Prior((Component("nothing", np.eye(LAYOUT.entries), 1.0),), 0.05)
    with pytest.raises(LatencyModelError, match="expect time"):
        Equations.of(prior, *problem(3)[1:])


def test_a_negative_cost_becomes_zero_and_moves_what_it_is_correlated_with() -> None:
    covariance = np.array([[1.0, -0.5, 0.0], [-0.5, 1.0, 0.0], [0.0, 0.0, 1.0]])
    costs = non_negative(Gaussian(np.array([-1.0, 2.0, 3.0]), covariance, 0.0))
    np.testing.assert_allclose(costs, [0.0, 1.5, 3.0])


def test_costs_that_are_not_negative_are_left_alone() -> None:
    mean = np.array([0.0, 2.0, 3.0])
    np.testing.assert_array_equal(non_negative(Gaussian(mean, np.eye(3), 0.0)), mean)


@pytest.mark.parametrize("sizes", [(3, 2, 3), (9,) * 5, (2,) * 9, (150, 3)])
def test_variance_of_architectures_is_the_quadratic_form(sizes: tuple[int, ...]) -> None:
    layout, rng = Layout(sizes), np.random.default_rng(0)
    root = rng.standard_normal((layout.entries, 4))
    indices = np.stack([rng.integers(0, size, 50) for size in sizes], axis=1)
    matrix = layout.matrix(indices)
    expected = np.einsum("ni,ij,nj->n", matrix, root @ root.T, matrix)
    np.testing.assert_allclose(Variance(layout, root @ root.T)(indices), expected)

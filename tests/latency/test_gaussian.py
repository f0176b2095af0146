"""The closed-form update and the evidence against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from hwnas.latency.gaussian import (
    LOG_VARIANCE_SPREAD,
    Belief,
    Component,
    Prior,
    condition,
    fit_variances,
    non_negative,
)
from hwnas.latency.layout import Layout

LAYOUT = Layout((3, 2, 3))


def problem(networks: int, seed: int = 0) -> tuple[Prior, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    entries = LAYOUT.entries
    prior = Prior(
        rng.uniform(1, 3, entries),
        (
            Component("own", np.diag(rng.uniform(1, 2, entries)), 0.3),
            Component("scale", rng.uniform(1, 2, (entries, 1)), 0.2),
        ),
        noise=0.05,
    )
    indices = np.stack([rng.integers(0, size, networks) for size in LAYOUT.sizes], axis=1)
    matrix = LAYOUT.matrix(indices)
    truth = prior.mean_ms * rng.uniform(0.7, 1.3, entries)
    return prior, matrix, matrix @ truth * rng.uniform(0.95, 1.05, networks)


@pytest.mark.parametrize("networks", [1, 4, 30])
def test_update_is_the_minimum_of_the_log_posterior(networks: int) -> None:
    prior, matrix, latency_ms = problem(networks)
    precision = np.linalg.inv(prior.covariance(prior.start))

    def loss(costs: np.ndarray) -> float:
        away = costs - prior.mean_ms
        error = (matrix @ costs - latency_ms) / latency_ms / prior.noise
        return 0.5 * float(away @ precision @ away + error @ error)

    belief = condition(prior, prior.start, matrix, latency_ms)
    found = minimize(loss, prior.mean_ms, tol=1e-12)
    np.testing.assert_allclose(belief.mean_ms, found.x, rtol=1e-4)
    weighted = matrix / latency_ms[:, None] / prior.noise
    np.testing.assert_allclose(np.linalg.inv(belief.covariance), precision + weighted.T @ weighted, rtol=1e-6)


def test_update_equals_the_moments_of_weighted_samples() -> None:
    prior, matrix, latency_ms = problem(3)
    rng = np.random.default_rng(1)
    samples = rng.multivariate_normal(prior.mean_ms, prior.covariance(prior.start), 400_000)
    error = (samples @ matrix.T - latency_ms) / latency_ms / prior.noise
    weights = np.exp(-0.5 * (error**2).sum(axis=1))
    weights /= weights.sum()
    belief = condition(prior, prior.start, matrix, latency_ms)
    mean = weights @ samples
    np.testing.assert_allclose(belief.mean_ms, mean, atol=0.03)
    centred = samples - mean
    np.testing.assert_allclose(belief.covariance, (centred * weights[:, None]).T @ centred, atol=0.03)


@pytest.mark.parametrize("networks", [5, 60])
def test_fitted_variances_maximise_the_density_of_the_measurements(networks: int) -> None:
    prior, matrix, latency_ms = problem(networks)
    start = np.log(prior.start)

    def loss(log_variances: np.ndarray) -> float:
        variances = np.exp(log_variances)
        spread = (matrix @ prior.covariance(variances) @ matrix.T) / np.outer(latency_ms, latency_ms)
        spread += variances[-1] * np.eye(networks)
        residual = 1 - matrix @ prior.mean_ms / latency_ms
        away = (log_variances - start) / LOG_VARIANCE_SPREAD
        return -float(multivariate_normal(np.zeros(networks), spread).logpdf(residual)) + 0.5 * away @ away

    found = np.log(fit_variances(prior, matrix, latency_ms))
    for index in range(len(found)):
        for step in (-0.1, 0.1):
            moved = found.copy()
            moved[index] += step
            assert loss(moved) > loss(found)


def test_without_networks_nothing_is_learnt() -> None:
    prior, _, _ = problem(1)
    none = np.zeros((0, LAYOUT.entries))
    np.testing.assert_array_equal(fit_variances(prior, none, np.zeros(0)), prior.start)
    belief = condition(prior, prior.start, none, np.zeros(0))
    np.testing.assert_array_equal(belief.mean_ms, prior.mean_ms)


def test_a_negative_cost_becomes_zero_and_moves_what_it_is_correlated_with() -> None:
    covariance = np.array([[1.0, -0.5, 0.0], [-0.5, 1.0, 0.0], [0.0, 0.0, 1.0]])
    costs = non_negative(Belief(np.array([-1.0, 2.0, 3.0]), covariance, 0.0))
    np.testing.assert_allclose(costs, [0.0, 1.5, 3.0])


def test_costs_that_are_not_negative_are_left_alone() -> None:
    mean = np.array([0.0, 2.0, 3.0])
    np.testing.assert_array_equal(non_negative(Belief(mean, np.eye(3), 0.0)), mean)


def test_variance_of_architectures_is_the_quadratic_form() -> None:
    rng = np.random.default_rng(0)
    root = rng.standard_normal((LAYOUT.entries, 4))
    indices = np.stack([rng.integers(0, size, 50) for size in LAYOUT.sizes], axis=1)
    matrix = LAYOUT.matrix(indices)
    expected = np.einsum("ni,ij,nj->n", matrix, root @ root.T, matrix)
    np.testing.assert_allclose(LAYOUT.variance(root @ root.T, indices), expected)

"""What sums of costs cannot explain."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hwnas.latency.bayes.device_prior import learn_sizes, network_matrix
from hwnas.latency.bayes.entries import Entries
from hwnas.latency.bayes.interactions import ResidualProcess
from hwnas.latency.bayes.known_devices import learn_device
from hwnas.latency.bayes.transfer import transfer
from hwnas.latency.evaluate import rank_correlations
from hwnas.latency.layout import Layout

SIZES = (4,) * 5
EVERY = np.array(list(itertools.product(*(range(size) for size in SIZES))))
ENTRIES = Entries.of_sizes(SIZES)


def pruning_device(seed: int, noise: float = 0.0) -> np.ndarray:
    """Candidate 0 stops the network: what follows it is skipped."""
    rng = np.random.default_rng(seed)
    costs = np.array([0.0, *np.sort(rng.uniform(0.2, 2.0, 3))])
    alive = np.cumprod(EVERY > 0, axis=1)
    latency = 1.0 + (costs[EVERY] * alive).sum(axis=1)
    return latency * np.exp(noise * rng.standard_normal(len(EVERY)))


def test_noise_has_no_residual() -> None:
    rng = np.random.default_rng(0)
    layout = Layout((9,) * 22)
    indices = rng.integers(0, 9, (600, 22))
    assert ResidualProcess.fit(layout, indices, rng.standard_normal(600)) is None
    assert ResidualProcess.fit(layout, indices, np.zeros(600)) is None


def test_an_exact_sum_has_no_residual_worth_the_name() -> None:
    costs = np.random.default_rng(0).uniform(0, 1, ENTRIES.layout.entries)
    latency = ENTRIES.layout.matrix(EVERY) @ costs
    found, residual = learn_device(ENTRIES, EVERY, latency)
    left = 0.0 if residual is None else np.abs(residual(EVERY)).max()
    assert left < 1e-3 * latency.mean()
    np.testing.assert_allclose(ENTRIES.layout.matrix(EVERY) @ found, latency, rtol=2e-3)


def test_what_candidates_do_to_one_another_is_found_and_noise_is_not() -> None:
    clean, noisy = pruning_device(0), pruning_device(0, noise=0.05)
    costs, residual = learn_device(ENTRIES, EVERY[::2], noisy[::2])
    assert residual is not None
    sums = ENTRIES.layout.matrix(EVERY[1::2]) @ np.array(costs)
    alone = np.sqrt(np.mean((sums - clean[1::2]) ** 2))
    together = np.sqrt(np.mean((sums + residual(EVERY[1::2]) - clean[1::2]) ** 2))
    assert together < 0.4 * alone


@pytest.mark.slow
def test_a_new_device_shares_the_residuals_of_known_ones() -> None:
    known, residuals = {}, {}
    for seed in range(3):
        name = f"device{seed}"
        known[name], residual = learn_device(ENTRIES, EVERY, pruning_device(seed, noise=0.01))
        assert residual is not None
        residuals[name] = residual
    truth = pruning_device(9)
    rows = np.random.default_rng(0).choice(len(EVERY), 10, replace=False)
    scores = []
    for shared in ({}, residuals):
        sizes = learn_sizes(ENTRIES, known, shared)
        found = transfer(ENTRIES, EVERY[rows], truth[rows], known, sizes, shared)
        predicted = network_matrix(ENTRIES, EVERY, known, shared) @ found.costs_ms
        scores.append(rank_correlations(predicted, truth)[0])
    assert scores[1] == pytest.approx(1.0, abs=0.03)
    assert scores[1] > scores[0]

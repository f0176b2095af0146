"""New devices of spaces of cells: latencies over orders of magnitude, launch floors, heavy tails."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest

from hwnas.latency.bayes.device_prior import UNEXPECTED, DevicePrior, learn_sizes
from hwnas.latency.bayes.entries import Entries
from hwnas.latency.bayes.gaussian import Component, Equations, Prior
from hwnas.latency.bayes.transfer import COMBINATION, Transferred, transfer
from hwnas.latency.evaluate import rank_correlations
from hwnas.statistics.intervals import NORMAL_90

EDGES, OPERATIONS = 4, 5  # none, skip, a small and a large convolution, pooling
EVERY = np.array(list(itertools.product(range(OPERATIONS), repeat=EDGES)))
ENTRIES = Entries.of_sizes((OPERATIONS,) * EDGES)
MATRIX = ENTRIES.layout.matrix(EVERY)


def costs(operations: list[float], fixed: float, seed: int) -> np.ndarray:
    """Costs of a device on which edges differ a little."""
    edges = np.exp(0.15 * np.random.default_rng(seed).standard_normal(EDGES))
    return np.array([*np.outer(edges, operations).ravel(), fixed])


KNOWN = {
    "gpu": costs([0, 0.1, 1.0, 1.1, 0.7], 6, 1),
    "phone": costs([0, 0.4, 2, 9, 3], 5, 2),
    "cpu": costs([0, 0.5, 2.5, 6, 3], 8, 3),
    "other cpu": costs([0, 0.4, 2.0, 5, 4], 7, 4),
}


@cache
def sizes():
    """By the first test that asks, not by whoever collects the tests."""
    return learn_sizes(ENTRIES, KNOWN)


def learnt(latency_ms: np.ndarray, seed: int, count: int = 10) -> tuple[Transferred, np.ndarray]:
    """What ten networks tell, and what is predicted of all."""
    rows = np.random.default_rng(seed).choice(len(EVERY), count, replace=False)
    found = transfer(ENTRIES, EVERY[rows], latency_ms[rows], KNOWN, sizes())
    return found, np.maximum(MATRIX @ found.costs_ms, latency_ms[rows].min() / 2)


def coverage(found: Transferred, mean: np.ndarray, latency_ms: np.ndarray) -> float:
    variance = np.sum((MATRIX @ found.posterior.covariance) * MATRIX, axis=1)
    std = np.sqrt(variance + (found.posterior.noise * mean) ** 2)
    return float(np.mean(np.abs(mean - latency_ms) <= NORMAL_90 * std))


@pytest.mark.slow
def test_latencies_over_four_orders_of_magnitude() -> None:
    """An accelerator that starts for nothing: an empty cell takes .01 ms, a full one 32 ms."""
    truth = MATRIX @ costs([0, 0.002, 0.9, 8.0, 0.3], 0.01, 9)
    assert truth.max() / truth.min() > 1e3
    ranks, errors, covered = [], [], []
    for seed in range(4):
        found, mean = learnt(truth, seed)
        ranks.append(rank_correlations(mean, truth)[0])
        errors.append(np.abs(mean / truth - 1))
        covered.append(coverage(found, mean, truth))
    assert np.mean(ranks) > 0.95
    assert np.median(np.concatenate(errors)) < 0.1
    assert np.mean(covered) > 0.85


def test_nothing_explodes_where_a_network_took_almost_no_time() -> None:
    """The equation of such a network counts, with the weight of what it took."""
    prior = Prior((Component("all", np.eye(2), 1.0, np.array([1.0, 1.0])),), 0.05, unexpected=UNEXPECTED)
    matrix = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    found = Equations.of(prior, matrix, np.array([2.0, 2e-4, 2.0]))
    expected = matrix @ prior.mean_ms * (4.0002 / 4.0)
    np.testing.assert_allclose(found.log_scale, np.log([expected[0], 2e-4 * UNEXPECTED, expected[2]]).sum())


@pytest.mark.parametrize("noise", [0.05, 0.15])
@pytest.mark.slow
def test_intervals_hold_on_a_server_with_heavy_tails(noise: float) -> None:
    truth, inside = MATRIX @ costs([0, 0.6, 2.2, 4, 5], 10, 10), []
    for seed in range(8):
        tails = np.random.default_rng([seed, 1]).standard_t(3, len(truth)) / np.sqrt(3)
        measured = truth * np.exp(noise * tails)
        found, mean = learnt(measured, seed)
        inside.append(coverage(found, mean, measured))
    assert 0.85 <= np.mean(inside) <= 0.97


@pytest.mark.slow
def test_left_out_networks_are_no_worse_than_the_simplest_model() -> None:
    """By what was measured itself, and to within the error of that comparison."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        truth = (MATRIX @ (0.5 * KNOWN["phone"] + 0.2 * KNOWN["gpu"])) * np.exp(
            0.05 * rng.standard_normal(len(EVERY))
        )
        rows = rng.choice(len(EVERY), 10, replace=False)
        found = transfer(ENTRIES, EVERY[rows], truth[rows], KNOWN, sizes())
        simplest = Prior(
            tuple(c for c in found.prior.over(ENTRIES).components if c.name in COMBINATION), 0.05
        )
        assert len(simplest.components) == 2
        assert found.left_out is not None
        errors = np.abs(np.log(found.left_out.mean_ms / truth[rows]))
        assert np.mean(errors) < 0.15


def test_copies_of_a_network_are_left_out_together() -> None:
    truth = MATRIX @ KNOWN["phone"]
    rows = np.array([7, 7, 7, 300, 300, 300])
    alone = transfer(ENTRIES, EVERY[rows], truth[rows], {}, groups=rows)
    blind = transfer(ENTRIES, EVERY[rows], truth[rows], {})
    assert alone.left_out is not None
    assert blind.left_out is not None
    seen = [np.abs(f.left_out.mean_ms / truth[rows] - 1).mean() for f in (alone, blind) if f.left_out]
    assert seen[1] < 0.1 * seen[0], "a copy on the other side tells the answer"
    assert transfer(ENTRIES, EVERY[:1], truth[:1], {}).left_out is None


def test_a_combination_survives_its_file_and_old_files_have_none() -> None:
    tables = {name: tuple(map(float, c)) for name, c in KNOWN.items()}
    prior = DevicePrior(2.0, tables, only=COMBINATION)
    data = prior.to_json()
    assert DevicePrior.from_json(data) == prior
    assert [c.name for c in prior.over(ENTRIES).components] == ["known", "run"]
    del data["only"]
    assert DevicePrior.from_json(data).only == ()

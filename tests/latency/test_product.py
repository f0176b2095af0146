"""New devices as products of known ones: latencies over orders of magnitude, and pruned networks."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from hwnas.latency.base import Prediction
from hwnas.latency.bayes.device_prior import learn_sizes
from hwnas.latency.bayes.entries import Entries
from hwnas.latency.bayes.known_devices import learn_device
from hwnas.latency.bayes.known_latency import Combination, KnownLatency
from hwnas.latency.bayes.lognormal import LogNormal
from hwnas.latency.bayes.mixture import PRODUCT, SUM, Mixture, shares_of
from hwnas.latency.bayes.product import Logs, Product
from hwnas.latency.bayes.proportion import Proportion
from hwnas.latency.bayes.transfer import COMBINATION, FittingNetworks, transfer
from hwnas.latency.evaluate import rank_correlations
from hwnas.statistics.intervals import NORMAL_90

EDGES, OPERATIONS = 5, 4  # a chain of which operation 0 stops all that follows
EVERY = np.array(list(itertools.product(range(OPERATIONS), repeat=EDGES)))
ENTRIES = Entries.of_sizes((OPERATIONS,) * EDGES)


def chain(
    operations: list[float], fixed: float, seed: int, *, stops: bool, noise: float = 0.02
) -> np.ndarray:
    """Latency of all networks; where a device stops, one that stops at once takes next to nothing."""
    rng = np.random.default_rng(seed)
    paid = np.array(operations)[EVERY] * np.exp(0.15 * rng.standard_normal(EDGES))
    if stops:
        paid = paid * np.cumprod(EVERY > 0, axis=1)
    return (fixed + paid.sum(axis=1)) * np.exp(0.02 * rng.standard_normal(len(EVERY)))


MEASURED = {
    "gpu": chain([0.1, 0.3, 1.0, 1.1], 6, 1, stops=False),
    "phone": chain([0, 0.4, 2, 9], 0.02, 2, stops=True),
    "other phone": chain([0, 0.8, 3, 8], 0.05, 3, stops=True),
}


@cache
def learnt():
    """What is learnt of each device: by the first test that asks, not by whoever collects the tests."""
    return {name: learn_device(ENTRIES, EVERY, latency) for name, latency in MEASURED.items()}


@cache
def costs():
    return {name: costs for name, (costs, _) in learnt().items()}


@cache
def residuals():
    return {name: found for name, (_, found) in learnt().items() if found is not None}


@cache
def sizes():
    return learn_sizes(ENTRIES, costs(), residuals())


@pytest.mark.slow
def test_a_network_that_is_far_off_what_is_smooth_keeps_what_was_measured() -> None:
    matrix = ENTRIES.layout.matrix(EVERY)
    for name in ("phone", "other phone"):
        found = matrix @ np.array(costs()[name]) + residuals()[name](EVERY)
        stopped = EVERY[:, 0] == 0
        assert residuals()[name].least_ms == MEASURED[name].min()
        np.testing.assert_allclose(found[stopped], MEASURED[name][stopped], rtol=0.5)


def test_powers_and_level_of_a_product_are_found() -> None:
    """A device that is another one squared, times three."""
    rows = np.random.default_rng(0).choice(len(EVERY), 30, replace=False)
    logs = Logs(KnownLatency(ENTRIES, {"gpu": costs()["gpu"]}, {}))
    gpu = ENTRIES.layout.matrix(EVERY) @ np.array(costs()["gpu"])
    truth = 3 * gpu**2
    found = Product.fit(logs, EVERY[rows], truth[rows]).predict(EVERY)
    np.testing.assert_allclose(found.mean_ms, truth, rtol=0.02)
    assert (np.abs(found.mean_ms - truth) <= 3 * found.std_ms + 1e-3 * truth).mean() > 0.9


@pytest.mark.slow
def test_networks_that_stop_at_once_do_not_explode() -> None:
    """From .005 ms to 60 ms: errors in proportion, no worse than sums or known devices combined."""
    truth = chain([0, 0.6, 3, 12], 0.005, 9, stops=True)
    assert truth.max() / truth.min() > 5e3
    errors: dict[str, list[float]] = {"both": [], "sum": [], "combination": []}
    ranks, covered, shares = [], [], []
    for seed in range(3):
        rows = np.random.default_rng(seed).choice(len(EVERY), 10, replace=False)
        few = FittingNetworks(ENTRIES, EVERY[rows], truth[rows], costs(), residuals())
        pairs = np.arange(10) % 5  # left out in pairs: that is quicker
        told = (ENTRIES, EVERY[rows], truth[rows], costs(), sizes(), residuals(), pairs)
        found, sums = transfer(*told), transfer(*told, sums_only=True)
        assert sums.mixture is None
        np.testing.assert_array_equal(sums.costs_ms, found.costs_ms)
        combined = few.as_sum(replace(found.prior, only=COMBINATION), EVERY)
        mixed = found.predict(EVERY)
        for name, p in (("both", mixed), ("sum", sums.predict(EVERY)), ("combination", combined)):
            errors[name].append(float(np.abs(p.mean_ms / truth - 1).mean()))
        ranks.append(rank_correlations(mixed.mean_ms, truth)[0])
        covered.append(np.mean(np.abs(mixed.mean_ms - truth) <= NORMAL_90 * mixed.std_ms))
        shares.append(1 - found.shares.get(SUM, 0.0))
    means = {name: np.mean(values) for name, values in errors.items()}
    assert np.mean(shares) > 0.2
    assert means["both"] < 0.2
    assert means["both"] < 1.1 * min(means["sum"], means["combination"])
    assert np.mean(ranks) > 0.95
    assert 0.85 <= np.mean(covered) <= 0.99


@pytest.mark.slow
def test_a_sum_stays_a_sum() -> None:
    """Where sums are exact the product has next to no share."""
    truth = ENTRIES.layout.matrix(EVERY) @ (0.5 * np.array(costs()["gpu"]) + 0.5 * np.array(costs()["phone"]))
    shares = []
    for seed in range(2):
        rows = np.random.default_rng(seed).choice(len(EVERY), 12, replace=False)
        found = transfer(ENTRIES, EVERY[rows], truth[rows], costs(), sizes())
        shares.append(found.shares.get(PRODUCT, 0.0))
        np.testing.assert_allclose(found.predict(EVERY).mean_ms, truth, rtol=0.05)
    assert np.mean(shares) < 0.1


@pytest.mark.slow
def test_what_is_predicted_of_left_out_networks_is_what_is_said() -> None:
    truth = chain([0, 0.6, 3, 12], 0.005, 9, stops=True)
    rows = np.random.default_rng(1).choice(len(EVERY), 10, replace=False)
    found = transfer(ENTRIES, EVERY[rows], truth[rows], costs(), sizes(), residuals())
    assert found.left_out is not None
    assert (found.left_out.mean_ms > 0).all()
    assert (found.predict(EVERY).mean_ms > 0).all()
    assert ("as a product" in found.notes[0]) == (PRODUCT in found.shares)
    assert sum(found.shares.values()) == pytest.approx(1.0)


def test_what_was_measured_of_a_known_device_is_what_it_takes() -> None:
    known = KnownLatency(ENTRIES, costs(), residuals())
    found = known(EVERY[::7])
    for number, name in enumerate(costs()):
        if name in residuals():
            np.testing.assert_allclose(found[:, number], MEASURED[name][::7])
    assert (known.least_ms < known.average_ms).all()


def test_the_plain_combination_of_known_devices_is_found() -> None:
    truth = 0.5 * MEASURED["phone"] + 0.2 * MEASURED["other phone"] + 0.3
    rows = np.random.default_rng(0).choice(len(EVERY), 10, replace=False)
    found = Combination.fit(KnownLatency(ENTRIES, costs(), residuals()), EVERY[rows], truth[rows])
    np.testing.assert_allclose(found.predict(EVERY).mean_ms, truth, rtol=1e-6)
    mixed = transfer(ENTRIES, EVERY[rows], truth[rows], costs(), sizes(), residuals()).predict(EVERY)
    assert np.abs(mixed.mean_ms / truth - 1).mean() < 0.02


def test_what_is_tiny_on_every_known_device_is_not_of_average_size() -> None:
    phones = {name: costs()[name] for name in residuals() if name != "gpu"}
    known = KnownLatency(ENTRIES, phones, residuals())
    truth = chain([0, 0.6, 3, 12], 0.02, 9, stops=True)
    rows = np.flatnonzero(EVERY[:, 0] > 0)[::40]
    near, _ = Proportion.fit(known, EVERY[rows], truth[rows], np.arange(len(rows)))
    mixture = Mixture({SUM: 1.0}, {}, near, truth[rows].min() / 2)
    average = Prediction(np.full(len(EVERY), truth.mean()), np.full(len(EVERY), 0.1))
    found, stopped = mixture.predict(average, EVERY), EVERY[:, 0] == 0
    assert (found.mean_ms[stopped] < 0.02 * truth.mean()).all()
    low, high = near.bounds(EVERY)
    assert ((low <= truth) & (truth <= high)).all()
    right = mixture.mixed({SUM: Prediction(truth, 0.1 * truth)}, EVERY)
    np.testing.assert_allclose(right.centre, np.log(truth))
    assert isinstance(right, LogNormal)


def test_a_form_that_the_best_mixture_does_without_has_no_share() -> None:
    truth = np.array([1.0, 2.0, 3.0, 4.0])
    right, wrong = Prediction(truth * 1.001, truth), Prediction(truth * 2, truth)
    assert shares_of({"right": right, "wrong": wrong}, truth) == {"right": 1.0}
    low = Prediction(truth / 2, truth)
    assert shares_of({"low": low, "wrong": wrong}, truth) == {
        "low": pytest.approx(0.5),
        "wrong": pytest.approx(0.5),
    }


def test_a_sum_says_where_other_forms_would_do_better() -> None:
    truth = 0.5 * MEASURED["phone"] + 0.2 * MEASURED["other phone"] + 0.01
    rows = np.random.default_rng(0).choice(len(EVERY), 10, replace=False)
    found = transfer(ENTRIES, EVERY[rows], truth[rows], costs(), sizes(), residuals(), sums_only=True)
    assert found.mixture is None
    assert "multiplied or combined" in found.notes[-1]

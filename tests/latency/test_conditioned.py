"""A latency model that was told what was measured since."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas import spaces
from hwnas.device import Target
from hwnas.latency import Conditioned, Networks, fit
from hwnas.tables.table import LatencyTable, Round

SPACE = spaces.load("macro-r8-c10")


def _table(factor=1.0):
    """Blocks of one ms a million multiply-adds; networks need a tenth more than their sum."""
    rng = np.random.default_rng(0)
    rounds = [Round(w.key(), "block", "s", 0, (factor * w.macs / 1e6 + 0.01,)) for w in SPACE.workloads()]
    for kind, count in (("calibration", 12), ("heldout", 4)):
        for _ in range(count):
            arch = SPACE.sample(rng)
            rounds.append(Round(arch.key(), kind, "s", len(rounds), (factor * 1.1 * arch.macs / 1e6 + 0.05,)))
    return LatencyTable(Target("host", "litert", "fp32"), {}, {r.key: r for r in rounds}.values())


@pytest.fixture(scope="module")
def model():
    return fit(_table(), SPACE)


def conditioned(model, indices, ms, error=0.002):
    rows = np.array(indices)
    return Conditioned(model, SPACE, Networks(SPACE.name, rows, np.array(ms)), error * np.array(ms))


def test_without_measurements_nothing_changes(model):
    rows = np.array([SPACE.sample(np.random.default_rng(n)).indices for n in range(5)])
    before = model.predict(SPACE, rows)
    now = conditioned(model, np.zeros((0, 8), int), np.zeros(0)).predict(rows)
    assert np.array_equal(before.mean_ms, now.mean_ms)
    assert np.array_equal(before.std_ms, now.std_ms)


def test_what_was_measured_is_known_and_what_is_near_is_known_better(model):
    base, near, far = (1,) * 8, (1,) * 7 + (2,), (2, 0, 2, 0, 2, 0, 2, 0)
    rows = np.array([base, near, far])
    before = model.predict(SPACE, rows)
    now = conditioned(model, [base], [1.1 * before.mean_ms[0]]).predict(rows)
    change = now.mean_ms / before.mean_ms - 1
    assert change[0] == pytest.approx(0.1, abs=0.01)
    assert change[0] > change[1] > change[2] > 0
    assert now.std_ms[0] / now.mean_ms[0] < now.std_ms[1] / now.mean_ms[1] < now.std_ms[2] / now.mean_ms[2]


def test_a_measurement_as_expected_narrows_and_a_surprise_widens(model):
    base, near = (1,) * 8, np.array([(1,) * 7 + (2,)])
    expected = float(model.predict(SPACE, np.array([base])).mean_ms[0])
    before = model.predict(SPACE, near).std_ms[0]
    calm = conditioned(model, [base], [expected]).predict(near).std_ms[0]
    surprised = conditioned(model, [base], [1.5 * expected]).predict(near).std_ms[0]
    assert calm < surprised
    assert surprised > before


def test_a_common_factor_is_learnt_from_two_networks(model):
    """A model of a machine that is 30 % faster than the one that is measured on."""
    measured = [(1,) * 8, (2, 1, 0, 1, 2, 1, 0, 1)]
    truth = 1.3 * model.predict(SPACE, np.array(measured)).mean_ms
    others = np.array([(0, 2, 1, 2, 0, 0, 2, 1), (2, 2, 2, 0, 1, 1, 0, 0)])
    now = conditioned(model, measured, truth).predict(others).mean_ms
    assert now / model.predict(SPACE, others).mean_ms == pytest.approx([1.3, 1.3], abs=0.1)


def test_the_equations_are_those_of_the_full_gaussian(model):
    """Conditioning on two measurements one after the other is conditioning on both at once."""
    first, second, other = (1,) * 8, (2, 1, 0, 1, 2, 1, 0, 1), np.array([(0, 2, 1, 2, 0, 0, 2, 1)])
    expected = model.predict(SPACE, np.array([first, second])).mean_ms
    both = conditioned(model, [first, second], 1.01 * expected).predict(other)
    swapped = conditioned(model, [second, first], 1.01 * expected[::-1]).predict(other)
    assert both.mean_ms[0] == pytest.approx(swapped.mean_ms[0])
    assert both.std_ms[0] == pytest.approx(swapped.std_ms[0])
    twice = conditioned(model, [first, first], 1.01 * expected[[0, 0]], error=0.01).predict(other)
    once = conditioned(model, [first], 1.01 * expected[:1], error=0.01 / 2**0.5).predict(other)
    assert twice.mean_ms[0] == pytest.approx(once.mean_ms[0], rel=1e-6)

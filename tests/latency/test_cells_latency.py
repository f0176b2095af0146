"""Latencies of spaces in which parts can be left out: what does not run is not paid for."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas import spaces
from hwnas.device import Target
from hwnas.latency.bayes.posterior import Posterior
from hwnas.latency.bayes.table_prior import TablePrior
from hwnas.latency.lookup import Lookup
from hwnas.latency.networks import Networks
from hwnas.latency.overpaid import overpaid
from hwnas.space import SearchSpace, Workload

TARGET = Target("host", "litert", "int8")


def alone_ms(workload: Workload) -> float:
    """A made-up device: each block costs its multiply-adds, its traffic, and something to begin with."""
    if workload.block.is_identity:
        return 0.0
    return 0.002 + workload.macs / 3e8 + sum(op.read + op.written for op in workload.ops) / 4e7


def together_ms(space: SearchSpace, indices: tuple[int, ...]) -> float:
    """In a network all takes less than alone."""
    workloads = [w for w in space.architecture(indices).workloads if not w.block.is_identity]
    return 0.02 + sum(0.92 * alone_ms(w) for w in workloads)


def drawn(space: SearchSpace, count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([space.sample(rng).indices for _ in range(count)])


@pytest.mark.parametrize("name", ["darts-r16", "nasbench201-r16", "nasnet-r16"])
def test_a_table_sums_up_what_runs(name):
    space = spaces.load(name)
    blocks_ms = {w.key(): (alone_ms(w), 0.0) for w in space.workloads()}
    rows = drawn(space, 25, 0)
    found = Lookup(TARGET, blocks_ms, "0" * 64).predict(space, rows).mean_ms
    real = [sum(map(alone_ms, space.architecture(row).workloads)) for row in rows]
    assert found == pytest.approx(real)
    too_much = overpaid(space, rows, alone_ms)
    assert (too_much >= 0).all()
    assert too_much.max() > 0.01, "some of them leave parts out"


def test_where_all_runs_nothing_is_overpaid():
    space = spaces.load("macro")
    assert not overpaid(space, drawn(space, 5, 0), alone_ms).any()


def test_networks_teach_costs_of_cells():
    """From 30 networks of a made-up device; a plain sum of costs pays for what does not run."""
    space = spaces.load("nasbench201", resolution=16)
    fitting, others = drawn(space, 30, 1), drawn(space, 40, 2)
    taken = np.array([together_ms(space, tuple(row)) for row in fitting])
    prior = TablePrior({w.key(): alone_ms(w) for w in space.workloads()})
    model = Posterior.learn(TARGET, space, prior, Networks(space.name, fitting, taken), {})
    predicted = model.predict(space, others).mean_ms
    real = np.array([together_ms(space, tuple(row)) for row in others])
    off, of_sums = (np.abs(ms / real - 1).mean() for ms in (predicted, model.costs(space).of(others)))
    assert off < 0.01
    assert off < of_sums / 2

"""A small one-shot task that searches in seconds."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from task_helpers import Task

from hwnas import data, latency, spaces
from hwnas.budget import Budget
from hwnas.device import Target
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.evaluators.supernet.oneshot import OneShot
from hwnas.latency.base import Cost
from hwnas.search.problem import Constraint, relative_budget
from hwnas.tables.table import LatencyTable, Round

SPACE = "macro-r8-c10"

CONFIG = OneShotConfig(width=0.25, resolution=8, batch_size=32, recalibration_images=64)


@lru_cache
def digits():
    return data.load("digits", resolution=8)


def space():
    return spaces.load("macro", resolution=8)


def macs_costs(unit=1e6):
    """MACs in millions as if they were milliseconds."""
    fixed, choices = spaces.load("macro").macs_table()
    return Cost(fixed / unit, tuple(np.asarray(c) / unit for c in choices))


def constraint(share, name="macs", unit=1e6):
    costs = macs_costs(unit)
    return Constraint(Budget(name, relative_budget(costs, share)), costs)


def task_of(share=0.5, config=CONFIG, constraints=None):
    found = constraints or (constraint(share),)
    return Task(space(), found, OneShot(space(), digits(), config))


def latency_file(path, precision="int8", spread=0.0):
    """A lookup model of a device on which a million MACs need a millisecond."""
    small = spaces.load(SPACE)
    rows = [
        Round(w.key(), "block", "s", n, (w.macs / 1e6 * (1 + spread * n),))
        for w in small.workloads()
        for n in (-1, 0, 1)
    ]
    table = LatencyTable(Target("host", "litert", precision), {}, rows)
    latency.save(latency.fit(table, small, "lookup"), path)
    return path

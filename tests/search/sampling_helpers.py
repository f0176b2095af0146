"""Tasks for sampling strategies that are scored in microseconds."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
from task_helpers import Task

from hwnas import spaces
from hwnas.budget import Budget
from hwnas.latency.base import Cost
from hwnas.search.problem import Constraint, relative_budget
from hwnas.space import Architecture, SearchSpace
from hwnas.spaces.canonical import Canonical


def macs_costs(space: SearchSpace) -> Cost:
    """MACs in millions as if they were milliseconds."""
    fixed, tables = space.macs_table()
    return Cost(fixed / 1e6, tuple(table / 1e6 for table in tables))


def known_accuracy(space: SearchSpace, *, noise: float = 0.0) -> Callable[[Architecture], float]:
    """More MACs help, less and less, some candidates more than others; the same for twins.

    The noise is a function of the architecture, so that every run sees the same.
    """
    rng = np.random.default_rng(7)
    gains = [np.log1p(table / 1e6) * rng.uniform(0.5, 1.5) for table in space.macs_table()[1]]
    gains = [gain * rng.uniform(0.9, 1.1, len(gain)) for gain in gains]
    most, canonical = sum(gain.max() for gain in gains), Canonical(space)

    def evaluate(arch: Architecture) -> float:
        indices = canonical.key(arch.indices)
        share = sum(gain[i] for gain, i in zip(gains, indices, strict=True)) / most
        luck = np.random.default_rng(zlib.crc32(bytes(indices))).standard_normal()
        return float(np.clip(0.95 - 0.4 * np.exp(-4 * share) + noise * luck, 0.0, 1.0))

    return evaluate


def task_in(name: str, share: float = 0.4, *, noise: float = 0.0) -> Task:
    """A task in a shipped space under one budget, given as a share of the range of MACs."""
    space = spaces.load(name)
    costs = macs_costs(space)
    constraint = Constraint(Budget("macs", relative_budget(costs, share)), costs)
    return Task(space, (constraint,), known_accuracy(space, noise=noise))


def two_budgets(name: str = "fbnet", share: float = 0.4) -> Task:
    """A task whose second target likes other candidates."""
    task = task_in(name, share)
    rng = np.random.default_rng(3)
    costs = Cost(1.0, tuple(rng.uniform(0.2, 2.0, size) for size in task.space.sizes))
    second = Constraint(Budget("second", relative_budget(costs, share)), costs)
    return Task(task.space, (*task.constraints, second), task.evaluate)


def regret(task: Task, indices: tuple[int, ...]) -> float:
    """How much worse a network of the macro space is than the best feasible one, by true accuracy."""
    every = np.unique(Canonical(task.space)(np.array(list(np.ndindex(*task.space.sizes)))), axis=0)
    truth = known_accuracy(task.space)
    feasible = every[task.feasible(every)]
    best = max(truth(task.space.architecture(row)) for row in feasible)
    return best - truth(task.space.architecture(indices))

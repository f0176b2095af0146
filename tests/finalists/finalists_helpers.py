"""A small world with a truth that a promise can be kept or broken in."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from hwnas import data, spaces
from hwnas.budget import Budget
from hwnas.device import Target
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.evaluators.supernet.oneshot import OneShot
from hwnas.finalists.candidates import FinalistsOptions, Proposals
from hwnas.finalists.latencies import LatencyConstraint, Posteriors
from hwnas.finalists.ranking import Ranking
from hwnas.finalists.reading import Reading
from hwnas.finalists.repair import Loop
from hwnas.latency.base import Cost, Prediction
from hwnas.search.problem import relative_budget
from hwnas.spaces.canonical import Canonical

SPACE = "macro-r8-c10"
NOISE = 0.004


@lru_cache
def space():
    return spaces.load(SPACE)


@lru_cache
def oneshot():
    config = OneShotConfig(width=0.25, resolution=8, batch_size=32, recalibration_images=64)
    return OneShot(space(), data.load("digits", resolution=8), config)


@lru_cache
def networks():
    every = np.array(list(itertools.product(range(3), repeat=8)))
    return tuple(dict.fromkeys(map(tuple, Canonical(space())(every).tolist())))


def macs(power=1.0):
    """Costs that grow with multiply-adds, in ms."""
    fixed, choices = space().macs_table()
    return Cost((fixed / 1e6) ** power, tuple((np.asarray(c) / 1e6) ** power for c in choices))


def true_accuracies():
    """More multiply-adds are better, but not by much, and some choices matter more."""
    rows = np.array(networks())
    used = macs().of(rows) / macs().range[1]
    value = 0.6 + 0.2 * np.sqrt(used) + 0.01 * (rows[:, 0] == 1)
    return dict(zip(networks(), value.tolist(), strict=True))


class Believed:
    """A latency model that believes costs, with a relative standard deviation."""

    def __init__(self, costs: Cost, std: float, precision: str = "fp32") -> None:
        self.cost, self.std, self.target = costs, std, Target("host", "litert", precision)

    def predict(self, _space, indices) -> Prediction:
        mean = self.cost.of(indices)
        return Prediction(mean, self.std * mean)

    def costs(self, _space) -> Cost:
        return self.cost

    def to_json(self):
        return {}


class World:
    """True latencies with residuals that no sum explains; measures them with noise."""

    def __init__(self, *truths: Cost, factor: float = 1.0, residual: float = 0.01) -> None:
        self.truths, self.factor = truths, factor
        self.residual, self.rng = residual, np.random.default_rng(0)
        self.asked: list[tuple[tuple[int, ...], int]] = []

    def ms(self, indices, number=0) -> float:
        own = np.random.default_rng([number, *indices]).normal()
        return float(self.factor * self.truths[number].of(np.array([indices]))[0] * (1 + self.residual * own))

    def measure(self, batch: Sequence[tuple[int, ...]], sessions: int) -> Mapping[tuple[int, ...], tuple]:
        self.asked += [(indices, sessions) for indices in batch]
        return {i: tuple(self.reading(i, n, sessions) for n in range(len(self.truths))) for i in batch}

    def reading(self, indices, number, sessions) -> Reading:
        ms = self.ms(indices, number) * (1 + NOISE / 2 * self.rng.normal())
        return Reading(ms, ms * (1 - NOISE), ms * (1 + NOISE), sessions)


def loop_of(world, constraints, *, pool=None, options=None, confidence=0.9, measure=None) -> Loop:
    """A loop over finalists that the models believe to be just within the budgets."""
    posteriors, options = Posteriors(space(), constraints, confidence), options or FinalistsOptions()
    if pool is None:
        rows = np.array(networks())
        within = np.all([c.model.cost.of(rows) <= 0.97 * c.budget_ms for c in constraints], axis=0)
        used = np.max([c.model.cost.of(rows) / c.budget_ms for c in constraints], axis=0)
        pool = [networks()[n] for n in np.flatnonzero(within & (used > 0.92))[:12]]
    ranking = Ranking(oneshot(), "fp32", known=true_accuracies())
    rng = np.random.default_rng(0)
    return Loop(
        posteriors,
        ranking,
        measure or world.measure,
        Proposals(posteriors, options, dict.fromkeys(pool), rng),
    )


def constraint(
    share=0.5, *, costs=None, believed=1.0, std=0.03, factor=1.0, precision="fp32", **given
) -> LatencyConstraint:
    """A budget at a share of the true range, with a model that believes a factor of the truth."""
    costs = costs or macs()
    wrong = Cost(believed * costs.fixed, tuple(believed * c for c in costs.choices))
    model = Believed(wrong, std, precision)
    return LatencyConstraint(Budget(model.target, factor * relative_budget(costs, share)), model, **given)

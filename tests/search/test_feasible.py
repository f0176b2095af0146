"""Feasible architectures are drawn uniformly, for one budget or several, and never in vain."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sampling_helpers import macs_costs

from hwnas import spaces
from hwnas.budget import Budget
from hwnas.errors import InfeasibleBudget
from hwnas.latency.base import Cost
from hwnas.search.feasible import FeasibleSampler
from hwnas.search.problem import Constraint, Problem, relative_budget
from hwnas.space import SearchSpace

EVERY_MACRO = np.array(list(itertools.product(range(3), repeat=8)))


def task_of(space: SearchSpace, *constraints: Constraint) -> Problem:
    return Problem(space, constraints)


def test_draws_are_uniform_over_what_keeps_the_budget():
    space = spaces.load("macro")
    task = task_of(space, Constraint(Budget("macs", 60.0), macs_costs(space)))
    feasible = EVERY_MACRO[task.feasible(EVERY_MACRO)]
    drawn = FeasibleSampler(task).sample(40_000, np.random.default_rng(0))
    assert task.feasible(drawn).all()
    _, counts = np.unique(np.concatenate([feasible, drawn]), axis=0, return_counts=True)
    assert len(counts) == len(feasible) == 4075
    expected = 40_000 / 4075
    chi2_per_degree = (((counts - 1) - expected) ** 2 / expected).sum() / (4075 - 1)
    assert chi2_per_degree == pytest.approx(1.0, abs=0.1)  # standard deviation 0.022


def test_draws_are_uniform_under_two_budgets():
    space = spaces.load("macro")
    other = Cost(0.0, tuple(np.array([2.0, 0.0, 1.0]) for _ in range(8)))
    task = task_of(
        space,
        Constraint(Budget("macs", 50.0), macs_costs(space)),
        Constraint(Budget("other", 5.5, margin=0.5), other),
    )
    feasible = EVERY_MACRO[task.feasible(EVERY_MACRO)]
    assert 10 < len(feasible) < 200
    drawn = FeasibleSampler(task).sample(200 * len(feasible), np.random.default_rng(1))
    found, counts = np.unique(drawn, axis=0, return_counts=True)
    assert np.array_equal(found, np.unique(feasible, axis=0))
    assert ((counts - 200) ** 2 / 200).mean() == pytest.approx(1.0, abs=0.6)


@pytest.mark.parametrize("share", [0.0, 1e-6, 0.01, 0.5, 1.0])
def test_any_budget_of_a_large_space_can_be_sampled(share):
    space = spaces.load("fbnet")
    costs = macs_costs(space)
    task = task_of(space, Constraint(Budget("macs", relative_budget(costs, share)), costs))
    sampler = FeasibleSampler(task)
    drawn = sampler.sample(64, np.random.default_rng(0))
    assert drawn.shape == (64, 22)
    assert task.feasible(drawn).all()
    assert len(np.unique(drawn, axis=0)) == (1 if share < 0.01 else 64)


def test_same_seed_same_draws():
    space = spaces.load("fbnet")
    costs = macs_costs(space)
    task = task_of(space, Constraint(Budget("macs", relative_budget(costs, 0.2)), costs))
    first, second = (FeasibleSampler(task).sample(9, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first, second)


def test_repair_changes_as_little_as_one_budget_needs():
    space = spaces.load("macro")
    task = task_of(space, Constraint(Budget("macs", 30.0), macs_costs(space)))
    feasible = EVERY_MACRO[task.feasible(EVERY_MACRO)]
    sampler = FeasibleSampler(task)
    for indices in EVERY_MACRO[::97]:
        repaired = sampler.repair(indices)
        assert task.feasible(repaired[None])[0]
        assert (repaired != indices).sum() == (feasible != indices).sum(axis=1).min()


def test_repair_keeps_several_budgets():
    space = spaces.load("fbnet")
    rng = np.random.default_rng(0)
    costs = [Cost(1.0, tuple(rng.random(9) for _ in range(22))) for _ in range(3)]
    task = task_of(
        space, *(Constraint(Budget(f"t{n}", relative_budget(c, 0.35)), c) for n, c in enumerate(costs))
    )
    sampler = FeasibleSampler(task)
    for _ in range(20):
        indices = np.array(space.sample(rng).indices)
        assert task.feasible(sampler.repair(indices)[None])[0]
    assert task.feasible(sampler.sample(50, rng)).all()


def test_budgets_that_hardly_agree_are_solved_exactly():
    """Only one of 3^8 architectures keeps both budgets: found, and refused when it is gone."""
    space = spaces.load("macro")
    rng = np.random.default_rng(3)
    one = Cost(0.0, tuple(rng.random(3) for _ in range(8)))
    other = Cost(0.0, tuple(1.0 - c + 0.01 * rng.random(3) for c in one.choices))
    first = one.of(EVERY_MACRO)
    limit = float(np.quantile(first, 0.5))
    rest = other.of(EVERY_MACRO)
    least = float(rest[first <= limit].min())
    task = task_of(
        space, Constraint(Budget("one", limit), one), Constraint(Budget("other", least + 1e-6), other)
    )
    assert task.feasible(EVERY_MACRO).sum() == 1
    drawn = FeasibleSampler(task).sample(3, rng)
    assert task.feasible(drawn).all()
    gone = task_of(
        space, Constraint(Budget("one", limit), one), Constraint(Budget("other", least - 1e-6), other)
    )
    with pytest.raises(InfeasibleBudget, match="all budgets together"):
        FeasibleSampler(gone).sample(1, rng)

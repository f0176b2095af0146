import itertools

import numpy as np
import pytest

from hwnas import blocks
from hwnas.budget import Budget
from hwnas.errors import InfeasibleBudget, SpaceError
from hwnas.latency.base import Cost
from hwnas.search.decode import decode
from hwnas.search.problem import Constraint, Problem
from hwnas.space import Choice, SearchSpace


def toy_space(choices, candidates):
    mbconvs = tuple(
        blocks.MBConv(8, 8, kernel_size=3, expansion_ratio=float(1 + n)) for n in range(candidates)
    )
    return SearchSpace(
        "toy",
        (3, 8, 8),
        (blocks.Conv(3, 8),),
        tuple(Choice(f"c{n}", mbconvs) for n in range(choices)),
        (blocks.Head(8, 8, 2),),
    )


def task_of(rng, choices, candidates, constraints, tightness, *, whole=False):
    """Random costs and a budget at ``tightness`` of what a random architecture needs."""
    space = toy_space(choices, candidates)
    limits = []
    for number in range(constraints):
        costs = (
            rng.integers(1, 6, (choices, candidates)) if whole else rng.exponential(1, (choices, candidates))
        )
        additive = Cost(float(rng.random()), tuple(costs.astype(float)))
        low, high = additive.range
        limits.append(Constraint(Budget(f"device{number}", low + tightness * (high - low)), additive))
    return Problem(space, tuple(limits))


def brute_force(scores, task):
    every = np.array(list(itertools.product(*(range(len(s)) for s in scores))))
    every = every[task.feasible(every)]
    if not len(every):
        return None
    return max(sum(s[i] for s, i in zip(scores, row, strict=True)) for row in every)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("constraints", [1, 2, 3])
@pytest.mark.parametrize("tightness", [0.05, 0.3, 0.6, 1.0])
def test_equals_brute_force(constraints, tightness, whole):
    rng = np.random.default_rng([constraints, int(100 * tightness), whole])
    for _ in range(12):
        task = task_of(rng, 6, 4, constraints, tightness, whole=whole)
        scores = [np.round(rng.normal(size=4), 1) if whole else rng.normal(size=4) for _ in range(6)]
        expected = brute_force(scores, task)
        if expected is None:
            with pytest.raises(InfeasibleBudget, match="all budgets together"):
                decode(scores, task)
            continue
        found = decode(scores, task)
        assert task.feasible(np.array([found.indices]))[0]
        assert found.score == pytest.approx(expected)
        assert found.gap == 0
        assert found.score == pytest.approx(sum(s[i] for s, i in zip(scores, found.indices, strict=True)))


def test_a_budget_at_the_fastest_gives_the_fastest():
    rng = np.random.default_rng(0)
    task = task_of(rng, 5, 3, 1, 0.0)
    found = decode([rng.normal(size=3) for _ in range(5)], task)
    costs = task.constraints[0].costs
    assert found.indices == tuple(int(c.argmin()) for c in costs.choices)


def test_without_limits_it_is_the_argmax():
    rng = np.random.default_rng(1)
    task = task_of(rng, 8, 5, 2, 1.0)
    scores = [rng.normal(size=5) for _ in range(8)]
    assert decode(scores, task).indices == tuple(int(s.argmax()) for s in scores)


@pytest.mark.parametrize("constraints", [1, 2, 4])
def test_a_space_of_fbnets_size_is_decoded_exactly(constraints):
    rng = np.random.default_rng(constraints)
    task = task_of(rng, 22, 9, constraints, 0.4)
    scores = [np.log(rng.dirichlet(np.ones(9))) for _ in range(22)]
    found = decode(scores, task)
    assert found.gap == 0
    assert task.feasible(np.array([found.indices]))[0]


def test_too_few_labels_are_confessed_by_a_valid_bound():
    rng = np.random.default_rng(3)
    confessed = 0
    for _ in range(20):
        task = task_of(rng, 7, 4, 2, 0.3)
        scores = [rng.normal(size=4) for _ in range(7)]
        expected = brute_force(scores, task)
        if expected is None:
            continue
        found = decode(scores, task, max_labels=1)
        assert found.score <= expected + 1e-9
        assert expected <= found.score + found.gap + 1e-9
        confessed += found.gap > 0
    assert confessed


def test_scores_that_do_not_fit_are_refused():
    task = task_of(np.random.default_rng(0), 3, 3, 1, 0.5)
    with pytest.raises(SpaceError, match="sizes"):
        decode([np.zeros(3)] * 2, task)
    with pytest.raises(SpaceError, match="finite"):
        decode([np.array([0.0, -np.inf, 0.0])] * 3, task)

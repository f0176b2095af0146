"""Costs of two choices together: decoding, fronts and uniform draws are those of brute force."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from hwnas import spaces
from hwnas.budget import Budget
from hwnas.errors import InfeasibleBudget, LatencyModelError, SpaceError
from hwnas.factors import Pair, Sweep, Terms
from hwnas.latency.base import Cost
from hwnas.search import proposals
from hwnas.search.decode import decode
from hwnas.search.feasible import FeasibleSampler, near_budget
from hwnas.search.problem import Constraint, Problem, relative_budget
from hwnas.search.sampling.knapsack import Knapsack
from hwnas.search.whole_front import whole_front

EDGES = {
    "chain": [(0, 1), (1, 2), (3, 2), (3, 4), (4, 5)],
    "tree": [(0, 1), (2, 0), (0, 3), (3, 4), (5, 3)],
    "loop": [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (1, 3)],
}
SIZES = (3, 4, 2, 3, 4, 3)
EVERY = np.array(list(itertools.product(*map(range, SIZES))))


@dataclass(frozen=True)
class Widths:
    name: str = "widths"
    sizes: tuple[int, ...] = SIZES


def cost_of(rng, graph, *, whole=False, sizes=SIZES):
    def values(*shape):
        return rng.integers(0, 6, shape).astype(float) if whole else rng.exponential(1.0, shape)

    pairs = tuple(Pair(a, b, values(sizes[a], sizes[b])) for a, b in EDGES[graph])
    return Cost(float(rng.random()), tuple(values(size) for size in sizes), pairs=pairs)


def worthy(rng, problem):
    """Scores of which the dearer states have more, so that fronts are long."""
    cost = problem.constraints[0].costs
    shares = [sum(p.facing(n).mean(axis=0) for p in cost.pairs if n in p.edge) for n in range(len(SIZES))]
    return [c + s + rng.normal(size=len(c)) for c, s in zip(cost.choices, shares, strict=True)]


def problem_of(rng, graph, budgets, tightness, *, whole=False):
    costs = [cost_of(rng, graph, whole=whole) for _ in range(budgets)]
    limits = [
        Constraint(Budget(f"device{number}", relative_budget(cost, tightness)), cost)
        for number, cost in enumerate(costs)
    ]
    return Problem(Widths(), tuple(limits))


@pytest.mark.parametrize("graph", EDGES)
def test_the_range_is_exact(graph):
    rng = np.random.default_rng(0)
    for _ in range(5):
        cost = cost_of(rng, graph)
        values = cost.of(EVERY)
        assert cost.range == (values.min(), values.max())
        assert cost.most >= values.max()
        assert cost.unspent.of(EVERY) == pytest.approx(cost.most - values)


@pytest.mark.parametrize("graph", EDGES)
@pytest.mark.parametrize("budgets", [1, 2, 3])
@pytest.mark.parametrize("tightness", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("whole", [False, True])
def test_decoding_equals_brute_force(graph, budgets, tightness, whole):
    rng = np.random.default_rng([budgets, int(10 * tightness), whole])
    for number in range(3):
        problem = problem_of(rng, graph, budgets, tightness, whole=whole)
        scores = [np.round(rng.normal(size=n), 1) if whole else rng.normal(size=n) for n in SIZES]
        together = [Pair(1, 5, rng.normal(size=(4, 3)))] if number == 2 else []
        values = Terms(tuple(scores), tuple(together)).of(EVERY)
        feasible = problem.feasible(EVERY)
        if not feasible.any():
            with pytest.raises(InfeasibleBudget, match="all budgets together"):
                decode(scores, problem, pairs=together)
            continue
        found = decode(scores, problem, pairs=together)
        assert problem.feasible(np.array([found.indices]))[0]
        assert found.score == pytest.approx(values[feasible].max())
        assert found.gap == 0


def test_a_graph_too_wide_to_sweep_is_decoded_by_a_program(monkeypatch):
    monkeypatch.setattr(Sweep, "is_narrow", False)
    rng = np.random.default_rng(5)
    for budgets in (1, 2):
        problem = problem_of(rng, "loop", budgets, 0.4)
        scores = [rng.normal(size=n) for n in SIZES]
        best = Terms(tuple(scores)).of(EVERY)[problem.feasible(EVERY)].max()
        found = decode(scores, problem)
        assert (found.score, found.gap) == (pytest.approx(best), 0.0)


def test_too_few_labels_are_confessed_by_a_valid_bound():
    rng = np.random.default_rng(3)
    confessed = 0
    for _ in range(20):
        problem = problem_of(rng, "tree", 2, 0.5)
        scores = [rng.normal(size=n) for n in SIZES]
        feasible = problem.feasible(EVERY)
        if not feasible.any():
            continue
        best = Terms(tuple(scores)).of(EVERY)[feasible].max()
        found = decode(scores, problem, max_labels=1)
        assert found.score - 1e-9 <= best <= found.score + found.gap + 1e-9
        confessed += found.gap > 0
    assert confessed


def test_a_network_of_forty_slots_is_decoded_exactly():
    """Streams in a chain, each with the hidden channels of its blocks, as residual networks have them."""
    rng = np.random.default_rng(6)
    sizes, pairs = (8,) * 40, []
    for stage in range(8):
        stream = 5 * stage
        pairs += [Pair(stream, stream + n, np.outer(*2 * [np.arange(1.0, 9)])) for n in range(1, 5)]
        pairs += [Pair(stream, stream - 1, np.outer(*2 * [np.arange(1.0, 9)]))] if stage else []
    cost = Cost(1.0, tuple(np.zeros(8) for _ in sizes), pairs=tuple(pairs))
    problem = Problem(Widths("big", sizes), (Constraint(Budget("x", relative_budget(cost, 0.3)), cost),))
    scores = [np.sort(rng.exponential(size=8)) for _ in sizes]
    found = decode(scores, problem)
    assert found.gap == 0
    drawn = FeasibleSampler(problem).sample(2000, rng)
    assert problem.feasible(drawn).all()
    assert found.score > Terms(tuple(scores)).of(drawn).max()


@pytest.mark.parametrize("graph", EDGES)
@pytest.mark.parametrize("whole", [False, True])
def test_the_front_is_that_of_brute_force(graph, whole):
    rng = np.random.default_rng([7, whole])
    for tightness in (0.0, 0.3, 1.0):
        problem = problem_of(rng, graph, 1, tightness, whole=whole)
        scores = worthy(rng, problem)
        front = whole_front(scores, problem)
        values, cost = Terms(tuple(scores)).of(EVERY), problem.costs(EVERY)[:, 0]
        order = np.lexsort((-values, cost))
        order = order[problem.feasible(EVERY)[order]]
        best = np.maximum.accumulate(np.concatenate([[-np.inf], values[order][:-1]]))
        order = order[values[order] > best]
        assert front.cost == pytest.approx(cost[order])
        assert front.score == pytest.approx(values[order])
        assert front.best(front.cost[0] - 1) is None
        assert front.best(np.inf) == tuple(front.indices[-1])


@pytest.mark.parametrize("graph", EDGES)
def test_a_coarse_front_keeps_its_word(graph):
    problem = problem_of(np.random.default_rng(8), graph, 1, 0.8)
    scores = worthy(np.random.default_rng(8), problem)
    fine, nearly, coarse = (whole_front(scores, problem, resolution=r) for r in (0.0, 1e-4, 0.2))
    assert nearly.score == pytest.approx(fine.score)
    room = 0.2 * (problem.constraints[0].usable - problem.constraints[0].costs.range[0])
    inside = fine.cost + room <= problem.constraints[0].usable
    assert inside.any()
    for score, cost in zip(fine.score[inside], fine.cost[inside], strict=True):
        assert coarse.score[coarse.cost <= cost + room + 1e-9].max() >= score - 1e-9


def test_a_front_that_is_too_large_names_a_way_out():
    problem = problem_of(np.random.default_rng(8), "tree", 1, 0.8)
    scores = worthy(np.random.default_rng(8), problem)
    with pytest.raises(SpaceError, match="give a resolution"):
        whole_front(scores, problem, max_labels=2)
    with pytest.raises(SpaceError, match="coarser"):
        whole_front(scores, problem, resolution=1e-9)


def test_a_front_of_several_budgets_is_refused():
    problem = problem_of(np.random.default_rng(0), "chain", 2, 0.9)
    with pytest.raises(SpaceError, match="one budget"):
        whole_front([np.zeros(n) for n in SIZES], problem)


def chi2_per_degree(problem, each, seed):
    feasible = EVERY[problem.feasible(EVERY)]
    drawn = FeasibleSampler(problem).sample(each * len(feasible), np.random.default_rng(seed))
    found, counts = np.unique(drawn, axis=0, return_counts=True)
    assert np.array_equal(found, np.unique(feasible, axis=0))
    return ((counts - each) ** 2 / each).sum() / (len(feasible) - 1), len(feasible)


@pytest.mark.parametrize("graph", EDGES)
@pytest.mark.parametrize("budgets", [1, 2])
def test_draws_are_uniform(graph, budgets):
    problem = problem_of(np.random.default_rng([budgets, 1]), graph, budgets, 0.4)
    chi2, count = chi2_per_degree(problem, 100, 0)
    assert count > 30
    assert chi2 == pytest.approx(1.0, abs=4.5 * (2 / count) ** 0.5)


@pytest.mark.parametrize("budgets", [1, 2])
def test_draws_along_a_spanning_tree_are_uniform(monkeypatch, budgets):
    problem = problem_of(np.random.default_rng([budgets, 2]), "loop", budgets, 0.4)
    _ = [c.costs.range for c in problem.constraints]
    monkeypatch.setattr(Sweep, "is_narrow", False)
    tree = proposals._spanning(problem)
    assert len(tree) == 4 + 1 - 1
    chi2, count = chi2_per_degree(problem, 100, 0)
    assert count > 30
    assert chi2 == pytest.approx(1.0, abs=4.5 * (2 / count) ** 0.5)


@pytest.mark.parametrize("share", [0.0, 1e-6, 0.01, 0.5, 1.0])
def test_any_budget_can_be_drawn_under(share):
    rng = np.random.default_rng(9)
    sizes = (8,) * 30
    pairs = tuple(Pair(n, n + 1, rng.exponential(size=(8, 8))) for n in range(29))
    cost = Cost(0.0, tuple(np.zeros(8) for _ in sizes), pairs=pairs)
    problem = Problem(Widths("long", sizes), (Constraint(Budget("x", relative_budget(cost, share)), cost),))
    drawn = FeasibleSampler(problem).sample(64, rng)
    assert problem.feasible(drawn).all()
    assert len(np.unique(drawn, axis=0)) == (1 if share < 0.001 else 64)


def test_what_is_near_the_budget_spends_it():
    problem = problem_of(np.random.default_rng(10), "tree", 1, 0.5)
    near = near_budget(problem, 0.9)
    drawn = FeasibleSampler(near).sample(500, np.random.default_rng(0))
    cost = problem.costs(drawn)[:, 0]
    usable = problem.constraints[0].usable
    assert (cost <= usable).all()
    assert (cost >= 0.9 * usable - 1e-9).all()


def test_the_knapsack_of_errors_counts_pairs():
    space, rng = spaces.load("macro"), np.random.default_rng(11)
    rows = np.array(list(np.ndindex(*space.sizes)))
    pairs = tuple(Pair(n, n + 1, rng.exponential(size=(3, 3))) for n in range(7))
    cost = Cost(0.5, tuple(rng.exponential(size=3) for _ in space.sizes), pairs=pairs)
    problem = Problem(space, (Constraint(Budget("x", relative_budget(cost, 0.4)), cost),))
    errors = [rng.exponential(size=3) for _ in space.sizes]
    knapsack, kept = Knapsack(problem), rows[problem.feasible(rows)]
    found = knapsack.solve(errors)
    values = Terms(tuple(errors)).of(kept)
    assert Terms(tuple(errors)).of(np.array(found))[0] == pytest.approx(values.min())
    other = knapsack.solve(errors, np.array([found]), apart=3)
    far = (kept != np.array(found)).sum(axis=1) >= 3
    assert Terms(tuple(errors)).of(np.array(other))[0] == pytest.approx(values[far].min())


def test_gates_expect_pairs_by_the_product_of_their_weights():
    import torch

    from hwnas.search.oneshot.gates import CostTensors

    problem = problem_of(np.random.default_rng(12), "tree", 2, 0.5)
    weights = [torch.softmax(torch.randn(n, generator=torch.manual_seed(n)), 0) for n in SIZES]
    chances = [w.numpy()[EVERY[:, n]] for n, w in enumerate(weights)]
    for expected, constraint in zip(
        CostTensors(problem.constraints).expected(weights), problem.constraints, strict=True
    ):
        mean = (np.prod(chances, axis=0) * constraint.costs.of(EVERY)).sum()
        assert float(expected) == pytest.approx(mean, rel=1e-5)


def test_who_can_only_add_up_refuses_pairs():
    cost = cost_of(np.random.default_rng(0), "chain")
    with pytest.raises(LatencyModelError, match="evolution must be given costs that each choice has alone"):
        cost.additive("evolution")
    with pytest.raises(LatencyModelError, match="not negative"):
        Cost(0.0, (np.zeros(2), np.zeros(2)), pairs=(Pair(0, 1, -np.ones((2, 2))),))


def test_a_space_without_blocks_is_told_to_who_needs_them():
    problem = problem_of(np.random.default_rng(0), "chain", 1, 0.5)
    with pytest.raises(SpaceError, match="space of blocks"):
        _ = problem.blocks

"""Petridish: networks that grow within the budgets by what the gradient of their loss asks for."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from oneshot_helpers import constraint, task_of
from task_helpers import searched

from hwnas import search, spaces
from hwnas.errors import SpaceError
from hwnas.evaluators.supernet.network import Branch, Growth, Supernet
from hwnas.search.history import damage
from hwnas.search.oneshot.grown import Grown, Pool, drawn, hull
from hwnas.search.oneshot.petridish import Petridish
from hwnas.search.session import Session
from hwnas.spaces.canonical import Canonical

SHORT = Petridish(queries=4, warmup_steps=8, candidate_steps=2, child_steps=3)


@pytest.fixture(scope="module")
def found():
    return searched(SHORT, task_of(0.5), np.random.default_rng(3))


def pool_of(task, *networks):
    pool = Pool(task, task.evaluate, Session(), 0)
    for indices, quality in networks:
        pool.add(Grown(indices, quality), task.evaluate.taken(indices), 0.0)
    return pool


@pytest.fixture
def supernet():
    return Supernet(spaces.load("macro", resolution=8), 0).train()


def growing(supernet, weight, places=range(8)):
    """Gates of the cheapest network beside all that it could become, at a weight."""
    weights = {(n, i): torch.tensor(weight, requires_grad=True) for n in places for i in (1, 2)}
    gates = [
        Growth(0, tuple(Branch(i, weights[n, i]) for i in (1, 2))) if n in places else 0 for n in range(8)
    ]
    return gates, weights


def test_what_learns_beside_a_network_leaves_it_as_it_is(supernet):
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    gates, weights = growing(supernet, 0.1)
    alone, beside = supernet(images, [0] * 8), supernet(images, gates)
    torch.testing.assert_close(beside, alone)
    parts = [supernet.stem, supernet.head, *(choice.candidates[0] for choice in supernet.choices)]
    parameters = [p for part in parts for p in part.parameters()]
    for one, other in zip(
        torch.autograd.grad(alone.square().sum(), parameters, allow_unused=True),
        torch.autograd.grad(beside.square().sum(), parameters, allow_unused=True, retain_graph=True),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
    learnt = torch.autograd.grad(beside.square().sum(), weights.values())
    assert all(float(gradient.abs()) > 0 for gradient in learnt)


def test_a_weight_learns_what_putting_its_block_in_would_change(supernet):
    """Its gradient is that of the loss along the line from one candidate's output to the other's."""
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    gates, weights = growing(supernet, 0.3, places=(2,))
    (gradient,) = torch.autograd.grad(supernet(images, gates).square().sum(), [weights[2, 1]])
    share = torch.zeros((), requires_grad=True)
    mixed = [0] * 8
    mixed[2] = (Branch(0, 1 - share), Branch(1, share))
    (wanted,) = torch.autograd.grad(supernet(images, mixed).square().sum(), [share])
    torch.testing.assert_close(gradient, wanted)


def test_networks_grow_within_the_budget_from_the_cheapest(found):
    task = task_of(0.5)
    assert found.trials[0].indices == (0,) * 8
    assert found.extra["parents"][0] is None
    (limit,) = (c.usable for c in task.constraints)
    costs = task.costs(np.array([trial.indices for trial in found.trials]))[:, 0]
    assert (costs <= limit).all()
    for number, parent in enumerate(found.extra["parents"][1:], start=1):
        assert parent < number
        assert costs[number] > costs[parent]
        changed = np.array(found.trials[number].indices) != found.trials[parent].indices
        assert 1 <= changed.sum() <= SHORT.changes
    keys = {Canonical(found.best.space).key(trial.indices) for trial in found.trials}
    assert len(keys) == len(found.trials) == 4
    assert found.quality == max(trial.quality for trial in found.trials)


@pytest.mark.slow
def test_the_same_seed_finds_the_same_and_another_does_not(found):
    again = searched(SHORT, task_of(0.5), np.random.default_rng(3))
    assert search.to_json(again) == search.to_json(found)
    assert searched(SHORT, task_of(0.5), np.random.default_rng(3 + 1)).config != found.config


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_resumed_search_equals_an_uninterrupted_one(found, tmp_path, at):
    """Cut off as soon as a network is scored, and half way through the next one's training."""

    def stop(record):
        phase = record["phase"]
        if (phase, record["step"]) == ("scoring", at) or (phase, record.get("network")) == (
            "training",
            at + 1,
        ):
            raise KeyboardInterrupt

    kept = {"checkpoint": tmp_path / "checkpoint.safetensors", "history": tmp_path / "history.jsonl"}
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            searched(SHORT, task_of(0.5), np.random.default_rng(3), tell=stop, **kept)
    seen = []
    result = searched(SHORT, task_of(0.5), np.random.default_rng(3), tell=seen.append, **kept)
    assert [r["step"] for r in seen if r["phase"] == "scoring"] == list(range(at + 1, 5))
    assert search.to_json(result) == search.to_json(found)
    assert len(kept["history"].read_text().splitlines()) == 1 + 4
    assert not damage(kept["history"])


def test_the_best_network_is_left_in_the_supernet():
    task = task_of(0.5)
    result = searched(SHORT, task, np.random.default_rng(3))
    assert task.evaluate(result.best) == pytest.approx(result.quality)


def test_a_network_grows_from_its_parents_weights():
    """Whatever was trained in between."""
    task = task_of(0.5)
    pool = pool_of(task, ((0,) * 8, 0.2))
    before = task.evaluate.taken((0,) * 8)
    task.evaluate.weight_step([1] * 8, 1.0)
    assert any(not torch.equal(v, before[k]) for k, v in task.evaluate.taken((0,) * 8).items())
    pool.take(0)
    after = task.evaluate.taken((0,) * 8)
    assert set(after) == set(before)
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    assert not task.evaluate.optimizer.state
    assert pool.grown[0].children == 1


def test_where_nothing_can_grow_the_search_ends():
    """Every network that the budget allows is the cheapest."""
    task = task_of(0.0)
    result = searched(SHORT, task, np.random.default_rng(0))
    assert [trial.indices for trial in result.trials] == [(0,) * 8]


def test_only_networks_near_the_hull_grow_and_keep_weights():
    task = task_of(1.0)
    networks = [((0,) * 8, 0.2), ((1,) + (0,) * 7, 0.1), ((1, 1) + (0,) * 6, 0.6)]
    pool = pool_of(task, *networks)
    assert pool.near_hull(0.0) == [0, 2]
    assert set(pool.weights) == {0, 2}
    assert pool.near_hull(10.0) == [0, 1, 2]
    assert pool.best == 2


def test_the_hull_is_below_all_points_and_convex():
    chance = np.random.default_rng(0)
    costs, errors = chance.random(40), chance.random(40)
    low = hull(costs, errors)
    assert (low <= errors + 1e-12).all()
    order = np.argsort(costs)
    slopes = np.diff(low[order]) / np.diff(costs[order])
    assert (np.diff(slopes) >= -1e-9).all()
    assert (slopes <= 1e-9).all()
    pairs = itertools.permutations(zip(costs.tolist(), errors.tolist(), strict=True), 2)
    mixtures = [
        ((right - 0.5) * low_error + (0.5 - left) * high_error) / (right - left)
        for (left, low_error), (right, high_error) in pairs
        if left <= 0.5 < right
    ]
    within = hull(np.append(costs, 0.5), np.append(errors, 2.0))[-1]
    assert within == pytest.approx(min(*mixtures, errors[costs <= 0.5].min()))


def test_parents_are_drawn_from_the_most_accurate_down():
    """Each is passed over the more often the more children it has."""
    grown = [Grown((0,), 0.5), Grown((1,), 0.9, children=3), Grown((2,), 0.7, children=1)]
    chance = np.random.default_rng(0)
    times = np.bincount([drawn(grown, [0, 1, 2], chance) for _ in range(4000)], minlength=3) / 4000
    assert times == pytest.approx([0.75 * 0.5, 0.25, 0.75 * 0.5], abs=0.03)
    assert {drawn(grown, [1], chance) for _ in range(20)} == {1}


def test_several_budgets_are_all_kept():
    budgets = (constraint(0.6, "one"), constraint(0.4, "two", unit=2e6))
    result = searched(SHORT, task_of(constraints=budgets), np.random.default_rng(0))
    for trial in result.trials:
        assert all(ms <= b.usable for ms, b in zip(trial.latencies_ms, budgets, strict=True))


@pytest.mark.parametrize(
    "settings",
    [
        {"queries": 0},
        {"warmup_steps": 0},
        {"candidate_steps": 0},
        {"child_steps": 0},
        {"changes": 0},
        {"shrinkage": -1.0},
        {"hull_tolerance": float("inf")},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(SpaceError, match=f"{next(iter(settings))} must be"):
        Petridish(**settings)

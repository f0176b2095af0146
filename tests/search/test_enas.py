"""ENAS: a controller that learns from networks with shared weights, within the budgets."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from oneshot_helpers import constraint, macs_costs, task_of
from task_helpers import begun, searched

from hwnas import search
from hwnas.budget import Budget
from hwnas.errors import LatencyModelError, SpaceError, TrainingError
from hwnas.factors import Pair
from hwnas.latency.base import Cost
from hwnas.search.oneshot.enas import ENAS
from hwnas.search.oneshot.recurrent import WATCHED
from hwnas.search.problem import Constraint
from hwnas.spaces.canonical import Canonical

SHORT = ENAS(warmup_steps=5, steps=12, finalists=4)


class Taught:
    """A supernet whose networks lose the less the more often they pick the last candidate."""

    def __init__(self, oneshot):
        self.oneshot, self.asked = oneshot, []

    def __getattr__(self, name):
        return getattr(self.oneshot, name)

    def loss(self, split, gates, step, **_):
        self.asked.append((split, tuple(gates), step))
        return torch.tensor(1.0 - np.mean([gate == 2 for gate in gates]), dtype=torch.float32)


def taught(share):
    task = task_of(share)
    return dataclasses.replace(task, evaluate=Taught(task.evaluate))


@pytest.fixture(scope="module")
def found():
    return searched(SHORT, task_of(0.4), np.random.default_rng(3))


def test_all_that_it_draws_keeps_the_budget():
    task = task_of(0.3)
    state = begun(ENAS(), task, 0)
    drawn = np.array([ENAS().weight_gates(state, step) for step in range(100)])
    assert task.feasible(drawn).all()
    assert len(np.unique(drawn, axis=0)) > 50


@pytest.mark.slow
def test_what_it_finds_keeps_the_budget_and_follows_from_the_seed(found):
    (limit,) = found.extra["limit_ms"]
    assert all(trial.latencies_ms[0] <= limit for trial in found.trials)
    keys = {Canonical(found.best.space).key(trial.indices) for trial in found.trials}
    assert len(found.trials) == len(keys) == 4
    assert tuple(found.extra["decoded"]["indices"]) == found.trials[0].indices
    again = searched(SHORT, task_of(0.4), np.random.default_rng(3))
    assert search.to_json(again) == search.to_json(found)
    assert searched(SHORT, task_of(0.4), np.random.default_rng(4)).trace != found.trace


def test_the_trace_tells_what_it_draws(found):
    last = found.trace[-1]
    assert last["expected_share"] <= 1
    assert last["argmax_share"] <= 1
    assert 0 < last["entropy"] < np.log(3)
    assert last["multiplier"] == 0
    assert [len(row) for row in found.extra["logits"]] == [3] * 8
    assert np.exp(found.extra["logits"]).sum(axis=1) == pytest.approx(np.ones(8))


def test_expected_latency_is_that_of_what_is_drawn():
    state = begun(ENAS(), task_of(0.5), 7)
    drawn = state.gates.policy.sample(WATCHED, np.random.default_rng(7))
    assert state.expected() == pytest.approx(state.problem.costs(drawn).mean(axis=0).tolist(), rel=1e-5)


@pytest.mark.slow
def test_the_controller_learns_what_pays():
    """It comes to pick what loses least, where the budget lets it."""
    strategy = ENAS(warmup_steps=0, steps=150, finalists=1)
    state = begun(strategy, taught(1.0), 0)
    before = state.gates.probabilities()
    for step in range(strategy.steps):
        strategy.gate_step(state, step)
    after = state.gates.probabilities()
    assert np.mean([p[2] for p in before]) < 0.45
    assert np.mean([p[2] for p in after]) > 0.8
    assert {split for split, _, _ in state.oneshot.asked} == {"val"}


def test_its_gradient_is_that_of_reinforce():
    """Of the mean of reward minus baseline times the log-likelihood, and of the entropy."""
    strategy = ENAS(samples=3, entropy=0.01, baseline_decay=0.9)
    state = begun(strategy, taught(0.6), 0)
    state.memory["baseline"] = 0.4
    policy = state.gates.policy
    drawn = policy.sample(3, state.rng(5, 2))
    rewards = [np.exp(np.mean(indices == 2) - 1) for indices in drawn]
    logs, entropy = policy.score(drawn)
    wanted = sum((r - 0.4) * log for r, log in zip(rewards, logs, strict=True)) / 3 + 0.01 * entropy.mean()
    expected = torch.autograd.grad(-wanted, state.gates.parameters)
    recorded = strategy.gate_step(state, 5)
    for parameter, gradient in zip(state.gates.parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    assert recorded["baseline"] == pytest.approx(0.9 * 0.4 + 0.1 * np.mean(rewards))


@pytest.mark.slow
@pytest.mark.parametrize("at", [("warm-up", 4), ("search", 7)])
def test_a_resumed_search_equals_an_uninterrupted_one(found, tmp_path, at):
    def stop(record):
        if (record["phase"], record["step"]) == at:
            raise KeyboardInterrupt

    kept = {"checkpoint": tmp_path / "checkpoint.safetensors", "checkpoint_every": 3}
    with pytest.raises(KeyboardInterrupt):
        searched(SHORT, task_of(0.4), np.random.default_rng(3), tell=stop, **kept)
    seen = []
    result = searched(SHORT, task_of(0.4), np.random.default_rng(3), tell=seen.append, **kept)
    assert (seen[0]["phase"], seen[0]["step"]) == {4: ("warm-up", 4), 7: ("search", 7)}[at[1]]
    assert search.to_json(result) == search.to_json(found)


def test_a_loss_that_is_no_number_never_reaches_the_controller():
    state = begun(ENAS(), task_of(0.5), 0)
    before = [p.detach().clone() for p in state.gates.parameters]
    with torch.no_grad():
        next(iter(state.oneshot.supernet.head.parameters())).fill_(float("nan"))
    with pytest.raises(TrainingError, match="finite"):
        ENAS().gate_step(state, 0)
    assert all(torch.equal(a, b) for a, b in zip(before, state.gates.parameters, strict=True))


@pytest.mark.slow
def test_several_budgets_are_all_kept():
    budgets = (constraint(0.6, "one"), constraint(0.4, "two", unit=2e6))
    result = searched(SHORT, task_of(constraints=budgets), np.random.default_rng(0))
    for trial in result.trials:
        assert all(ms <= b.usable for ms, b in zip(trial.latencies_ms, budgets, strict=True))


def test_drawn_finalists_spend_what_they_should():
    task = task_of(0.5)
    state = begun(ENAS(), task, 0)
    (limit,) = (c.usable for c in task.constraints)

    def used(least):
        chosen = state.gates.finalists(task, 6, least, np.random.default_rng(1))[1:]
        return (task.costs(np.array(chosen)) / limit)[:, 0]

    assert (used(0.9) >= 0.9).all()
    assert (used(0.0) < 0.9).any()


def test_costs_of_pairs_are_refused():
    costs = macs_costs()
    pair = Pair(0, 1, np.ones((3, 3)))
    paired = Cost(costs.fixed, costs.choices, costs.unit, (pair,))
    with pytest.raises(LatencyModelError, match="choice after choice"):
        searched(
            SHORT, task_of(constraints=(Constraint(Budget("macs", 40), paired),)), np.random.default_rng(0)
        )


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "hold"},
        {"curvatures": 2},
        {"samples": 0},
        {"entropy": float("inf")},
        {"entropy": -1.0},
        {"baseline_decay": 0.2},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(SpaceError, match=f"{next(iter(settings))} must be"):
        ENAS(**settings)

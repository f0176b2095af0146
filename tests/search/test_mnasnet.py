"""Rewards, baseline, policy gradient, decoding under the budget; and where the policy lands."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sampling_helpers import macs_costs, task_in, two_budgets
from task_helpers import Task, searched

from hwnas.budget import Budget
from hwnas.errors import SpaceError
from hwnas.latency.base import Cost
from hwnas.search.problem import Constraint
from hwnas.search.sampling.controller import Controller, RewardBaseline, decode, improve
from hwnas.search.sampling.mnasnet import MnasNet, reward


def controller(sizes=(3,) * 8, seed=0, spread=0.0):
    """A policy; with a spread, one that already has preferences."""
    rng = np.random.default_rng(seed)
    made = Controller(sizes, rng)
    with torch.no_grad():
        for head in made.heads:
            head.bias += torch.from_numpy(rng.normal(0, spread, head.bias.shape)).float()
    return made


@pytest.mark.parametrize(
    ("kind", "weight", "used", "expected"),
    [
        ("soft", -0.07, 1.0, 0.75),
        ("soft", -0.07, 2.0, 0.75 * 2**-0.07),
        ("soft", -0.07, 0.5, 0.75 * 2**0.07),
        ("hard", -1.0, 0.5, 0.75),
        ("hard", -1.0, 1.0, 0.75),
        ("hard", -1.0, 1.25, 0.6),
        ("absolute", -0.1, 1.0, 0.75),
        ("absolute", -0.1, 1.2, 0.73),
        ("absolute", -0.1, 0.8, 0.73),
    ],
)
def test_rewards_are_those_of_the_papers(kind, weight, used, expected):
    assert reward(kind, 0.75, used, weight) == pytest.approx(expected)


def test_twice_the_latency_is_worth_five_percent_of_accuracy():
    """What w = -0.07 stands for in the MnasNet paper, section 3."""
    assert reward("soft", 0.5 * 1.05, 2.0, -0.07) == pytest.approx(reward("soft", 0.5, 1.0, -0.07), rel=2e-3)


def test_rewards_do_not_depend_on_the_unit_of_latency():
    task = task_in("macro")
    constraint = task.constraints[0]
    micro = Cost(constraint.costs.fixed * 1000, tuple(c * 1000 for c in constraint.costs.choices))
    scaled = Task(
        task.space, (Constraint(Budget("macs", constraint.budget.limit * 1000), micro),), task.evaluate
    )
    first, second = (searched(MnasNet(queries=30), t, np.random.default_rng(0)) for t in (task, scaled))
    assert [t.indices for t in first.trials] == [t.indices for t in second.trials]


def test_the_baseline_is_an_average_of_the_past():
    """The authors' b += 0.99 (r - b) hardly averages at all; here 0.95 weighs the old value."""
    baseline, expected = RewardBaseline(0.95), 0.6
    baseline.update(0.6)
    assert baseline.value == 0.6
    for value in (0.9, 0.1, 0.5):
        baseline.update(value)
        expected = 0.95 * expected + 0.05 * value
    assert baseline.value == pytest.approx(expected)
    assert abs(baseline.value - 0.6) < 0.05  # three rewards do not carry it away


def test_the_first_policy_is_nearly_uniform():
    _, entropy = controller().score(np.zeros((1, 8), np.int64))
    assert entropy.item() == pytest.approx(math.log(3), abs=0.01)


def test_samples_follow_the_probabilities():
    policy = controller((3, 2), spread=1.0)
    drawn = policy.sample(20_000, np.random.default_rng(0))
    every = np.array(list(np.ndindex(3, 2)))
    chance = policy.score(every)[0].exp().detach().numpy()
    assert chance.sum() == pytest.approx(1.0, abs=1e-6)
    seen = np.array([(drawn == row).all(axis=1).mean() for row in every])
    assert seen == pytest.approx(chance, abs=0.015)


def test_one_epoch_is_the_gradient_of_reinforce():
    """The clipped ratio starts at 1, where its gradient is advantage times that of the log."""
    policy = controller(spread=0.5)
    indices = policy.sample(5, np.random.default_rng(0))
    gains = np.array([0.3, -0.2, 0.1, 0.0, -0.4])
    logs, _ = policy.score(indices)
    before = [p.detach().clone() for p in policy.parameters()]
    wanted = torch.autograd.grad(-(torch.from_numpy(gains).float() * logs).mean(), list(policy.parameters()))
    improve(
        policy, torch.optim.SGD(policy.parameters(), lr=1.0), indices, gains, logs.detach().numpy(), epochs=1
    )
    for old, new, gradient in zip(before, policy.parameters(), wanted, strict=True):
        assert torch.allclose(old - new, gradient, atol=1e-6)


@pytest.mark.parametrize(("ratio", "gain", "moves"), [(1.5, 1, False), (1.5, -1, True), (0.5, -1, False)])
def test_beyond_the_clip_a_batch_pushes_no_further(ratio, gain, moves):
    policy = controller(spread=0.5)
    indices = policy.sample(1, np.random.default_rng(0))
    old = policy.score(indices)[0].detach().double().numpy() - math.log(ratio)
    before = policy.score(indices)[0].item()
    improve(
        policy, torch.optim.SGD(policy.parameters(), lr=0.1), indices, np.array([gain * 1.0]), old, epochs=1
    )
    assert (policy.score(indices)[0].item() != before) == moves


def test_what_did_better_becomes_more_probable():
    policy = controller()
    indices = np.array([[0] * 8, [2] * 8])
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
    old = policy.score(indices)[0].detach().double().numpy()
    improve(policy, optimizer, indices, np.array([0.2, -0.2]), old, epochs=4)
    new = policy.score(indices)[0].detach().numpy()
    assert new[0] > old[0]
    assert new[1] < old[1]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 1.0])
def test_decoding_finds_the_most_probable_architecture_within_the_budget(share):
    """Against all 6,561 of them; the beam is wide enough to be exact here."""
    task = task_in("macro", share)
    policy = controller(seed=int(share * 100), spread=1.0)
    every = np.array(list(np.ndindex(*task.space.sizes)))
    feasible = every[task.feasible(every)]
    with torch.no_grad():
        logs = policy.score(feasible)[0].numpy()
    found = decode(policy, task, width=2048)
    assert np.array_equal(found, feasible[logs.argmax()])
    narrow = decode(policy, task, width=1)
    assert task.feasible(narrow[None])[0]
    if share == 1.0:
        assert np.array_equal(narrow, policy.argmax())


def test_decoding_keeps_two_budgets():
    task = two_budgets("fbnet", 0.3)
    result = searched(MnasNet(queries=6), task, np.random.default_rng(0))
    decoded = np.array(result.extra["decoded"]["indices"])
    assert task.feasible(decoded[None])[0]
    assert result.extra["decoded"]["budget_used"] <= 1


def test_the_decoded_architecture_is_scored_and_the_arg_max_reported():
    task = task_in("macro", 0.5)
    result = searched(MnasNet(queries=40), task, np.random.default_rng(0))
    decoded, argmax = result.extra["decoded"], result.extra["argmax"]
    assert tuple(decoded["indices"]) in {t.indices for t in result.trials}
    assert result.quality >= decoded["accuracy"]
    cost = macs_costs(task.space).of(np.array([argmax["indices"]]))[0]
    assert argmax["latencies_ms"] == [pytest.approx(cost)]
    assert argmax["budget_used"] == pytest.approx(cost / task.constraints[0].budget.limit)
    assert {"expected_ms", "entropy"} <= set(result.trace[-1])


@pytest.mark.slow
def test_a_converged_policy_ends_the_search():
    task = task_in("macro", 0.5)
    result = searched(MnasNet(queries=3000, learning_rate=0.02, batch=5), task, np.random.default_rng(0))
    assert len(result.trials) < 1000
    assert result.trace[-1]["entropy"] < 0.2


@pytest.mark.slow
def test_the_absolute_reward_lands_on_the_budget_and_the_soft_one_elsewhere():
    task = task_in("macro", 0.5)
    used = {
        kind: [
            searched(MnasNet(queries=500, reward=kind), task, np.random.default_rng(s)).extra["argmax"][
                "budget_used"
            ]
            for s in range(5)
        ]
        for kind in ("absolute", "soft")
    }
    assert np.abs(np.array(used["absolute"]) - 1).mean() < 0.05
    assert np.abs(np.array(used["soft"]) - 1).mean() > 0.15


@pytest.mark.parametrize(
    "settings",
    [
        {"reward": "linear"},
        {"weight": 0.07},
        {"batch": 0},
        {"epochs": 0},
        {"learning_rate": 0.0},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(SpaceError, match="must be"):
        MnasNet(**settings)

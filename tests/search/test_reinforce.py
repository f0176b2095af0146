"""The masked policy by enumeration, rewards of both papers, and whether accuracy alone teaches it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sampling_helpers import task_in, two_budgets
from task_helpers import Task, searched

from hwnas.budget import Budget
from hwnas.errors import LatencyModelError, SpaceError
from hwnas.factors import Pair
from hwnas.latency.base import Cost
from hwnas.runs.trial import Trial
from hwnas.search.problem import Constraint, Problem
from hwnas.search.sampling.controller import Controller, improve
from hwnas.search.sampling.masked import Masked
from hwnas.search.sampling.reinforce import Reinforce, reward

COSTS = ([0.0, 2.0, 5.0], [1.0, 3.0], [0.5, 1.0, 4.0, 0.0])


@dataclass(frozen=True)
class Tiny:
    """24 architectures, which need no blocks."""

    name: str = "tiny"
    sizes: tuple[int, ...] = (3, 2, 4)


EVERY = np.array(list(np.ndindex(*Tiny().sizes)))


def tiny(limit=6.0, *more):
    """A problem with one budget, or one more for each further limit, whose costs fall where those rise."""
    turned = [max(costs) - np.array(costs) for costs in COSTS]
    every = [[np.array(costs) for costs in COSTS], *(turned for _ in more)]
    return Problem(
        Tiny(),
        tuple(
            Constraint(Budget(f"b{n}", most), Cost(0.25, tuple(costs)))
            for n, (most, costs) in enumerate(zip((limit, *more), every, strict=True))
        ),
    )


def policies(problem, seed=0):
    """A masked policy that has preferences, and one without a mask of the same weights."""
    rng = np.random.default_rng(seed)
    free, bound = Controller(problem.space.sizes, np.random.default_rng(1)), Masked(problem, rng)
    with torch.no_grad():
        for head in bound.heads:
            head.bias += torch.from_numpy(rng.normal(0, 1.0, head.bias.shape)).float()
    free.load_state_dict(bound.state_dict())
    return free, bound


def by_hand(free, problem, indices):
    """Log-probability of one architecture where each choice goes among what leads somewhere."""
    total, state, before = torch.zeros(()), None, torch.zeros(1, dtype=torch.long)
    feasible = EVERY[problem.feasible(EVERY)]
    for number, picked in enumerate(indices):
        begun = feasible[(feasible[:, :number] == indices[:number]).all(axis=1)]
        logs, state = free.step(number, before, state)
        left = torch.from_numpy(np.unique(begun[:, number]))
        total = total + logs[0, picked] - torch.logsumexp(logs[0, left], dim=0)
        before = torch.tensor([picked])
    return total


@pytest.mark.parametrize("limit", [1.75, 3.0, 6.0, 20.0])
def test_what_leads_nowhere_has_no_probability_and_the_rest_is_shared_out(limit):
    problem = tiny(limit)
    free, bound = policies(problem)
    feasible = EVERY[problem.feasible(EVERY)]
    for begin in ((), (0,), (1,), (0, 0), (0, 1), (1, 0)):
        reached = feasible[(feasible[:, : len(begin)] == begin).all(axis=1)]
        if not len(reached):
            continue
        chance, as_if_free = chances(bound, begin), chances(free, begin)
        left = np.isin(np.arange(len(chance)), reached[:, len(begin)])
        assert (chance[~left] == 0).all()
        assert chance[left] == pytest.approx(as_if_free[left] / as_if_free[left].sum(), rel=1e-5)
        assert chance.sum() == pytest.approx(1.0, abs=1e-6)


def chances(policy, begin):
    """Probabilities of the candidates after some decisions."""
    state, before = None, torch.zeros(1, dtype=torch.long)
    with torch.no_grad():
        for number in range(len(begin) + 1):
            logs, state = policy.step(number, before, state)
            before = torch.tensor([begin[number] if number < len(begin) else 0])
    return logs[0].exp().numpy()


@pytest.mark.parametrize("limit", [3.0, 6.0, 20.0])
def test_log_probabilities_and_gradients_are_those_of_the_masked_policy(limit):
    problem = tiny(limit)
    free, bound = policies(problem)
    feasible = EVERY[problem.feasible(EVERY)]
    logs = bound.score(feasible)[0]
    wanted = torch.stack([by_hand(free, problem, row) for row in feasible])
    assert torch.allclose(logs, wanted, atol=1e-5)
    assert logs.exp().sum().item() == pytest.approx(1.0, abs=1e-5)

    gains = np.linspace(-1, 1, len(feasible))
    before = [p.detach().clone() for p in bound.parameters()]
    loss = -(torch.from_numpy(gains).float() * wanted).mean()
    slopes = torch.autograd.grad(loss, list(free.parameters()))
    improve(
        bound,
        torch.optim.SGD(bound.parameters(), lr=1.0),
        feasible,
        gains,
        logs.detach().numpy(),
        epochs=1,
    )
    for old, new, slope in zip(before, bound.parameters(), slopes, strict=True):
        assert torch.allclose(old - new, slope, atol=1e-5)


def test_samples_follow_the_masked_probabilities():
    problem = tiny(4.0)
    _, bound = policies(problem)
    drawn = bound.sample(20_000, np.random.default_rng(0))
    assert problem.feasible(drawn).all()
    feasible = EVERY[problem.feasible(EVERY)]
    chance = bound.score(feasible)[0].exp().detach().numpy()
    seen = np.array([(drawn == row).all(axis=1).mean() for row in feasible])
    assert seen == pytest.approx(chance, abs=0.015)


def test_of_two_budgets_dead_ends_are_repaired():
    """What each budget alone leaves possible, both together need not."""
    problem = tiny(7.0, 7.5)
    _, bound = policies(problem)
    drawn = Controller.sample(bound, 500, np.random.default_rng(0))
    assert not problem.feasible(drawn).all(), "the example has dead ends"
    kept = bound.sample(500, np.random.default_rng(0))
    assert problem.feasible(kept).all()
    assert (kept == drawn)[problem.feasible(drawn)].all()
    assert (bound.score(kept)[0] > -100).all()
    assert problem.feasible(bound.argmax()[None])[0]


@pytest.mark.parametrize("share", [0.003, 0.02, 0.5])
def test_every_sample_keeps_tight_budgets(share):
    task = two_budgets("fbnet", 0.4) if share == 0.5 else task_in("fbnet", share)
    result = searched(Reinforce(queries=12), task, np.random.default_rng(0))
    assert task.feasible(np.array([t.indices for t in result.trials])).all()
    assert result.extra["argmax"]["budget_used"] <= 1


def test_rewards_are_those_of_the_papers():
    assert reward("ppo", 0.8) == 0.8
    assert reward("reinforce", 0.8) == pytest.approx(0.512)


@pytest.mark.parametrize("algorithm", ["ppo", "reinforce"])
def test_accuracy_alone_teaches_the_policy(algorithm):
    """In a space where each candidate has its worth, later draws are better than the first ones."""
    task = task_in("macro", 0.5)
    worths = np.random.default_rng(5).uniform(0, 1, (8, 3))

    def accuracy(arch):
        return float(worths[np.arange(8), arch.indices].mean())

    known = Task(task.space, task.constraints, accuracy)
    found = searched(Reinforce(queries=80, algorithm=algorithm), known, np.random.default_rng(0))
    worth = [t.quality for t in found.trials]
    assert np.mean(worth[-20:]) > np.mean(worth[:20]) + 0.05  # one draw has a standard deviation of .08


def test_entropy_keeps_the_policy_open():
    _, bound = policies(tiny(20.0))
    drawn = bound.sample(20, np.random.default_rng(0))
    old, before = (part.detach() for part in bound.score(drawn))
    optimizer = torch.optim.Adam(bound.parameters(), lr=1e-2)
    improve(bound, optimizer, drawn, np.zeros(20), old.numpy(), epochs=5, entropy=0.1)
    assert bound.score(drawn)[1].mean() > before.mean() + 0.01


def test_a_network_that_is_drawn_again_is_rewarded_again_and_a_converged_policy_ends_the_search(monkeypatch):
    task = task_in("macro", 1.0)
    learner = Reinforce(batch=3).sampler(task, np.random.default_rng(0))
    taught = []
    monkeypatch.setattr(learner, "train", lambda batch, rewards: taught.append(rewards.tolist()))
    monkeypatch.setattr(learner.controller, "sample", lambda count, rng: np.ones((count, 8), np.int64))
    asked = learner.ask()
    assert asked == (1,) * 8
    learner.tell(Trial(asked, 0.7, (10.0,)))
    assert taught == []  # two of the batch were not looked at yet
    assert learner.ask() is None
    assert set(map(tuple, taught)) == {(0.7, 0.7, 0.7)}


@pytest.mark.parametrize("batch", [4, 5])
def test_what_it_asks_does_not_depend_on_how_many_queries_follow(batch):
    """So that its course can be read at any of them."""
    short, long = (
        searched(Reinforce(queries=queries, batch=batch), task_in("macro"), np.random.default_rng(0)).trials
        for queries in (11, 22)
    )
    assert long[:11] == short


def test_costs_of_two_choices_together_are_refused():
    costs = Cost(0.0, tuple(map(np.array, COSTS)), pairs=(Pair(0, 1, np.ones((3, 2))),))
    problem = Problem(Tiny(), (Constraint(Budget("paired", 9.0), costs),))
    with pytest.raises(LatencyModelError, match=r"decides choice after choice .* use evolution, random"):
        Masked(problem, np.random.default_rng(0))


def test_each_algorithm_has_the_settings_of_its_paper():
    first, second = Reinforce(), Reinforce(algorithm="reinforce")
    assert (first.used_entropy, second.used_entropy) == (1e-5, 0.0)
    assert second.used_rate == pytest.approx(4 * first.used_rate)
    assert Reinforce(entropy=0.1, learning_rate=0.3).used_entropy == 0.1
    steps = [kind.sampler(task_in("macro"), np.random.default_rng(0)).epochs for kind in (first, second)]
    assert steps == [4, 1]


@pytest.mark.parametrize(
    "settings",
    [
        {"algorithm": "a2c"},
        {"batch": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"entropy": -0.1},
        {"entropy": float("inf")},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(SpaceError, match=f"{next(iter(settings))} must be"):
        Reinforce(**settings)

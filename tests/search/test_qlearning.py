"""Q-learning: the schedule, what is replayed, actions that budgets forbid, and what the agent prefers."""

from __future__ import annotations

import numpy as np
import pytest
from sampling_helpers import regret, task_in, two_budgets
from task_helpers import Task, searched

from hwnas.budget import Budget
from hwnas.errors import LatencyModelError, SchemaMismatch, SpaceError
from hwnas.factors import Pair
from hwnas.latency.base import Cost
from hwnas.search.problem import Constraint
from hwnas.search.sampling.qlearning import WORTH, QLearning, epsilon_at
from hwnas.search.sampling.random import Random


def agent_of(task, **settings):
    return QLearning(**settings).sampler(task, np.random.default_rng(0))


def told(agent, task, indices, score):
    agent.tell(task.described(indices, score))


def test_epsilon_follows_the_papers_schedule():
    """2,700 networks: 1,500 at random, 100 at each of .9 to .7, 150 at each of .6 to .1."""
    counts = {}
    for number in range(2700):
        epsilon = epsilon_at(number / 2700)
        counts[epsilon] = counts.get(epsilon, 0) + 1
    assert list(counts) == [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    assert list(counts.values()) == [1500, 100, 100, 100, *[150] * 6]


def test_the_schedule_is_spread_over_the_queries():
    result = searched(QLearning(queries=27), task_in("macro"), np.random.default_rng(0))
    shown = [entry["epsilon"] for entry in result.trace]
    assert shown[:15] == [1.0] * 15
    assert shown[15:19] == [0.9, 0.8, 0.7, 0.6]
    assert shown[-1] == 0.1


def test_queries_that_score_leaders_again_are_none_of_the_schedule():
    strategy = QLearning(queries=40, remeasure=0.25)
    result = searched(strategy, task_in("macro", noise=0.01), np.random.default_rng(0))
    assert [entry["epsilon"] for entry in result.trace][29:] == [0.1] * 11


def test_a_value_moves_to_the_best_that_may_follow_and_the_last_one_to_the_score():
    """By hand: one replay of one network."""
    task = task_in("macro", 1.0)
    agent = agent_of(task, learning_rate=0.1, replay=1)
    agent.values[7][1, 0] = 0.8  # after what the network has before its last choice
    told(agent, task, (2, 0, 0, 0, 0, 0, 1, 2), 1.0)
    assert agent.values[7][1, 2] == pytest.approx(WORTH + 0.1 * (1.0 - WORTH))
    assert agent.values[6][0, 1] == pytest.approx(WORTH + 0.1 * (0.8 - WORTH))
    assert agent.values[5][0, 0] == pytest.approx(WORTH + 0.1 * (agent.values[6][0].max() - WORTH))
    assert agent.values[0][0, 2] == pytest.approx(WORTH + 0.1**7 * (0.8 - WORTH), abs=1e-12)
    moved = sum(int((values != WORTH).sum()) for values in agent.values)
    assert moved == 8 + 1, "the actions of the network, and the one that was set"


def test_networks_of_the_past_are_replayed_after_every_score():
    task = task_in("macro", 1.0)
    agent = agent_of(task, learning_rate=0.1, replay=300)
    told(agent, task, (0,) * 8, 0.9)
    told(agent, task, (2,) * 8, 0.1)
    first, second = agent.values[7][0, 0], agent.values[7][2, 2]
    assert first == pytest.approx(0.9, abs=0.001)
    assert second == pytest.approx(0.1, abs=0.001)


def greedy_after(score, **settings):
    """What the agent prefers after 400 random networks."""
    task = task_in("macro", 1.0)
    agent, rng = agent_of(task, learning_rate=0.05, **settings), np.random.default_rng(1)
    for _ in range(400):
        indices = tuple(int(i) for i in rng.integers(3, size=8))
        told(agent, task, indices, score(indices))
    return agent.report()["greedy"]["indices"]


def test_what_is_best_at_the_end_is_learnt():
    """The last two choices together: no candidate of either is best alone."""
    found = greedy_after(lambda indices: 0.9 if indices[-2:] in ((0, 2), (2, 0)) else 0.3)
    assert found[-2:] in ([0, 2], [2, 0])


def test_where_every_choice_is_rewarded_what_is_best_everywhere_is_learnt():
    def score(indices):
        return sum(i == (1, 0, 2, 1, 0, 2, 1, 0)[number] for number, i in enumerate(indices)) / 8

    assert greedy_after(score, shaped=True) == [1, 0, 2, 1, 0, 2, 1, 0]


def test_shaped_rewards_are_equal_parts_of_the_score_and_begin_with_those_of_an_average_network():
    task = task_in("macro", 1.0)
    agent = agent_of(task, shaped=True, learning_rate=1.0, replay=1)
    assert [values[0, 0] for values in agent.values] == pytest.approx(
        [WORTH * n / 8 for n in range(8, 0, -1)]
    )
    told(agent, task, (0,) * 8, 0.8)
    assert [values[0, 0] for values in agent.values] == pytest.approx([0.8 * n / 8 for n in range(8, 0, -1)])


def test_actions_that_could_no_longer_keep_the_budget_are_never_taken():
    """However much they seem to be worth."""
    task = task_in("macro", 0.1)
    agent, cost = agent_of(task), task.constraints[0].costs
    for number, choice in enumerate(cost.choices):
        agent.values[number][:, choice.argmax()] = 1.0
    drawn = np.array([agent._drawn(epsilon) for epsilon in (0.0, 0.5, 1.0) for _ in range(100)])
    assert task.feasible(drawn).all()
    assert (cost.of(drawn) > 0.8 * task.constraints[0].usable).any(), "as many dear ones as can be"


def test_a_value_counts_no_action_that_its_network_could_not_have_gone_on_with():
    """The network spends all on its first choice: what is dear seems best after it, but cannot follow."""
    task = task_in("macro", 1.0)
    cost = task.constraints[0].costs
    first = cost.of(np.array([[1, *[0] * 7]]))[0]
    only = Constraint(Budget("macs", first), cost)
    agent = agent_of(Task(task.space, (only,), task.evaluate), learning_rate=0.5, replay=1)
    agent.values[1][1, 2] = 1.0
    told(agent, task, (1, *[0] * 7), 0.5)
    assert agent.values[0][0, 1] == WORTH
    free = agent_of(task, learning_rate=0.5, replay=1)
    free.values[1][1, 2] = 1.0
    told(free, task, (1, *[0] * 7), 0.5)
    assert free.values[0][0, 1] == pytest.approx(0.75), "without a budget it can"


@pytest.mark.parametrize("share", [0.0, 0.05, 0.4])
def test_everything_that_is_drawn_keeps_the_budgets(share):
    task = two_budgets("fbnet", 0.4) if share == 0.4 else task_in("fbnet", share)
    agent = agent_of(task)
    drawn = np.array([agent._drawn(1.0) for _ in range(50)])
    assert task.feasible(drawn).all()


def test_a_search_of_more_queries_is_another_one(tmp_path):
    task, path = task_in("macro"), tmp_path / "history.jsonl"
    searched(QLearning(queries=4), task, np.random.default_rng(0), history=path)
    with pytest.raises(SchemaMismatch, match=r"has settings .*'queries': 4"):
        searched(QLearning(queries=5), task, np.random.default_rng(0), history=path)


@pytest.mark.slow
def test_where_every_choice_is_rewarded_it_is_better_than_random_search():
    task = task_in("macro", 0.5)

    def mean(strategy):
        found = [searched(strategy, task, np.random.default_rng(s)).best.indices for s in range(2)]
        return np.mean([regret(task, indices) for indices in found])

    assert mean(QLearning(queries=300, shaped=True)) < mean(Random(queries=300))


def test_costs_of_two_choices_together_are_refused_with_a_sentence():
    task = task_in("macro")
    cost = task.constraints[0].costs
    paired = Cost(cost.fixed, cost.choices, cost.unit, (Pair(0, 1, np.ones((3, 3))),))
    constraint = Constraint(Budget("paired", paired.range[1]), paired)
    with pytest.raises(LatencyModelError, match="Q-learning, which decides choice after choice, must be"):
        searched(
            QLearning(queries=3), Task(task.space, (constraint,), task.evaluate), np.random.default_rng(0)
        )


@pytest.mark.parametrize(
    "settings",
    [{"learning_rate": 0.0}, {"learning_rate": 1.5}, {"learning_rate": float("nan")}, {"replay": 0}],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(SpaceError, match=f"{next(iter(settings))} must be"):
        QLearning(**settings)

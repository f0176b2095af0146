"""Regularised evolution: aging, tournaments, children that keep the budget."""

from __future__ import annotations

import numpy as np
import pytest
from sampling_helpers import task_in, two_budgets
from task_helpers import searched

from hwnas.errors import SpaceError
from hwnas.runs.trial import Trial
from hwnas.search.sampling.evolution import Evolution
from hwnas.search.sampling.random import Random
from hwnas.spaces.canonical import Canonical


def trial_of(task, indices, accuracy):
    return Trial(indices, accuracy, tuple(task.costs(np.array([indices]))[0]))


def test_the_oldest_dies_even_if_it_is_the_best():
    task = task_in("macro", 1.0)
    population = Evolution(population=3, tournament=3).sampler(task, np.random.default_rng(0))
    founders = [population.ask() for _ in range(3)]
    for indices, accuracy in zip(founders, (0.9, 0.5, 0.6), strict=True):
        population.tell(trial_of(task, indices, accuracy))
    child = population.ask()
    population.tell(trial_of(task, child, 0.1))
    assert [t.indices for t in population.alive] == [founders[1], founders[2], child]
    assert population.best().indices == founders[0]  # dead, but not forgotten


def test_the_child_is_one_change_from_the_winner_of_the_tournament():
    task = task_in("macro", 1.0)
    population = Evolution(population=6, tournament=6).sampler(task, np.random.default_rng(0))
    founders = [population.ask() for _ in range(6)]
    for indices, accuracy in zip(founders, (0.1, 0.2, 0.9, 0.3, 0.2, 0.1), strict=True):
        population.tell(trial_of(task, indices, accuracy))
    child = population.ask()
    assert sum(a != b for a, b in zip(child, founders[2], strict=True)) == 1


def test_a_network_that_is_scored_again_has_no_second_place():
    task = task_in("macro")
    population = Evolution(population=4, tournament=2).sampler(task, np.random.default_rng(0))
    first = population.ask()
    for accuracy in (0.9, 0.5):
        population.tell(trial_of(task, first, accuracy))
    assert len(population.alive) == 1
    assert population.best().quality == pytest.approx(0.7)


@pytest.mark.parametrize("share", [0.003, 0.02, 0.5])
def test_children_keep_tight_budgets(share):
    task = two_budgets("fbnet", 0.4) if share == 0.5 else task_in("fbnet", share)
    result = searched(Evolution(queries=60, population=5, tournament=2), task, np.random.default_rng(0))
    assert task.feasible(np.array([t.indices for t in result.trials])).all()
    canonical = Canonical(task.space)
    assert len({canonical.key(t.indices) for t in result.trials}) == len(result.trials) == 60


def test_it_beats_random_search_at_equal_cost():
    task = task_in("fbnet", 0.4)

    def accuracy(kind):
        results = [searched(kind(queries=60), task, np.random.default_rng(s)) for s in range(4)]
        return np.array([r.quality for r in results])

    assert accuracy(Evolution).mean() > accuracy(Random).mean() + 0.002  # two standard errors


@pytest.mark.parametrize(
    "settings", [{"population": 0}, {"tournament": 0}, {"population": 3, "tournament": 4}]
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(SpaceError, match="must be"):
        Evolution(**settings)

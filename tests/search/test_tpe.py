"""TPE through optuna: budgets kept, accuracy alone looked at."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from sampling_helpers import regret, task_in, two_budgets
from task_helpers import searched

from hwnas.errors import HwnasError, SpaceError
from hwnas.search.sampling.random import Random
from hwnas.search.sampling.tpe import TPE


def test_every_query_is_feasible_under_two_budgets():
    task = two_budgets()
    result = searched(TPE(queries=40), task, np.random.default_rng(0))
    assert task.feasible(np.array([t.indices for t in result.trials])).all()
    assert len(result.trials) == 40


def test_optuna_is_told_accuracy_alone():
    task = two_budgets()
    sampler = TPE(startup=3).sampler(task, np.random.default_rng(0))
    for _ in range(5):
        indices = sampler.ask()
        sampler.tell(task.described(indices, task.evaluate(task.space.architecture(indices))))
    told = [t.values for t in sampler.study.trials if t.values]
    assert told == [[t.quality] for t in sampler.archive.trials]


@pytest.mark.slow
def test_it_is_better_than_random_search():
    task = task_in("macro", 0.8)

    def mean(kind):
        found = [searched(kind(queries=60), task, np.random.default_rng(s)).best.indices for s in range(3)]
        return np.mean([regret(task, indices) for indices in found])

    assert mean(TPE) < mean(Random)


def test_what_it_needs_is_named(monkeypatch):
    with pytest.raises(SpaceError, match="startup"):
        TPE(startup=0)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(HwnasError, match=r"pip install 'hwnas\[search\]'"):
        searched(TPE(), task_in("macro"), np.random.default_rng(0))

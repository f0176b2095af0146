"""PNAS: networks that grow level by level, and the ensemble that ranks what they may become."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sampling_helpers import regret, task_in, two_budgets
from task_helpers import Task, searched

from hwnas.budget import Budget
from hwnas.errors import SchemaMismatch, SpaceError
from hwnas.factors import Pair
from hwnas.latency.base import Cost
from hwnas.search.problem import Constraint, relative_budget
from hwnas.search.sampling.pnas import PNAS
from hwnas.search.sampling.random import Random
from hwnas.search.sampling.recurrent import WIDTH, RecurrentEnsemble
from hwnas.spaces.canonical import Canonical


def changes(task, result):
    """In how many choices each trial differs from the cheapest network, and its level."""
    plainest, _ = task.constraints[0].costs.ends
    differing = [int((np.array(t.indices) != plainest).sum()) for t in result.trials]
    return np.array(differing), np.array([int(entry["level"]) for entry in result.trace])


def test_networks_grow_level_by_level():
    """Two, four, six and eight choices; under a budget that all may keep, exactly so many."""
    task = task_in("macro", 1.0)
    result = searched(PNAS(queries=40, levels=4, models=1), task, np.random.default_rng(0))
    differing, levels = changes(task, result)
    assert levels.tolist() == [level for level in (1, 2, 3, 4) for _ in range(10)]
    assert (differing == 2 * levels).all()


def test_networks_of_a_level_grow_out_of_those_of_the_level_before():
    task = task_in("macro", 1.0)
    result = searched(PNAS(queries=24, levels=4, models=1), task, np.random.default_rng(1))
    rows, (_, levels) = np.array([t.indices for t in result.trials]), changes(task, result)
    plainest, _ = task.constraints[0].costs.ends
    for level in (2, 3, 4):
        parents = rows[levels == level - 1]
        for child in rows[levels == level]:
            grown = parents != plainest
            assert ((parents == child) | ~grown).all(axis=1).any()


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.02, 0.3])
def test_under_a_budget_complete_is_what_the_budget_leaves(share):
    task = task_in("fbnet", share)
    result = searched(PNAS(queries=30, levels=3, models=1), task, np.random.default_rng(0))
    differing, levels = changes(task, result)
    assert len(result.trials) == 30
    assert task.feasible(np.array([t.indices for t in result.trials])).all()
    highest = [differing[levels == level].max() for level in (1, 2, 3)]
    assert highest == sorted(highest)
    assert highest[0] < highest[2]


@pytest.mark.slow
def test_fewer_choices_than_levels_are_as_many_levels():
    task = task_in("macro", 1.0)
    result = searched(PNAS(queries=24, levels=50, models=1), task, np.random.default_rng(0))
    differing, levels = changes(task, result)
    assert (differing == levels).all()
    assert set(levels) == set(range(1, 9))


def test_what_the_ensemble_foretells_to_be_best_is_asked(monkeypatch):
    """A model that likes candidate 2: from the second level on, everything that grows is one."""
    task = task_in("macro", 1.0)
    monkeypatch.setattr(RecurrentEnsemble, "fit", lambda self, indices, scores: None)
    monkeypatch.setattr(
        RecurrentEnsemble, "predict", lambda self, indices: (indices == 2).sum(axis=1).astype(float)
    )
    result = searched(PNAS(queries=16, levels=8), task, np.random.default_rng(0))
    rows, (_, levels) = np.array([t.indices for t in result.trials]), changes(task, result)
    twos = (rows == 2).sum(axis=1)
    for level in range(2, 9):
        assert twos[levels == level].min() >= twos[levels == level - 1].max()


def test_what_is_left_of_the_queries_grows_on_and_then_is_random():
    """Far more queries than expansions: it asks until nothing feasible is left."""
    task = task_in("macro", 0.12)
    result = searched(PNAS(queries=400, levels=2, models=1), task, np.random.default_rng(0))
    every = np.array(list(np.ndindex(*task.space.sizes)))
    networks = np.unique(Canonical(task.space)(every[task.feasible(every)]), axis=0)
    assert len(result.trials) == len(networks) > 10
    assert result.trace[-1]["level"] == 2


def test_costs_of_two_choices_together_are_kept():
    task = task_in("macro")
    cost = task.constraints[0].costs
    paired = Cost(cost.fixed, cost.choices, cost.unit, (Pair(0, 1, 20 * np.eye(3)),))
    constraint = Constraint(Budget("paired", relative_budget(paired, 0.3)), paired)
    problem = Task(task.space, (constraint,), task.evaluate)
    result = searched(PNAS(queries=12, levels=3, models=1), problem, np.random.default_rng(0))
    assert problem.feasible(np.array([t.indices for t in result.trials])).all()


@pytest.mark.slow
def test_two_budgets_are_kept_by_every_query():
    task = two_budgets()
    result = searched(PNAS(queries=15, levels=3, models=1), task, np.random.default_rng(0))
    assert task.feasible(np.array([t.indices for t in result.trials])).all()


def fitted(models=3):
    rng = np.random.default_rng(0)
    rows = rng.integers(3, size=(40, 8))
    scores = 0.5 + 0.4 * (rows == 1).mean(axis=1)
    ensemble = RecurrentEnsemble((3,) * 8, models, rng)
    ensemble.fit(rows, scores)
    return ensemble, rows, scores


def test_the_ensemble_learns_what_it_is_told_and_ranks_the_rest():
    ensemble, rows, scores = fitted()
    assert np.abs(ensemble.predict(rows) - scores).mean() < 0.25 * scores.std()
    others = np.random.default_rng(5).integers(3, size=(100, 8))
    truth = (others == 1).mean(axis=1)
    assert np.corrcoef(ensemble.predict(others), truth)[0, 1] > 0.7


def test_the_ensemble_is_a_mean_of_models_that_saw_different_scores():
    ensemble, rows, _ = fitted()
    with torch.no_grad():
        each = ensemble(torch.from_numpy(rows)).double().numpy()
    assert ensemble.predict(rows) == pytest.approx(each.mean(axis=0), abs=1e-6)
    assert np.ptp(each, axis=0).max() > 1e-4
    seen = ensemble._folds(40)
    assert (seen.sum(axis=1) == 32).all(), "each leaves out a fifth"
    assert (seen[0] != seen[1]).any()


def test_a_score_that_a_model_leaves_out_teaches_it_nothing(monkeypatch):
    rows = np.random.default_rng(0).integers(3, size=(10, 8))

    def said(last):
        ensemble = RecurrentEnsemble((3,) * 8, 2, np.random.default_rng(0))
        monkeypatch.setattr(ensemble, "_folds", lambda count: np.array([[True] * 9 + [False], [True] * 10]))
        scores = np.append(np.full(9, 0.5), last)
        monkeypatch.setattr("hwnas.search.sampling.recurrent.nn.init.constant_", lambda *_: None)
        ensemble.fit(rows, scores)
        with torch.no_grad():
            return ensemble(torch.from_numpy(rows)).numpy()

    low, high = said(0.1), said(0.9)
    assert high[1, 9] - low[1, 9] > 0.1
    assert abs(high[0, 9] - low[0, 9]) < 0.01


def test_each_model_is_an_lstm():
    """Against that of PyTorch, whose gates stand in another order."""
    ensemble, rows, _ = fitted(models=2)
    for number in range(2):
        cells = torch.nn.LSTM(24, WIDTH, batch_first=True, bias=False)
        taken, kept, shown, new = range(4)
        own = [
            torch.cat([part.reshape(-1, 4, WIDTH)[:, gate] for gate in (taken, kept, new, shown)], dim=1)
            for part in (ensemble.inputs[number], ensemble.recurrent[number])
        ]
        with torch.no_grad():
            cells.weight_ih_l0.copy_(own[0].T)
            cells.weight_hh_l0.copy_(own[1].T)
            tokens = torch.from_numpy(rows) + 3 * torch.arange(8)
            _, (last, _) = cells(torch.nn.functional.one_hot(tokens, 24).float())
            wanted = torch.sigmoid(last[0] @ ensemble.head[number] + ensemble.bias[number])[:, 0]
            assert torch.allclose(ensemble(torch.from_numpy(rows))[number], wanted, atol=1e-5)


def test_it_learns_slower_after_the_first_fit(monkeypatch):
    rates, adam = [], torch.optim.Adam
    monkeypatch.setattr(
        "torch.optim.Adam", lambda parameters, lr: rates.append(lr) or adam(parameters, lr=lr)
    )
    ensemble = RecurrentEnsemble((3,) * 8, 2, np.random.default_rng(0))
    for count in (2, 3, 4):
        ensemble.fit(np.zeros((count, 8), np.int64), np.full(count, 0.5))
    assert rates == [0.01, 0.002, 0.002]


@pytest.mark.parametrize("mean", [0.0, 0.3, 0.9, 1.0])
def test_the_first_fit_begins_with_the_mean(mean, monkeypatch):
    monkeypatch.setattr("hwnas.search.sampling.recurrent.STEPS", 0)
    ensemble = RecurrentEnsemble((3,) * 8, 2, np.random.default_rng(0))
    rows = np.zeros((4, 8), np.int64)
    ensemble.fit(rows, np.full(4, mean))
    assert ensemble.predict(rows) == pytest.approx(np.clip(mean, 0.01, 0.99), abs=0.05)


def test_a_search_of_more_queries_is_another_one(tmp_path):
    task, path = task_in("macro"), tmp_path / "history.jsonl"
    searched(PNAS(queries=4, models=1), task, np.random.default_rng(0), history=path)
    with pytest.raises(SchemaMismatch, match=r"has settings .*'queries': 4"):
        searched(PNAS(queries=5, models=1), task, np.random.default_rng(0), history=path)


@pytest.mark.slow
def test_it_is_better_than_random_search():
    """Under a wide budget: a tight one is spent on what looks best early."""
    task = task_in("macro", 0.8)

    def mean(strategy):
        found = [searched(strategy, task, np.random.default_rng(s)).best.indices for s in range(2)]
        return np.mean([regret(task, indices) for indices in found])

    assert mean(PNAS(queries=60, models=2)) < mean(Random(queries=60))


@pytest.mark.parametrize("settings", [{"levels": 0}, {"models": 0}])
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(SpaceError, match=f"{next(iter(settings))} must be"):
        PNAS(**settings)

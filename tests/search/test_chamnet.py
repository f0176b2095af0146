"""ChamNet: samples to explore and to exploit, a predictor that is fitted anew, evolution under budgets."""

from __future__ import annotations

import numpy as np
import pytest
from sampling_helpers import regret, task_in, two_budgets
from task_helpers import searched

from hwnas.errors import SpaceError
from hwnas.runs.trial import Trial
from hwnas.search.sampling.chamnet import ChamNet, evolved
from hwnas.search.sampling.random import Random


def told(adapter, task, indices, accuracy=None):
    accuracy = task.evaluate(task.space.architecture(indices)) if accuracy is None else accuracy
    adapter.tell(Trial(indices, accuracy, tuple(task.costs(np.array([indices]))[0])))


def begun(task, **settings):
    """A sampler whose random networks have scores."""
    adapter = ChamNet(**settings).sampler(task, np.random.default_rng(0))
    for _ in range(adapter.settings.initial):
        told(adapter, task, adapter.ask())
    return adapter


def test_evolution_finds_the_fittest_under_the_budget():
    """Against all 6,561 networks; few founders, so that it has to search."""
    task, rng = task_in("macro", 0.4), np.random.default_rng(0)
    every = np.array(list(np.ndindex(*task.space.sizes)))
    every = every[task.feasible(every)]
    worth = np.random.default_rng(1).normal(size=(8, 3))

    def fitness(rows):
        return worth[np.arange(8), rows].sum(axis=1) + 0.1 * rows[:, 0] * rows[:, 7]

    founders = every[np.argsort(fitness(every))[:20]]  # the worst
    found = evolved(task, founders, fitness, rng)
    assert task.feasible(found).all()
    assert fitness(found[:1])[0] == pytest.approx(fitness(every).max())
    assert (np.diff(fitness(found)) <= 0).all()
    assert len(np.unique(found, axis=0)) == len(found)


def test_evolution_keeps_two_budgets():
    task, rng = two_budgets("fbnet", 0.3), np.random.default_rng(0)
    founders = ChamNet().sampler(task, rng).archive.feasible.sample(100, rng)
    found = evolved(task, founders, lambda rows: rows.sum(axis=1).astype(float), rng)
    assert task.feasible(found).all()
    assert found[0].sum() > founders.sum(axis=1).max()


def test_a_round_explores_what_is_uncertain_and_exploits_what_is_good():
    task = task_in("macro", 0.5)
    adapter = begun(task, explore=2, exploit=3)
    asked = np.array([adapter.ask() for _ in range(5)])
    every = np.array(list(np.ndindex(*task.space.sizes)))
    every = every[task.feasible(every)]
    mean, deviation = adapter.predictor.predict(adapter._points(every))
    own, doubt = adapter.predictor.predict(adapter._points(asked))
    assert (doubt[:2] > np.quantile(deviation, 0.95)).all()
    assert (own[2:] > np.quantile(mean, 0.99)).all()
    assert len(np.unique(asked, axis=0)) == 5


def test_the_predictor_is_fitted_anew_for_every_round():
    task = task_in("macro", 0.5)
    adapter, seen = begun(task), []
    for _ in range(10):
        told(adapter, task, adapter.ask())
        seen.append(adapter.predictor.log_parameters)
    assert len(adapter.predictor.scores) == 20
    assert all(np.array_equal(seen[0], other) for other in seen[:5])
    assert not np.array_equal(seen[4], seen[5])
    assert all(np.array_equal(seen[5], other) for other in seen[5:])


@pytest.mark.parametrize(("off", "explores"), [(0.0, False), (0.2, True)])
def test_exploring_ends_once_a_round_is_predicted_well(off, explores, monkeypatch):
    task = task_in("macro", 0.5)
    adapter = begun(task, explore=2, exploit=3)
    for number in range(5):
        indices = adapter.ask()
        told(adapter, task, indices, adapter.predicted[indices] - off * (-1) ** number)
    claimed = adapter._claimed
    counts = []
    monkeypatch.setattr(adapter, "_claimed", lambda rows, n: (counts.append(n), claimed(rows, n))[1])
    assert adapter.ask() is not None
    assert counts == ([2, 3] if explores else [0, 5])
    assert (adapter.state()["unexplained"] > 0.25) == explores


def test_the_best_is_not_the_luckiest_sample():
    task = task_in("macro", 1.0)
    adapter = ChamNet().sampler(task, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    drawn = np.unique([task.space.sample(rng).indices for _ in range(60)], axis=0)
    lucky = int(task.costs(drawn)[:, 0].argmin())
    for number, row in enumerate(drawn):
        told(adapter, task, tuple(map(int, row)), 0.94 if number == lucky else None)
    assert adapter.archive.best().indices == tuple(drawn[lucky])
    assert adapter.best().indices != tuple(drawn[lucky])
    truth = [task.evaluate(task.space.architecture(row)) for row in drawn]
    assert task.evaluate(task.space.architecture(adapter.best().indices)) > max(truth) - 0.01


@pytest.mark.slow
def test_it_finds_better_networks_than_random_search():
    task = task_in("macro", 0.5, noise=0.003)

    def mean_regret(kind):
        results = [searched(kind(queries=40), task, np.random.default_rng(s)) for s in range(3)]
        return np.mean([regret(task, r.best.indices) for r in results])

    assert mean_regret(ChamNet) < 0.5 * mean_regret(Random)


@pytest.mark.parametrize(
    "settings",
    [{"initial": 1}, {"explore": -1}, {"exploit": 0}, {"tolerance": -0.1}, {"tolerance": float("nan")}],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(SpaceError, match=f"{next(iter(settings))} must be"):
        ChamNet(**settings)

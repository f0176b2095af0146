"""The ensemble of predictors, Thompson sampling from it, and the mutations that it chooses."""

from __future__ import annotations

import numpy as np
import pytest
from sampling_helpers import regret, task_in
from task_helpers import searched

from hwnas.errors import SpaceError
from hwnas.runs.trial import Trial
from hwnas.search.sampling import bananas
from hwnas.search.sampling.bananas import Bananas, Ensemble, thompson
from hwnas.search.sampling.random import Random


def known(count, seed=0):
    """Architectures of the macro space as the networks read them, and their accuracies."""
    task, rng = task_in("macro", 0.5), np.random.default_rng(seed)
    learner = Bananas().sampler(task, rng)
    rows = np.unique(learner.archive.feasible.sample(count, rng), axis=0)
    rows = rng.permutation(rows)
    return learner._encoded(rows), np.array([task.evaluate(task.space.architecture(row)) for row in rows])


def ranks(values):
    return np.argsort(np.argsort(values))


def trained(points, scores, members=5):
    rng = np.random.default_rng(0)
    ensemble = Ensemble(points.shape[1], members, rng)
    ensemble.fit(points, scores, rng)
    return ensemble


def test_the_gradient_is_the_numerical_one():
    rng = np.random.default_rng(0)
    ensemble, points, targets = Ensemble(6, 2, rng), rng.normal(size=(2, 9, 6)), rng.normal(size=(2, 9))

    def loss():
        return np.abs(ensemble._forward(points)[-1][..., 0] - targets).mean(axis=1).sum()

    gradients = ensemble.gradient(points, targets)
    for values, slopes in zip([*ensemble.weights, *ensemble.biases], gradients, strict=True):
        assert values.shape == slopes.shape
        at = tuple(rng.integers(values.shape))
        old = values[at]
        values[at] = old + 1e-6
        ahead = loss()
        values[at] = old - 1e-6
        numerical = (ahead - loss()) / 2e-6
        values[at] = old
        assert slopes[at] == pytest.approx(numerical, rel=1e-4, abs=1e-8)


def test_the_ensemble_ranks_architectures_that_it_has_not_seen():
    points, scores = known(400)
    predicted = trained(points[:50], scores[:50]).predict(points[50:]).mean(axis=0)
    assert np.corrcoef(ranks(predicted), ranks(scores[50:]))[0, 1] > 0.9
    assert np.abs(predicted - scores[50:]).mean() < 0.5 * scores.std()


def test_its_members_disagree_most_about_what_none_has_seen():
    points, scores = known(200)
    deviation = trained(points[:30], scores[:30]).predict(points).std(axis=0)
    assert deviation[30:].mean() > 1.5 * deviation[:30].mean() > 0


def test_thompson_samples_are_draws_from_what_the_members_say():
    predictions = np.array([[0.7, 0.5, 0.9], [0.7, 0.6, 0.3], [0.7, 0.7, 0.3]])
    rng = np.random.default_rng(0)
    draws = np.array([thompson(predictions, rng) for _ in range(20_000)])
    assert draws.mean(axis=0) == pytest.approx([0.7, 0.6, 0.5], abs=0.01)
    assert draws.std(axis=0) == pytest.approx(predictions.std(axis=0), abs=0.01)
    assert np.corrcoef(draws[:, 1:].T)[0, 1] == pytest.approx(0, abs=0.05)  # each for itself
    assert set(draws.argmax(axis=1)) == {0, 1, 2}


def test_the_best_are_mutated(monkeypatch):
    monkeypatch.setattr(bananas, "CANDIDATES", 1)  # which the best alone has
    task = task_in("macro", 1.0)
    learner = Bananas(initial=8, batch=4).sampler(task, np.random.default_rng(0))
    asked = [learner.ask() for _ in range(8)]
    for indices, accuracy in zip(asked, (0.2, 0.3, 0.8, 0.4, 0.1, 0.2, 0.3, 0.2), strict=True):
        learner.tell(Trial(indices, accuracy, (1.0,)))
    assert sum(a != b for a, b in zip(learner.ask(), asked[2], strict=True)) == 1
    monkeypatch.setattr(bananas, "CANDIDATES", 40)  # more than any one has
    assert len(learner._candidates()) == 40


def test_what_is_predicted_to_be_best_is_chosen(monkeypatch):
    """By an ensemble that knows the truth and has no doubt."""
    task = task_in("macro", 0.5)
    learner = Bananas(initial=5, batch=3).sampler(task, np.random.default_rng(0))
    for _ in range(5):
        indices = learner.ask()
        learner.tell(Trial(indices, task.evaluate(task.space.architecture(indices)), (1.0,)))
    seen = []

    class Knowing:
        def predict(self, rows):
            return np.tile([task.evaluate(task.space.architecture(row)) for row in rows], (5, 1))

    monkeypatch.setattr(learner, "_ensemble", Knowing)
    monkeypatch.setattr(learner, "_encoded", lambda rows: seen.append(rows) or rows)
    chosen = [task.evaluate(task.space.architecture(learner.ask())) for _ in range(3)]
    truth = {task.evaluate(task.space.architecture(row)) for row in seen[0]}
    assert chosen == sorted(truth, reverse=True)[:3]


def test_it_is_trained_once_a_batch(monkeypatch):
    fitted = []
    fit = Ensemble.fit
    monkeypatch.setattr(
        Ensemble, "fit", lambda self, *given: (fitted.append(len(given[1])), fit(self, *given))
    )
    searched(Bananas(queries=20, initial=8, batch=4), task_in("macro"), np.random.default_rng(0))
    assert fitted == [8, 12, 16]


@pytest.mark.slow
def test_it_finds_better_networks_than_random_search():
    task = task_in("macro", 0.5)

    def mean_regret(kind):
        results = [searched(kind(queries=40), task, np.random.default_rng(s)) for s in range(3)]
        return np.mean([regret(task, r.best.indices) for r in results])

    assert mean_regret(Bananas) < 0.5 * mean_regret(Random)


@pytest.mark.parametrize("settings", [{"initial": 1}, {"batch": 0}, {"ensemble": 1}])
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(SpaceError, match=f"{next(iter(settings))} must be at least"):
        Bananas(**settings)

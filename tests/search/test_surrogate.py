"""The Gaussian process against known answers, and the search that it guides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sampling_helpers import regret, task_in, two_budgets
from task_helpers import searched

from hwnas import spaces
from hwnas.blocks import MBConv, MBStage, Skip
from hwnas.errors import SpaceError
from hwnas.runs.trial import Trial
from hwnas.search.sampling.features import Features
from hwnas.search.sampling.gp import (
    CENTRES,
    GaussianProcess,
    Points,
    Standardiser,
    _negative_log_likelihood,
    _Parts,
)
from hwnas.search.sampling.random import Random
from hwnas.search.sampling.surrogate import Surrogate, expected_improvement, knowledge_gradient


def points(count, seed=0, name="macro"):
    space, rng = spaces.load(name), np.random.default_rng(seed)
    indices = np.array([space.sample(rng).indices for _ in range(count)])
    return Standardiser(Features(space), indices)(indices)


def test_features_are_what_the_architecture_says():
    space = spaces.load("macro")
    arch = space.architecture([1, 2, 0, 0, 2, 2, 1, 0])
    (row,) = Features(space).physical(np.array([arch.indices]))
    assert row[0] == arch.macs
    assert np.exp(row[1]) == pytest.approx(arch.macs)
    assert np.exp(row[2]) == pytest.approx(arch.params)
    depth, counts = row[3], row[4:].reshape(4, 3)  # in all and by stage: 1x1 convolution, k3 e3, k5 e6
    assert depth == sum(isinstance(b, MBConv) for b in arch.blocks) == 5
    assert counts.tolist() == [[1, 2, 3], [0, 1, 1], [1, 0, 1], [0, 1, 1]]


def test_twins_have_the_same_features():
    space = spaces.load("macro")
    twins = np.array([[1, 0, 2, 1, 0, 1, 0, 2], [1, 0, 2, 0, 1, 1, 2, 0]])
    features = Features(space)
    assert np.array_equal(*features.one_hot(twins))
    assert np.array_equal(*features.physical(twins))
    assert (features.one_hot(twins) ** 2).sum(axis=1) == pytest.approx([1, 1])


def test_depth_counts_the_layers_of_a_stage():
    space = spaces.load("mnasnet")
    arch = space.sample(np.random.default_rng(0))
    row = Features(space).physical(np.array([arch.indices]))[0]
    assert row[3] == sum(b.layers for b in arch.blocks if isinstance(b, MBStage))
    assert np.exp(row[2]) == pytest.approx(arch.params)
    assert not any(isinstance(b, Skip) for b in arch.blocks)


def test_the_gradient_of_the_likelihood_is_the_numerical_one():
    some = points(20)
    parts, scores = _Parts.between(some, some), np.random.default_rng(1).standard_normal(20)
    theta = CENTRES + np.random.default_rng(2).normal(0, 0.5, 6)
    _, gradient = _negative_log_likelihood(theta, parts, scores)
    step = 1e-5
    for number in range(6):
        ahead, behind = theta.copy(), theta.copy()
        ahead[number] += step
        behind[number] -= step
        slope = (
            _negative_log_likelihood(ahead, parts, scores)[0]
            - _negative_log_likelihood(behind, parts, scores)[0]
        ) / (2 * step)
        assert gradient[number] == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_the_likelihood_is_that_of_a_normal_distribution():
    from scipy.stats import multivariate_normal

    some = points(12)
    scores = np.random.default_rng(0).standard_normal(12)
    parts = _Parts.between(some, some)
    covariance = parts.covariance(CENTRES) + np.exp(CENTRES[5]) * np.eye(12)
    expected = -multivariate_normal(np.zeros(12), covariance).logpdf(scores) - 6 * np.log(2 * np.pi)
    assert _negative_log_likelihood(CENTRES, parts, scores)[0] == pytest.approx(expected)


def test_the_posterior_is_the_conditional_normal():
    """Against the textbook formula on the joint covariance of seen and unseen architectures."""
    every = points(16)
    seen, unseen = every[:12], every[12:]
    scores = np.random.default_rng(0).normal(3.0, 2.0, 12)
    mean, deviation = GaussianProcess(seen, scores).predict(unseen)
    joint = _Parts.between(every, every).covariance(CENTRES)
    own = joint[:12, :12] + np.exp(CENTRES[5]) * np.eye(12)
    gain = joint[12:, :12] @ np.linalg.inv(own)
    assert mean == pytest.approx(scores.mean() + gain @ (scores - scores.mean()))
    variance = np.diag(joint[12:, 12:] - gain @ joint[:12, 12:])
    assert deviation == pytest.approx(scores.std() * np.sqrt(variance))


def test_fitting_finds_the_noise_and_raises_the_likelihood():
    some = points(150)
    rng = np.random.default_rng(0)
    truth = np.log([0.3, 0.2, 0.8, 0.5, 2.0, 0.1])
    parts = _Parts.between(some, some)
    scores = np.linalg.cholesky(parts.covariance(truth) + 1e-9 * np.eye(150)) @ rng.standard_normal(150)
    noisy = scores + np.sqrt(0.1) * rng.standard_normal(150)
    start = GaussianProcess(some, noisy)
    fitted = start.fitted()
    standard = (noisy - noisy.mean()) / noisy.std()
    before, after = (_negative_log_likelihood(p.log_parameters, parts, standard)[0] for p in (start, fitted))
    assert after < before
    assert fitted.noise == pytest.approx(np.sqrt(0.1), rel=0.25)


def test_repeated_scores_shrink_the_doubt():
    some = points(8)
    once = GaussianProcess(some, np.arange(8.0))
    again = Points(
        np.concatenate([some.one_hot, some.one_hot[:1]]), np.concatenate([some.physical, some.physical[:1]])
    )
    twice = GaussianProcess(again, np.array([*range(8), 0.0]))
    scaled = [p.predict(some[:1])[1][0] / p.scores.std() for p in (once, twice)]
    assert scaled[1] < 0.85 * scaled[0]


def test_expected_improvement_is_the_mean_excess():
    rng = np.random.default_rng(0)
    for mean, deviation, target in ((0.0, 1.0, 0.5), (2.0, 0.3, 1.0), (-1.0, 2.0, 0.0)):
        draws = rng.normal(mean, deviation, 400_000)
        expected = np.maximum(draws - target, 0).mean()
        (found,) = expected_improvement(np.array([mean]), np.array([deviation]), target)
        assert found == pytest.approx(expected, rel=0.02)


def test_knowledge_gradient_is_the_expected_gain_of_one_more_score():
    """By simulation: draw a truth and a noisy score, update, and see by how much the pick gains."""
    mean, deviation, noise = np.array([1.0, 0.8, 0.0]), np.array([0.5, 0.9, 0.3]), 0.7
    rng = np.random.default_rng(0)
    for number in range(3):
        draws = rng.normal(mean[number], np.hypot(deviation[number], noise), 400_000)
        weight = deviation[number] ** 2 / (deviation[number] ** 2 + noise**2)
        updated = mean[number] + weight * (draws - mean[number])
        rival = np.delete(mean, number).max()
        gain = np.maximum(updated, rival).mean() - mean.max()
        assert knowledge_gradient(mean, deviation, noise)[number] == pytest.approx(gain, abs=0.002)


def test_the_best_is_not_the_luckiest_sample():
    """A poor network with one lucky score among neighbours that disagree is not returned."""
    task = task_in("macro", 1.0)
    model = Surrogate(initial=5).sampler(task, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    drawn = np.unique([task.space.sample(rng).indices for _ in range(60)], axis=0)
    cheapest = tuple(int(i) for i in drawn[task.costs(drawn)[:, 0].argmin()])
    best_true = 0.0
    for row in drawn:
        indices = tuple(int(i) for i in row)
        accuracy = task.evaluate(task.space.architecture(indices))
        best_true = max(best_true, accuracy)
        lucky = accuracy if indices != cheapest else 0.0
        model.tell(Trial(indices, lucky or 0.935, tuple(task.costs(row[None])[0])))
    top = max(model.archive.trials, key=lambda t: t.quality)
    chosen = task.evaluate(task.space.architecture(model.best().indices))
    if top.indices == cheapest:
        assert model.archive.best().indices == cheapest
    assert model.best().indices != cheapest
    assert chosen > best_true - 0.01


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.003])
def test_it_finds_the_optimum_where_random_search_does_not(noise):
    task = task_in("macro", 0.5, noise=noise)
    ours = [
        regret(task, searched(Surrogate(queries=30), task, np.random.default_rng(s)).best.indices)
        for s in range(4)
    ]
    random = [
        regret(task, searched(Random(queries=30), task, np.random.default_rng(s)).best.indices)
        for s in range(4)
    ]
    assert np.mean(ours) < 0.3 * np.mean(random)


@pytest.mark.slow
def test_a_space_that_cannot_be_listed_is_searched_under_two_budgets():
    task = two_budgets("fbnet", 0.4)
    ours = searched(Surrogate(queries=30, pool=200), task, np.random.default_rng(0))
    random = searched(Random(queries=300), task, np.random.default_rng(0))
    assert task.feasible(np.array([t.indices for t in ours.trials])).all()
    assert ours.quality > random.quality  # with a tenth of the queries


def test_the_last_fifth_scores_leaders_again():
    task, luck = task_in("macro", 0.5), np.random.default_rng(1)
    noisy = replace(task, evaluate=lambda arch: task.evaluate(arch) - abs(luck.normal(0, 0.003)))
    result = searched(Surrogate(queries=40, remeasure=0.2), noisy, np.random.default_rng(0))
    assert len(result.trials) == 40
    earlier = {t.indices for t in result.trials[:32]}
    assert len(earlier) == 32
    assert all(t.indices in earlier for t in result.trials[32:])
    scores = sorted((t.quality for t in result.trials[:32]), reverse=True)
    assert np.mean([t.quality for t in result.trials[32:]]) > scores[8]


def test_several_at_once_are_not_all_in_one_place():
    task = task_in("macro", 0.5)
    result = searched(Surrogate(queries=29, parallel=6), task, np.random.default_rng(0))
    assert len({t.indices for t in result.trials}) == 29
    assert regret(task, result.best.indices) < 0.01


@pytest.mark.parametrize("settings", [{"initial": 1}, {"pool": 0}])
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(SpaceError, match="must be at least"):
        Surrogate(**settings)


def test_a_mean_without_its_deviation_is_the_same_mean():
    rng = np.random.default_rng(0)
    points = Points(rng.normal(size=(30, 6)), rng.normal(size=(30, 4)))
    process = GaussianProcess(points[:20], rng.normal(size=20))
    np.testing.assert_array_equal(process.mean(points), process.predict(points)[0])

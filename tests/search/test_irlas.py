"""Likeness to an expert by counting, and whether it steers what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from sampling_helpers import task_in
from task_helpers import Task, searched

from hwnas.errors import SpaceError
from hwnas.search.sampling.irlas import DISCOUNT, IRLAS, MirrorStimuli, TopologyCounts
from hwnas.search.sampling.reinforce import Reinforce

TASK = task_in("macro", 0.6)
RNG = np.random.default_rng(0)
DRAWN = np.array([TASK.space.sample(RNG).indices for _ in range(200)])
FLAT = Task(TASK.space, TASK.constraints, lambda _arch: 0.5)


def stimuli_of(expert):
    return MirrorStimuli.of(TASK, expert, np.random.default_rng(1))


def test_counts_are_discounted_by_place():
    counts = TopologyCounts(TASK.space)
    row = TASK.space.reference
    total = sum(DISCOUNT**number for number in range(len(row)))
    # each block has one sort, and reads one choice right before it
    assert counts(np.array([row]))[0].sum() == pytest.approx(2 * total)
    other = (*row[:-1], int(row[-1] == 0))
    change = np.abs(counts(np.array([other])) - counts(np.array([row]))).sum()
    assert change == pytest.approx(2 * DISCOUNT ** (len(row) - 1))


def test_what_is_one_network_has_the_same_counts():
    counts = TopologyCounts(TASK.space)
    canonical = counts.canonical(DRAWN)
    assert (canonical != DRAWN).any()
    assert (counts(canonical) == counts(DRAWN)).all()


def test_the_margin_is_the_largest_of_any_unit_weights():
    """What is reached by the weights that were solved for, no others exceed."""
    stimuli = stimuli_of(TASK.space.reference)
    gaps = stimuli.expert - stimuli.counts(DRAWN)
    margins = (1 - stimuli(DRAWN)) * stimuli.usual
    weights = RNG.normal(size=(500, gaps.shape[1]))
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    assert (gaps @ weights.T <= margins[:, None] + 1e-12).all()
    best = gaps / np.maximum(np.linalg.norm(gaps, axis=1, keepdims=True), 1e-12)
    assert (gaps * best).sum(axis=1) == pytest.approx(margins)


@pytest.mark.parametrize("expert", [(2, 2, 2, 2, 2, 2, 2, 2), (1, 0, 1, 0, 2, 1, 0, 0)])
def test_the_expert_is_most_like_itself_and_random_ones_are_as_usual(expert):
    stimuli = stimuli_of(expert)
    assert stimuli(np.array([expert])) == pytest.approx(1)
    own, others = stimuli.counts.canonical.key(expert), stimuli.counts.canonical(DRAWN)
    assert (stimuli(others[(others != own).any(axis=1)]) < 1).all()
    kept = DRAWN[TASK.feasible(DRAWN)]
    assert stimuli(kept).mean() == pytest.approx(0, abs=0.1)


@pytest.mark.slow
def test_likeness_alone_steers_what_is_drawn():
    """Where all networks are as accurate, draws become like the one of two experts that is imitated."""
    experts = ("1.1.1.1.1.1.1.1", "0.0.0.0.0.0.0.0")
    stimuli = [stimuli_of(tuple(map(int, expert.split(".")))) for expert in experts]

    def last(expert, seed):
        strategy = IRLAS(queries=80, expert=expert, weight=1.0)
        found = searched(strategy, FLAT, np.random.default_rng(seed)).trials
        return np.array([trial.indices for trial in found[-20:]])

    likeness = np.array(
        [
            [[likeness(drawn).mean() for likeness in stimuli] for drawn in (last(e, seed) for e in experts)]
            for seed in (0, 1)
        ]
    ).mean(axis=0)  # towards which, by like which
    assert likeness[0, 0] > likeness[1, 0] + 0.1
    assert likeness[1, 1] > likeness[0, 1] + 0.1


def test_without_weight_it_rewards_as_reinforce_does():
    own, plain = (kind.sampler(TASK, np.random.default_rng(0)) for kind in (IRLAS(weight=0.0), Reinforce()))
    assert own.reward((0,) * 8, 0.7) == plain.reward((0,) * 8, 0.7)
    mimic = IRLAS(weight=2.0).sampler(TASK, np.random.default_rng(0))
    assert mimic.reward(TASK.space.reference, 0.7) == pytest.approx(0.7 + 2.0)


@pytest.mark.slow
def test_an_expert_over_the_budget_may_be_imitated_and_what_is_asked_keeps_it():
    task = task_in("macro", 0.2)
    assert not task.feasible(np.array([task.space.reference]))[0]
    result = searched(IRLAS(queries=30), task, np.random.default_rng(0))
    assert task.feasible(np.array([t.indices for t in result.trials])).all()
    assert result.extra["argmax"]["likeness"] < 1


@pytest.mark.parametrize(
    "settings",
    [{"expert": "a"}, {"expert": "1..2"}, {"expert": ""}, {"weight": -1.0}, {"weight": float("nan")}],
)
def test_imitation_that_makes_no_sense_is_refused(settings):
    with pytest.raises(SpaceError, match=f"{next(iter(settings))} must be"):
        IRLAS(**settings)


@pytest.mark.parametrize("expert", ["1.1", "9.0.0.0.0.0.0.0"])
def test_an_expert_of_another_space_is_refused(expert):
    with pytest.raises(SpaceError, match=r"must have 8 indices|must be in 0\.\.2"):
        IRLAS(expert=expert).sampler(TASK, np.random.default_rng(0))

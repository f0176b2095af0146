"""The mutation controller by enumeration, what it learns, and the evolution around it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sampling_helpers import task_in, two_budgets
from task_helpers import searched

from hwnas.errors import SpaceError
from hwnas.runs.trial import Trial
from hwnas.search.sampling.mutator import Mutation, Mutator
from hwnas.search.sampling.neighbours import Births, every_change, neighbours
from hwnas.search.sampling.random import Random
from hwnas.search.sampling.renas import RENAS, reward
from hwnas.spaces.canonical import Canonical

SIZES = (3, 2, 4)
PARENT = (1, 0, 2)


def mutator(seed=0, spread=1.0):
    """One that has preferences already."""
    rng = np.random.default_rng(seed)
    made = Mutator(SIZES, rng)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += torch.from_numpy(rng.normal(0, spread / 4, parameter.shape)).float()
    return made


def allowed(*changes):
    """Only these changes, as (place, candidate)."""
    masks = tuple(np.zeros(size, dtype=bool) for size in SIZES)
    for place, candidate in changes:
        masks[place][candidate] = True
    return masks


OTHERS = tuple((p, c) for p, size in enumerate(SIZES) for c in range(size) if c != PARENT[p])


def trial_of(task, indices, accuracy):
    return Trial(indices, accuracy, tuple(task.costs(np.array([indices]))[0]))


@pytest.mark.parametrize("open_", [OTHERS, ((0, 0), (0, 2), (2, 1)), ((1, 1),)])
def test_what_is_not_allowed_has_no_probability_and_the_rest_sums_to_one(open_):
    policy, mask = mutator(), allowed(*open_)
    with torch.no_grad():
        places, states = policy.places(PARENT, mask)
        chance = {
            (place, candidate): float(
                (places[place] + policy.candidates(states, place, mask)[candidate]).exp()
            )
            for place, _ in open_
            for candidate in range(SIZES[place])
        }
        scored = policy.score([[Mutation(PARENT, mask, *change)] for change in open_])[0].exp().numpy()
    assert scored == pytest.approx([chance[change] for change in open_])
    assert scored.sum() == pytest.approx(1.0, abs=1e-6)
    assert all(value == 0.0 for change, value in chance.items() if change not in open_)
    rng = np.random.default_rng(0)
    drawn = [policy.sample(PARENT, mask, rng) for _ in range(300)]
    seen = np.array([np.mean([(m.place, m.candidate) == change for m in drawn]) for change in open_])
    assert seen == pytest.approx(scored, abs=0.1)


def test_two_mutations_are_as_likely_as_the_first_and_then_the_second():
    policy, everything = mutator(), allowed(*OTHERS)
    first = Mutation(PARENT, everything, 0, 2)
    second = Mutation(first.child, allowed((2, 0), (1, 1)), 2, 0)
    assert first.child == (2, 0, 2)
    assert second.child == (2, 0, 0)
    alone, other, both = policy.score([[first], [second], [first, second]])[0].tolist()
    assert both == pytest.approx(alone + other)


def test_the_encoder_reads_in_both_directions():
    policy, mask = mutator(), allowed(*OTHERS)
    with torch.no_grad():
        of = {parent: policy.places(parent, mask)[1] for parent in (PARENT, (1, 0, 3), (2, 0, 2))}
    assert not torch.allclose(of[PARENT][0], of[(1, 0, 3)][0]), "the first choice sees the last"
    assert not torch.allclose(of[PARENT][2], of[(2, 0, 2)][2]), "the last choice sees the first"


def test_the_first_mutations_are_nearly_uniform():
    entropy = Mutator(SIZES, np.random.default_rng(0)).score([[Mutation(PARENT, allowed(*OTHERS), 0, 2)]])[1]
    assert entropy.item() == pytest.approx(math.log(3), abs=0.01)


@pytest.mark.parametrize("credit", ["gain", "accuracy"])
def test_the_controller_comes_to_prefer_the_place_that_pays(credit):
    settings = RENAS(credit=credit, learning_rate=0.005)
    population = settings.sampler(task_in("macro", 1.0), np.random.default_rng(0))
    parent = Trial((1,) * 8, 0.8, (1.0,))
    mask = population._allowed(parent.indices, may_break=True)
    for part in mask:
        part[1] = False  # nothing is claimed yet, not even the parent
    with torch.no_grad():
        before = population.mutator.places(parent.indices, mask)[0].exp()
    for _ in range(50):
        mutations = (population.mutator.sample(parent.indices, mask, population.rng),)
        pays = mutations[0].place == 3
        population._learn(population._birth(parent, mutations), 0.82 if pays else 0.79)
    with torch.no_grad():
        after = population.mutator.places(parent.indices, mask)[0].exp()
    assert before[3] == pytest.approx(1 / 8, abs=0.02)
    assert after[3] > 0.5
    assert population.state()["entropy"] < math.log(8) - 0.3


def test_a_point_counts_the_more_the_fewer_are_left():
    assert reward("accuracy", 0.5, 0.1) == pytest.approx(1.0)
    assert reward("gain", 0.5, 0.5) == 0
    assert reward("gain", 0.92, 0.91) > 5 * reward("gain", 0.62, 0.61) > 0
    assert reward("gain", 0.4, 0.5) < 0
    assert math.isfinite(reward("accuracy", 1.0, 1.0))


def test_the_best_of_a_sample_is_the_parent_and_its_worst_dies_however_young():
    task = task_in("macro", 1.0)
    population = RENAS(population=3, tournament=3).sampler(task, np.random.default_rng(0))
    founders = [population.ask() for _ in range(3)]
    for indices, accuracy in zip(founders, (0.9, 0.6, 0.5), strict=True):
        population.tell(trial_of(task, indices, accuracy))
    child = population.ask()
    assert sum(a != b for a, b in zip(child, founders[0], strict=True)) == 1
    population.tell(trial_of(task, child, 0.1))
    assert [t.indices for t in population.alive] == [founders[0], founders[1], child]


def test_several_that_are_asked_at_once_do_not_empty_the_population():
    task = task_in("macro", 1.0)
    population = RENAS(population=4, tournament=2).sampler(task, np.random.default_rng(0))
    for _ in range(4):
        population.tell(trial_of(task, population.ask(), 0.5))
    asked = [population.ask() for _ in range(20)]
    assert len(set(asked)) == 20
    assert len(population.alive) == 3


def test_a_network_that_is_scored_again_is_neither_born_nor_learnt_from_again(monkeypatch):
    task = task_in("macro")
    population = RENAS(population=2, tournament=2).sampler(task, np.random.default_rng(0))
    for accuracy in (0.7, 0.6):
        population.tell(trial_of(task, population.ask(), accuracy))
    learnt = []
    monkeypatch.setattr(population, "_learn", lambda birth, quality: learnt.append((birth.parent, quality)))
    child = population.ask()
    for accuracy in (0.9, 0.5):
        population.tell(trial_of(task, child, accuracy))
    assert learnt == [(0.7, 0.9)]
    assert len(population.alive) == 2


def test_a_mutation_that_breaks_the_budget_is_made_up_for_by_another():
    """Both are the controller's, and it learns from both."""
    task = task_in("macro", 0.3)
    population = RENAS(population=2, tournament=2).sampler(task, np.random.default_rng(0))
    for accuracy in (0.7, 0.6):
        population.tell(trial_of(task, population.ask(), accuracy))
    counts = []
    for _ in range(8):
        child = population.ask()
        mutations = population.unborn[child].mutations
        assert mutations[-1].child == child
        steps = [task.feasible(np.array([m.child]))[0] for m in mutations]
        assert steps in ([True], [False, True])
        counts.append(len(mutations))
        population.tell(trial_of(task, child, 0.5))
    assert set(counts) == {1, 2}


def test_where_no_mutation_is_left_the_child_is_born_as_in_evolution(monkeypatch):
    task = task_in("macro")
    population = RENAS(population=2, tournament=2).sampler(task, np.random.default_rng(0))
    for accuracy in (0.7, 0.6):
        population.tell(trial_of(task, population.ask(), accuracy))
    monkeypatch.setattr(population.archive, "is_new", lambda rows: np.zeros(len(rows), dtype=bool))
    born = []
    monkeypatch.setattr(Births, "child", lambda self, parent: born.append(parent) or (0,) * 8)
    assert population.ask() == (0,) * 8
    assert len(born) == 1
    assert not population.unborn


@pytest.mark.parametrize("share", [0.003, 0.02, 0.5])
def test_children_keep_tight_budgets(share):
    task = two_budgets("fbnet", 0.4) if share == 0.5 else task_in("fbnet", share)
    result = searched(RENAS(queries=20, population=5, tournament=2), task, np.random.default_rng(0))
    assert task.feasible(np.array([t.indices for t in result.trials])).all()
    canonical = Canonical(task.space)
    assert len({canonical.key(t.indices) for t in result.trials}) == len(result.trials) == 20


def test_it_beats_random_search_at_equal_cost():
    task = task_in("fbnet", 0.4)

    def accuracy(kind):
        results = [searched(kind(queries=60), task, np.random.default_rng(s)) for s in range(2)]
        return np.array([r.quality for r in results])

    assert accuracy(RENAS).mean() > accuracy(Random).mean() + 0.002


def test_what_it_asks_does_not_depend_on_how_many_queries_follow():
    """So that its course can be read at any of them."""
    short, long = (
        searched(RENAS(queries=queries), task_in("macro"), np.random.default_rng(0)).trials
        for queries in (14, 28)
    )
    assert long[:14] == short


def test_every_change_is_every_neighbour_and_the_architecture_itself():
    task = task_in("macro", 1.0)
    rows = every_change(task.space.sizes, (1,) * 8)
    assert len(rows) == sum(task.space.sizes)
    assert ((rows != 1).sum(axis=1) <= 1).all()
    others = rows[(rows != 1).any(axis=1)]
    assert len(np.unique(others, axis=0)) == 16
    assert np.array_equal(neighbours(task, (1,) * 8), others)


@pytest.mark.parametrize(
    "settings",
    [
        {"population": 1},
        {"tournament": 1},
        {"tournament": 11},
        {"credit": "luck"},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(SpaceError, match=f"{next(iter(settings))} must be"):
        RENAS(**settings)

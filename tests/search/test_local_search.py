"""Local search: climbs from the best start to better neighbours, and begins again at the top."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from sampling_helpers import task_in
from task_helpers import searched

from hwnas.errors import SpaceError
from hwnas.runs.trial import Trial
from hwnas.search.sampling.local import Local
from hwnas.search.sampling.random import Random


def told(climber, task, indices, accuracy):
    climber.tell(Trial(indices, accuracy, tuple(task.costs(np.array([indices]))[0])))


def changes(one, other):
    return sum(a != b for a, b in zip(one, other, strict=True))


def begun(task, accuracies=(0.5,), **settings):
    """A climber whose starts have scores, and the best of them."""
    settings = {"initial": len(accuracies), **settings}
    climber = Local(**settings).sampler(task, np.random.default_rng(0))
    starts = []
    for accuracy in accuracies:
        starts.append(climber.ask())
        told(climber, task, starts[-1], accuracy)
    return climber, starts[int(np.argmax(accuracies))]


def test_a_climb_begins_at_the_best_of_random_starts():
    task = task_in("macro", 1.0)
    climber, starts = Local(initial=3).sampler(task, np.random.default_rng(0)), []
    for accuracy in (0.2, 0.9, 0.4):
        starts.append(climber.ask())
        told(climber, task, starts[-1], accuracy)
    assert min(changes(one, other) for one, other in combinations(starts, 2)) > 2
    assert [changes(climber.ask(), starts[1]) for _ in range(4)] == [1] * 4
    assert climber.place == starts[1]


def test_it_moves_to_the_first_better_neighbour():
    task = task_in("macro", 1.0)
    climber, _ = begun(task)
    worse, better = climber.ask(), climber.ask()
    told(climber, task, worse, 0.4)
    told(climber, task, better, 0.6)
    asked = [climber.ask() for _ in range(4)]
    assert climber.place == better
    assert [changes(a, better) for a in asked] == [1] * 4


def test_the_best_of_all_neighbours_is_where_it_moves_if_all_are_looked_at():
    task = task_in("macro", 1.0)
    climber, start = begun(task, move="best")
    asked = [climber.ask()]
    while climber.place == start:
        told(climber, task, asked[-1], 0.8 if len(asked) == 6 else 0.6)  # all are better than the start
        asked.append(climber.ask())
    *near, beyond = asked
    assert len(near) >= 13  # of 16, some of which describe the same network
    assert all(changes(a, start) == 1 for a in near)
    assert climber.place == near[5]
    assert changes(beyond, near[5]) == 1


def test_a_local_optimum_is_left_for_random_starts():
    """Even though the new start is worse."""
    task = task_in("macro", 1.0)
    climber, top = begun(task, (0.9, 0.1))
    asked = [climber.ask()]
    while climber.place is not None:
        told(climber, task, asked[-1], 0.3)
        asked.append(climber.ask())
    start = asked[-1]
    assert changes(start, top) > 1
    assert all(changes(a, top) == 1 for a in asked[:-1])
    told(climber, task, start, 0.2)
    told(climber, task, climber.ask(), 0.1)
    assert changes(climber.ask(), start) == 1
    assert climber.report() == {"climbs": 2}
    assert climber.best().indices == top


def test_a_neighbour_whose_score_is_known_costs_no_query():
    task = task_in("macro", 1.0)
    climber, start = begun(task)
    climber.ask()
    known = next(a for a in climber.near if climber.archive.score(a) is None and changes(a, start) == 1)
    told(climber, task, known, 0.8)
    assert changes(climber.ask(), known) == 1
    assert climber.place == known


def test_what_was_asked_for_at_once_is_compared_before_it_moves():
    task = task_in("macro", 1.0)
    climber, _ = begun(task)
    asked = [climber.ask() for _ in range(3)]
    for indices, accuracy in zip(asked, (0.6, 0.8, 0.7), strict=True):
        told(climber, task, indices, accuracy)
    climber.ask()
    assert climber.place == asked[1]


def test_what_would_break_the_budget_is_paid_for_elsewhere():
    """At the edge of the budget single changes can only make a network cheaper."""
    task = task_in("fbnet", 0.3)
    climber, best = begun(task, (0.5,) * 3)
    climber.ask()
    near = np.array(climber.near)
    assert task.feasible(near).all()
    apart = np.array([changes(indices, best) for indices in near])
    assert set(apart) == {1, 2}
    assert (task.costs(near[apart == 2]) > task.costs(np.array([best]))).any()


@pytest.mark.slow
def test_it_beats_random_search_at_equal_cost():
    task = task_in("fbnet", 0.4)

    def accuracy(kind):
        results = [searched(kind(queries=60), task, np.random.default_rng(s)) for s in range(4)]
        return np.array([r.quality for r in results])

    assert accuracy(Local).mean() > accuracy(Random).mean() + 0.002


@pytest.mark.parametrize("settings", [{"initial": 0}, {"move": "second"}])
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(SpaceError, match=f"{next(iter(settings))} must be"):
        Local(**settings)

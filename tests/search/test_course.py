"""The course of a sampling search: who is asked for while others are in hand."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest
from pool_helpers import DiesAtFirst, Patient, Shares, Uneven
from sampling_helpers import macs_costs, task_in
from task_helpers import Task, searched

from hwnas import search, spaces
from hwnas.budget import Budget
from hwnas.errors import SchemaMismatch, TaskLost
from hwnas.pools import PoolSpec
from hwnas.search.problem import Constraint
from hwnas.search.result import to_json
from hwnas.search.sampling.loop import SamplingStrategy
from hwnas.search.sampling.random import Random

SPACE = "macro-r16-c4"


def costs_of(space):
    costs = macs_costs(space)
    return (Constraint(Budget("macs", costs.range[1]), costs),)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL"])
def test_a_search_whose_training_dies_again_and_again_names_it_and_goes_on_when_started_again(tmp_path, name):
    space = spaces.load("macro-r16-c4")
    costs = macs_costs(space)
    budget = Constraint(Budget("macs", costs.range[1]), costs)

    def search(folder, fatal):
        folder.mkdir(exist_ok=True)
        task = Task(space, (budget,), DiesAtFirst(folder, fatal, signal.Signals[name]))
        session = {"history": folder / "history.jsonl", "workers": PoolSpec(count=2)}
        return searched(Random(queries=6, parallel=2), task, np.random.default_rng(0), **session)

    whole = search(tmp_path / "whole", ())
    fatal = whole.trials[3].indices
    label = ".".join(map(str, fatal))
    with pytest.raises(TaskLost, match=f"the process that had {label} was killed by {name}, 3 times") as died:
        search(tmp_path / "cut", fatal)
    assert ("memory" if name == "SIGKILL" else "hwnas doctor") in str(died.value)
    kept = (tmp_path / "cut" / "history.jsonl").read_text().count('"indices"')
    assert 2 <= kept <= 3
    resumed = search(tmp_path / "cut", fatal)
    assert to_json(resumed)["trials"] == to_json(whole)["trials"]
    again = (tmp_path / "cut" / "scored").read_text().splitlines()
    assert len(set(again)) == 6
    assert len(again) <= 7, "what was scored before the crash is not scored again, but for one in hand"


STRATEGIES = {
    name
    for name in search.STRATEGIES
    if issubclass(search.strategy(name), SamplingStrategy)
    and not (search.strategy(name).needs.shared_weights or search.strategy(name).needs.block_errors)
}


def names(result):
    return {trial.indices for trial in result.trials}


def cut(path, lines):
    """Leave so many lines of a history, and a part of the next one."""
    whole = path.read_text().splitlines(keepends=True)
    path.write_text("".join(whole[:lines]) + whole[lines][:15])


def events(path):
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_a_search_by_several_that_was_cut_off_goes_on_with_what_was_in_hand(strategy, tmp_path):
    """Whoever is asked next is asked as if nothing had been: by more workers, by fewer, or by none."""
    space, path = spaces.load(SPACE), tmp_path / "history.jsonl"
    kind = search.strategy(strategy)(queries=12)

    def run(count):
        task = Task(space, costs_of(space), Shares())
        return searched(kind, task, np.random.default_rng(1), history=path, workers=PoolSpec(count=count))

    whole = run(3)
    known = events(path)
    asked = {line["ask"]: line["indices"] for line in known if "query" not in line}
    told = {line["ask"]: line["indices"] for line in known if "query" in line}
    assert len(told) == len(whole.trials) >= 12
    assert {number: indices for number, indices in asked.items() if indices is not None} == told

    cut(path, 14)
    kept = [json.loads(line) for line in path.read_text().splitlines()[1:14]]
    answered = [line["indices"] for line in kept if "query" in line]
    waiting = {tuple(line["indices"]) for line in kept if "query" not in line and line["indices"]}
    for count in (2, 1, 4) if strategy == "evolution" else (1,):
        lines = path.read_text()
        resumed = run(count)
        assert [list(t.indices) for t in resumed.trials][: len(answered)] == answered, "what was told stays"
        assert waiting <= names(resumed), "what was in hand is told"
        assert sum(trial.share for trial in resumed.trials) == pytest.approx(12, abs=1)
        path.write_text(lines)


def test_the_next_is_asked_for_when_a_worker_is_free_and_nobody_waits_for_the_slowest(tmp_path):
    """Two workers: the first network lasts until three others are done, which the other worker does."""
    space, path = spaces.load(SPACE), tmp_path / "history.jsonl"
    task = Task(space, costs_of(space), Patient(tmp_path))
    searched(Random(queries=6), task, np.random.default_rng(0), history=path, workers=PoolSpec(count=2))
    told = [line["ask"] for line in events(path) if "query" in line]
    assert min(told.index(1), told.index(2)) < 3 <= max(told.index(1), told.index(2))


@pytest.mark.parametrize("strategy", ["evolution", "surrogate", "hyperband", "asha"])
def test_told_together_the_search_is_the_same_by_any_number_of_workers(strategy, tmp_path):
    space = spaces.load(SPACE)
    kind = search.strategy(strategy)(queries=9, parallel=3)

    def run(count):
        task = Task(space, costs_of(space), Shares())
        return searched(kind, task, np.random.default_rng(1), workers=PoolSpec(count=count))

    one, two = run(1), run(2)
    assert one.trials == two.trials
    assert (one.best, one.quality) == (two.best, two.quality)


def test_a_history_of_another_seed_is_refused_also_where_several_are_in_hand(tmp_path):
    space, path = spaces.load(SPACE), tmp_path / "history.jsonl"
    task = Task(space, costs_of(space), Uneven(0.001))
    searched(Random(queries=4), task, np.random.default_rng(0), history=path, workers=PoolSpec(count=2))
    with pytest.raises(SchemaMismatch, match="use the same seed"):
        searched(Random(queries=4), task, np.random.default_rng(1), history=path, workers=PoolSpec(count=2))


def test_a_space_that_is_exhausted_while_some_are_in_hand_ends_the_search(tmp_path):
    space, path = spaces.load(SPACE), tmp_path / "history.jsonl"
    task = task_in(SPACE, 0.02)
    few = Task(space, task.constraints, Uneven(0.001))
    found = searched(
        Random(queries=500), few, np.random.default_rng(0), history=path, workers=PoolSpec(count=2)
    )
    again = searched(Random(queries=500), few, np.random.default_rng(0), history=path)
    assert len(names(found)) == len(found.trials) < 500
    assert found.trials == again.trials

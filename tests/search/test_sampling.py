"""What every sampling strategy promises, and the loop that they share."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import oneshot_helpers
import pytest
from sampling_helpers import known_accuracy, task_in, two_budgets
from task_helpers import Task, searched

from hwnas import search, spaces, testing
from hwnas.blocks import Conv, Head, MBConv, Skip
from hwnas.budget import Budget
from hwnas.errors import HwnasError, InfeasibleBudget, SchemaMismatch, SpaceError
from hwnas.evaluators import tabular
from hwnas.evaluators.supernet.warm_up import warm_up
from hwnas.pools import PoolSpec
from hwnas.runs.trial import Trial
from hwnas.search.history import damage
from hwnas.search.problem import Constraint
from hwnas.search.sampling.archive import Archive
from hwnas.search.sampling.evolution import Evolution
from hwnas.search.sampling.loop import SamplingStrategy
from hwnas.search.sampling.random import Random
from hwnas.search.session import Session
from hwnas.space import Choice, SearchSpace
from hwnas.spaces.canonical import Canonical

SAMPLING = [
    kind
    for kind in map(search.strategy, search.STRATEGIES)
    if issubclass(kind, SamplingStrategy) and not kind.needs.fidelities  # those ask for a network again
]
every_strategy = pytest.mark.parametrize("kind", SAMPLING, ids=lambda kind: kind.name)


@pytest.fixture(autouse=True)
def short_fits(monkeypatch):
    """What holds of every strategy holds of models that are fitted less."""
    monkeypatch.setattr("hwnas.search.sampling.recurrent.STEPS", 10)


def seed(number):
    return np.random.default_rng(number)


@every_strategy
def test_contract(kind):
    testing.check_strategy(kind(queries=12))


@every_strategy
def test_best_keeps_the_budget_and_queries_are_bounded_and_distinct(kind):
    task = task_in("macro")
    result = searched(kind(queries=20), task, seed(0))
    assert len(result.trials) == 20
    assert len({Canonical(task.space).key(t.indices) for t in result.trials}) == 20
    assert task.feasible(np.array([result.best.indices]))[0]
    assert result.strategy == kind.name
    assert [entry["query"] for entry in result.trace] == list(range(1, 21))


@every_strategy
def test_several_budgets_are_kept_in_a_space_that_cannot_be_listed(kind):
    task = two_budgets()
    result = searched(kind(queries=12), task, seed(0))
    assert task.feasible(np.array([result.best.indices]))[0]
    assert all(len(t.latencies_ms) == 2 for t in result.trials)


@every_strategy
def test_another_seed_is_another_search(kind):
    """The same one is the same search: that is in the contract, and told in all by the next test."""
    one, other = (searched(kind(queries=16), task_in("macro"), seed(s)) for s in (1, 2))
    assert one.trials != other.trials


@every_strategy
@pytest.mark.parametrize("extra", [{}, {"remeasure": 0.25, "parallel": 3}], ids=["plain", "parallel"])
def test_resumed_equals_uninterrupted(kind, extra, tmp_path):
    """Cut off in the middle of a line; only what is missing is scored again."""
    task, scored = task_in("macro", noise=0.01), []

    def counting(arch):
        scored.append(arch.indices)
        return task.evaluate(arch)

    path = tmp_path / "history.jsonl"
    whole = searched(kind(queries=16, **extra), task, seed(3), history=path)
    lines = path.read_text().splitlines(keepends=True)
    assert len(lines) == 1 + 16
    path.write_text("".join(lines[:12]) + lines[12][:20])
    again = Task(task.space, task.constraints, counting)
    resumed = searched(kind(queries=16, **extra), again, seed(3), history=path)
    assert len(scored) == 16 - 11
    assert (resumed.trials, resumed.trace, resumed.best) == (whole.trials, whole.trace, whole.best)
    assert resumed.config == whole.config
    kept = [json.loads(line)["indices"] for line in path.read_text().splitlines()[1:]]
    assert kept == [list(t.indices) for t in whole.trials]


@every_strategy
def test_nothing_new_is_left_in_a_small_space(kind):
    """Four networks, three of them feasible: the search ends by itself."""
    candidates = (Skip(8, 8), MBConv(8, 8, expansion_ratio=2), MBConv(8, 8, expansion_ratio=3))
    wide = (MBConv(8, 8, expansion_ratio=2, kernel_size=5), Skip(8, 8))
    space = SearchSpace(
        "tiny", (3, 8, 8), (Conv(3, 8),), (Choice("a", candidates), Choice("b", wide)), (Head(8, 8, 4),)
    )
    task = Task(space, task_in_space(space, 0.45), known_accuracy(space))
    result = searched(kind(queries=50), task, seed(0))
    keys = [Canonical(space).key(t.indices) for t in result.trials]
    assert len(keys) == len(set(keys)) <= 6
    assert task.feasible(np.array([result.best.indices]))[0]


def task_in_space(space, share):
    from sampling_helpers import macs_costs

    from hwnas.search.problem import relative_budget

    costs = macs_costs(space)
    return (Constraint(Budget("macs", relative_budget(costs, share)), costs),)


@every_strategy
def test_budgets_that_no_architecture_keeps_together_are_refused_first(kind):
    task = task_in("macro", 0.02)
    mirrored = [costs.max() - costs for costs in task.constraints[0].costs.choices]
    costs = type(task.constraints[0].costs)(0.0, tuple(mirrored))
    opposite = Constraint(Budget("opposite", 0.02 * costs.range[1]), costs)

    def never(arch):
        raise AssertionError("nothing may be scored")

    with pytest.raises(InfeasibleBudget, match="all budgets together"):
        searched(kind(queries=5), Task(task.space, (task.constraints[0], opposite), never), seed(0))


def test_only_an_evaluator_that_can_be_sent_scores_in_several_processes(tmp_path):
    """``test_pool`` has one that can."""
    path = tmp_path / "history.jsonl"
    with pytest.raises(SpaceError, match=r"Scores \(known\) cannot: score in this one, by processes:1"):
        searched(
            Random(queries=20, parallel=4), task_in("macro"), seed(0), workers=PoolSpec(count=2), history=path
        )


@pytest.mark.parametrize("name", sorted(search.STRATEGIES))
def test_a_strategy_holds_settings_only(name):
    """Plain values that are its identity; files, processes and who is told are of the session."""
    fields = dataclasses.asdict(search.strategy(name)())
    assert json.loads(json.dumps(fields)) == fields
    assert not set(fields) & {field.name for field in dataclasses.fields(Session)}


def test_a_strategy_that_trains_a_supernet_refuses_an_evaluator_without_one():
    with pytest.raises(SpaceError, match="evaluator with a supernet to train, but got Scores"):
        searched(search.strategy("fbnet")(), task_in("macro"), seed(0))


def test_live_tells_best_and_time_left():
    seen = []
    searched(Random(queries=5), task_in("macro"), seed(0), tell=seen.append)
    assert [entry["query"] for entry in seen] == [1, 2, 3, 4, 5]
    assert seen[-1]["eta_s"] == 0
    assert seen[0]["eta_s"] > 0
    assert {"best_accuracy", "best_latency_ms", "budget_ms", "queries"} <= set(seen[0])
    best = [entry["best_accuracy"] for entry in seen]
    assert best == sorted(best)


def test_more_queries_go_on_from_the_same_history(tmp_path):
    task, path = task_in("macro"), tmp_path / "history.jsonl"
    short = searched(Evolution(queries=15), task, seed(0), history=path)
    long = searched(Evolution(queries=30), task, seed(0), history=path)
    assert long.trials[:15] == short.trials
    assert long.trials == searched(Evolution(queries=30), task, seed(0)).trials


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"strategy": Random(queries=5)}, "strategy"),
        ({"strategy": Evolution(queries=5, tournament=2)}, "settings"),
        ({"task": task_in("macro", 0.5)}, "limits_ms"),
        ({"task": task_in("macro-r64-c10", 0.4)}, "space"),
        ({"seed": 1}, "indices"),
    ],
)
def test_the_history_of_another_search_is_refused(change, field, tmp_path):
    path = tmp_path / "history.jsonl"
    searched(Evolution(queries=5), task_in("macro"), seed(0), history=path)
    before = path.read_bytes()
    kind = type(change.get("strategy", Evolution()))
    settings = change.get("strategy", Evolution(queries=5)).settings()
    again = kind(**settings, queries=5)
    task = change.get("task", task_in("macro"))
    with pytest.raises(SchemaMismatch) as raised:
        searched(again, task, seed(change.get("seed", 0)), history=path)
    assert raised.value.field == field
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (2, "{oops", "line 2"),
        (3, '{"indices": [0]}', "line 3 of .* must hold a trial, but does not: accuracy is missing"),
        (2, "[1]", "JSON object"),
        (2, '{"indices": [0], "accuracy": NaN, "latencies_ms": [1]}', "line 2 .* an accuracy in"),
    ],
)
def test_a_damaged_history_is_refused_with_its_line(line, text, message, tmp_path):
    path = tmp_path / "history.jsonl"
    searched(Random(queries=4), task_in("macro"), seed(0), history=path)
    lines = path.read_text().splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(HwnasError, match=message):
        searched(Random(queries=4), task_in("macro"), seed(0), history=path)
    assert re.search(message, damage(path))


@pytest.mark.parametrize("content", ["", '{"schema": "hwnas-hist'])
def test_a_history_without_a_line_is_named_and_said_how_to_begin_anew(content, tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text(content)
    with pytest.raises(HwnasError, match="has no whole line: remove it where a search is to begin anew"):
        searched(Random(queries=4), task_in("macro"), seed(0), history=path)
    assert "no whole line" in damage(path)


def test_a_whole_history_is_not_called_damaged_and_a_torn_one_is(tmp_path):
    path = tmp_path / "history.jsonl"
    searched(Random(queries=4), task_in("macro"), seed(0), history=path)
    assert damage(path) == ""
    path.write_bytes(path.read_bytes()[:-5])
    assert "was cut off" in damage(path)


@pytest.mark.parametrize("score", [float("nan"), 92.3, -0.1])
def test_a_score_that_is_no_accuracy_is_refused(score):
    task = task_in("macro")
    with pytest.raises(SpaceError, match=r"\[0, 1\]"):
        searched(Random(queries=3), Task(task.space, task.constraints, lambda arch: score), seed(0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"queries": 0}, "queries"), ({"remeasure": 1.0}, "remeasure"), ({"parallel": 0}, "parallel")],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(SpaceError, match=message):
        Random(**settings)


def test_remeasured_leaders_beat_the_luckiest_sample():
    """The best single score is luck; a leader that keeps its score when repeated is not."""
    task = task_in("macro")
    archive = Archive(task)
    lucky, solid, third = (tuple(i) for i in np.array([[0] * 8, [1, *[0] * 7], [0, 1, *[0] * 6]]))
    for indices, scores in ((lucky, (0.9, 0.5)), (solid, (0.8, 0.8)), (third, (0.85,))):
        for score in scores:
            archive.add(Trial(tuple(map(int, indices)), score, (10.0,)))
    assert archive.best().indices == solid
    assert archive.best().quality == pytest.approx(0.8)
    assert archive.doubtful() == third


def test_the_benchmark_has_3969_networks(shared_data):
    """6,561 keys, of which 1,944 groups describe the same network; 2,225 keep 60 M."""
    space = spaces.load("macro")
    benchmark = tabular.load(shared_data / "nas_bench_macro" / "nas-bench-macro_cifar10.json", space)
    assert len(benchmark.runs) == 3969
    task = Task(space, (Constraint(Budget("macs", 60.0), task_in("macro").constraints[0].costs),), float)
    assert task.feasible(benchmark.networks).sum() == 2225
    assert benchmark.oracle(task.feasible) == pytest.approx(0.92567, abs=1e-5)
    answers = {benchmark.evaluator(seed(0))(space.architecture([1] * 8)) for _ in range(3)}
    assert answers <= set(benchmark.runs[(1,) * 8])


def test_twins_are_the_same_blocks_in_the_same_order():
    space, rng = spaces.load("macro"), seed(0)
    canonical = Canonical(space)
    archs = [space.sample(rng) for _ in range(3000)]
    by_key, by_blocks = {}, {}
    for arch in archs:
        by_key.setdefault(canonical.key(arch.indices), set()).add(arch.blocks)
        by_blocks.setdefault(arch.blocks, set()).add(canonical.key(arch.indices))
    assert len(by_key) == len(by_blocks) < len(set(archs))
    assert all(len(found) == 1 for found in (*by_key.values(), *by_blocks.values()))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "one JSON object"),
        ('{"9": {"test_acc": [1]}}', "must be one of macro"),
        ('{"00000000": {}}', "must be one of macro"),
        (
            '{"10010100": {"test_acc": [1]}, "10001100": {"test_acc": [2]}, "10010001": {"test_acc": [3]}}',
            "twin",
        ),
    ],
)
def test_a_benchmark_that_does_not_fit_is_refused(content, message, tmp_path):
    path = tmp_path / "table.json"
    path.write_text(content)
    with pytest.raises(HwnasError, match=message):
        tabular.load(path, spaces.load("macro"))


def test_scores_by_other_weights_of_a_supernet_are_not_taken_over(tmp_path):
    """They are on another scale, however alike the settings are."""
    path, task = tmp_path / "history.jsonl", oneshot_helpers.task_of()
    first = searched(Random(queries=2), task, seed(0), history=path)
    again = searched(Random(queries=2), oneshot_helpers.task_of(), seed(0), history=path)
    assert again.trials == first.trials
    warm_up(task.evaluate, 1)
    with pytest.raises(SchemaMismatch) as caught:
        searched(Random(queries=3), task, seed(0), history=path)
    text = str(caught.value)
    assert "other weights of the supernet, after 0 steps instead of 1, which are on another scale" in text
    assert text.endswith("delete it to start anew")
    header, *lines = path.read_text().splitlines()
    old = json.loads(header)
    del old["evaluate"]["steps"], old["evaluate"]["weights"]
    path.write_text("\n".join([json.dumps(old), *lines]) + "\n")
    longer = searched(Random(queries=3), task, seed(0), history=path)
    assert len(longer.trials) == 3, "that of an older version goes on"

"""Several objectives: their values, the Pareto front over all of them, limits on them."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from oneshot_helpers import latency_file, task_of
from sampling_helpers import task_in, two_budgets
from task_helpers import Task, searched
from typer.testing import CliRunner

from hwnas import blocks, export, files, search, spaces
from hwnas.budget import Budget
from hwnas.errors import InfeasibleBudget, SchemaMismatch, SpaceError
from hwnas.runs.trial import Trial
from hwnas.search.objective import OBJECTIVES, objective, sizes
from hwnas.search.oneshot.fbnet import FBNet
from hwnas.search.oneshot.proxylessnas import ProxylessNAS
from hwnas.search.problem import Constraint
from hwnas.search.sampling.evolution import Evolution
from hwnas.search.sampling.mnasnet import MnasNet
from hwnas.search.sampling.nsga2 import NSGA2
from hwnas.search.sampling.random import Random
from hwnas.search.sampling.surrogate import Surrogate
from hwnas.spaces.canonical import Canonical

SAMPLING = (Evolution, MnasNet, NSGA2, Random, Surrogate)


def with_objectives(task: Task, *names: str) -> Task:
    """The task, with more to keep small."""
    return dataclasses.replace(task, objectives=tuple(objective(name, task.space) for name in names))


@pytest.mark.parametrize("name", spaces.SPACES)
def test_macs_and_parameters_are_those_of_the_architecture(name):
    space = spaces.load(name)
    rng = np.random.default_rng(0)
    for arch in [space.sample(rng) for _ in range(5)]:
        row = np.array([arch.indices])
        found = sizes(arch, "int8")
        assert (found["macs"], found["params"]) == (arch.macs, arch.params)
        for name, value in found.items():
            summed = objective(name, space, "int8").costs.of(row)[0]
            assert summed >= value if space.is_tied else summed == value, "what nobody reads counts in sums"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_bytes_are_those_of_the_exported_model(precision):
    """But for the file's structure, which is some 20 kB."""
    space = spaces.load("macro", resolution=16)
    arch = space.architecture([1, 0, 2, 1, 0, 2, 0, 1])
    images = np.random.default_rng(0).normal(size=(4, *space.input_shape)).astype(np.float32)
    lowered = export.lower(
        blocks.network(arch).eval(),
        space.input_shape,
        "litert",
        precision,
        calibration=images,
        check=False,
    )
    told = objective("bytes", space, precision).costs.of(np.array([arch.indices]))[0]
    assert told == pytest.approx(len(lowered.model), rel=0.02, abs=20_000)


@pytest.mark.parametrize(("name", "precision"), [("flops", "fp32"), ("bytes", "int3")])
def test_unknown_objectives_are_refused(name, precision):
    with pytest.raises(SpaceError, match="must be one of"):
        objective(name, spaces.load("macro"), precision)


def test_objectives_of_another_space_are_refused():
    with pytest.raises(SpaceError, match="costs of params"):
        dataclasses.replace(task_in("macro"), objectives=(objective("params", spaces.load("fbnet")),))


@pytest.mark.parametrize("kind", [NSGA2, Random])
def test_the_front_is_what_no_network_beats_in_everything(kind):
    """Accuracy, latency on two targets and parameters, against the definition."""
    task = with_objectives(two_budgets("macro", 0.6), "params")
    result = searched(kind(queries=60, remeasure=0.2), task, np.random.default_rng(0))
    canonical, trials = Canonical(task.space), {}
    for trial in result.trials:
        trials.setdefault(canonical.key(trial.indices), []).append(trial)
    points = {}
    for key, found in trials.items():
        indices = found[0].indices
        costs = *task.costs(np.array([indices]))[0], task.space.architecture(indices).params
        points[key] = (-np.mean([trial.quality for trial in found]), *costs)
    front = {
        key
        for key, own in points.items()
        if not any(all(a <= b for a, b in zip(p, own, strict=True)) and p != own for p in points.values())
    }
    found = [canonical.key(t.indices) for t in result.pareto()]
    assert set(found) == front
    assert len(found) == len(front) > 3
    assert all(len(t.costs) == 2 and len(t.objectives) == 1 for t in result.trials)


def test_nsga2_is_told_every_objective():
    task = with_objectives(two_budgets("macro", 0.6), "macs", "params")
    sampler = NSGA2(population=4).sampler(task, np.random.default_rng(0))
    indices = sampler.ask()
    arch = task.space.architecture(indices)
    trial = task.described(indices, task.evaluate(arch))
    sampler.tell(trial)
    assert sampler.study.trials[0].values == [trial.quality, *trial.costs, arch.macs, arch.params]
    assert [d.name for d in sampler.study.directions] == ["MAXIMIZE"] + 4 * ["MINIMIZE"]


@pytest.mark.parametrize("kind", SAMPLING)
def test_sampling_strategies_keep_limits_on_other_things(kind):
    task = task_in("macro", 0.7)
    small = objective("bytes", task.space)
    low, high = small.costs.range
    limit = Constraint(Budget("bytes", low + 0.3 * (high - low), small.costs.unit), small.costs)
    both = dataclasses.replace(task, constraints=(*task.constraints, limit))
    result = searched(kind(queries=30), both, np.random.default_rng(0))
    assert small.costs.of(np.array([result.best.indices]))[0] <= limit.budget.limit
    assert both.feasible(np.array([result.best.indices]))[0]
    for trial in result.trials:
        assert len(trial.latencies_ms) == 1
        assert trial.limited == (small.costs.of(np.array([trial.indices]))[0],), "bytes are no milliseconds"
        assert Trial.from_json(trial.to_json()) == trial


def test_files_of_earlier_versions_have_limits_among_the_latencies():
    old = Trial.from_json({"indices": [0, 1], "accuracy": 0.5, "latencies_ms": [2.0, 4e6]})
    assert old.costs == (2.0, 4e6)
    plain = Trial((0, 1), 0.5, (2.0,)).to_json()
    assert plain == {"indices": [0, 1], "accuracy": 0.5, "latencies_ms": [2.0], "objectives": []}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [FBNet, ProxylessNAS])
def test_one_shot_strategies_keep_limits_on_other_things(kind):
    task = task_of(0.7)
    small = objective("params", task.space)
    low, high = small.costs.range
    limit = Constraint(Budget("params", low + 0.3 * (high - low), small.costs.unit), small.costs)
    both = with_objectives(dataclasses.replace(task, constraints=(*task.constraints, limit)), "macs")
    result = searched(kind(warmup_steps=2, steps=4, finalists=3), both, np.random.default_rng(0))
    assert result.best.params <= limit.budget.limit
    assert len(result.extra["limit_ms"]) == len(result.trace[-1]["expected_ms"]) == 1
    assert result.extra["limit_limited"] == [limit.budget.limit]
    assert result.extra["argmax"]["limited"] == [
        task.space.architecture(result.extra["argmax"]["indices"]).params
    ]
    assert [t.objectives[0] for t in result.trials] == [
        task.space.architecture(t.indices).macs for t in result.trials
    ]


def test_a_limit_that_nothing_keeps_is_refused_in_its_own_unit():
    small = objective("bytes", spaces.load("macro"))
    with pytest.raises(InfeasibleBudget, match=r"smallest architecture, but got 10 bytes < .* bytes"):
        Constraint(Budget("bytes", 10, small.costs.unit), small.costs)


def test_a_search_with_objectives_resumes_and_no_other_continues_it(tmp_path):
    task, path = with_objectives(task_in("macro"), "macs", "bytes"), tmp_path / "history.jsonl"
    whole = searched(NSGA2(queries=30), task, np.random.default_rng(0))
    searched(NSGA2(queries=12), task, np.random.default_rng(0), history=path)
    resumed = searched(NSGA2(queries=30), task, np.random.default_rng(0), history=path)
    assert (resumed.trials, resumed.pareto()) == (whole.trials, whole.pareto())
    with pytest.raises(SchemaMismatch, match="objectives"):
        searched(NSGA2(queries=30), task_in("macro"), np.random.default_rng(0), history=path)


def test_results_hold_the_front():
    task = with_objectives(task_in("macro"), "macs")
    result = searched(Random(queries=20), task, np.random.default_rng(0))
    data = json.loads(json.dumps(search.to_json(result), allow_nan=False))
    assert [tuple(t["indices"]) for t in data["pareto"]] == [t.indices for t in result.pareto()]
    assert search.from_json(task.space, data) == result


@pytest.mark.slow
def test_the_command_keeps_limits_and_tells_sizes_and_the_front(tmp_path):
    from hwnas.cli import app

    model, out = latency_file(tmp_path / "latency.json"), tmp_path / "run"
    arguments = [
        "search", "--latency", model, "--budget-ms", "80%", "--out", out, "--space", "macro-r8-c10",
        "--proxy-width", "0.25", "--batch-size", "32", "--warmup-steps", "3", "--steps", "3",
        "--strategy", "random", "--queries", "4", "--objective", "params", "--limit", "params=1.2e6",
    ]  # fmt: skip
    done = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    record = files.read_json(out / "search.json", "record")
    arch = spaces.architecture_from_json(files.read_json(out / "arch.json", "architecture"))
    assert record["sizes"] == {
        name: objective(name, arch.space, "int8").costs.of(np.array([arch.indices]))[0] for name in OBJECTIVES
    }
    assert record["sizes"]["params"] == arch.params <= 1.2e6
    assert record["limits"] == {"params": 1.2e6}
    assert len(record["pareto"]) >= 1
    assert f"{arch.params / 1e6:.3f} M parameters" in " ".join(done.output.split())
    arguments[-1] = "params"
    refused = CliRunner().invoke(app, [str(a) for a in [*arguments[:6], tmp_path / "other", *arguments[7:]]])
    assert refused.exit_code == 2

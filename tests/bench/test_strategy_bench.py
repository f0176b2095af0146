"""Strategies side by side: equal cost, controls that are always there, and nothing that is run twice."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
from accessibility import shown_to_all
from typer.testing import CliRunner

from hwnas import latency, report, search, spaces
from hwnas.bench import BenchAsked, Entrant, bench
from hwnas.bench import record as records
from hwnas.bench.asked import sources
from hwnas.bench.entrants import LARGEST, RANDOM
from hwnas.bench.ground import ground
from hwnas.bench.record import BenchFound
from hwnas.bench.results import of
from hwnas.blocks import Conv, Head, MBConv, Skip
from hwnas.cli import app
from hwnas.errors import DataError, HwnasError, InfeasibleBudget, NothingFeasible, SchemaMismatch, SpaceError
from hwnas.latency.base import Cost
from hwnas.report import _bench
from hwnas.runs.folder import BenchFolder
from hwnas.search.sampling.loop import SamplingStrategy
from hwnas.search.session import Session
from hwnas.space import Choice, SearchSpace
from hwnas.spaces.canonical import Canonical


def small(resolution: int = 8, num_classes: int = 10) -> SearchSpace:
    """45 networks of 81 architectures."""
    places = ((8, 16, 2), (16, 16, 1), (16, 16, 1), (16, 16, 1))
    choices = (
        Choice(
            f"place{number}",
            (
                Skip(*place, activation="none"),
                MBConv(*place[:2], kernel_size=3, stride=place[2], expansion_ratio=1),
                MBConv(*place[:2], kernel_size=5, stride=place[2], expansion_ratio=2),
            ),
        )
        for number, place in enumerate(places)
    )
    name = f"small-r{resolution}-c{num_classes}"
    shape = (3, resolution, resolution)
    return SearchSpace(
        name, shape, (Conv(3, 8, kernel_size=3),), tuple(choices), (Head(16, 16, num_classes),)
    )


def table_of(space):
    """Three trainings of every network; what is large is better, but for one that is best of all."""
    canonical, table = Canonical(space), {}
    for indices in np.ndindex(*space.sizes):
        key = canonical.key(indices)
        rng = np.random.default_rng(key)
        best = 60 + 12.0 * sum(key) / len(key) + 9.0 * (key == (1, 2, 1, 0)) + rng.uniform(0, 2)
        table["".join(map(str, indices))] = {"test_acc": (best + rng.normal(0, 0.3, 3)).tolist()}
    return table


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setitem(spaces.SPACES, "small", small)
    path = tmp_path / "table.json"
    path.write_text(json.dumps(table_of(small())))
    return path


def asked(file, *strategies, budgets=("60%",), queries=(4, 8), seeds=2, space="small"):
    return BenchAsked(sources(file, space), strategies, budgets, queries, seeds)


def run(what, folder):
    """What is found, and how many searches that took."""
    counted = []
    found = bench(what, folder, tell=lambda done, count: counted.append(count))
    return found, len(counted)


def without_time(found):
    points = tuple(dataclasses.replace(point, query_ms=0.0) for point in found.points)
    return dataclasses.replace(found, points=points, created="")


def test_both_controls_are_always_there(file, tmp_path):
    found, _ = run(asked(file, "evolution"), tmp_path / "out")
    assert found.entrants == ("evolution", RANDOM, LARGEST)
    assert {(p.entrant, p.queries) for p in found.points} == {(n, q) for n in found.entrants for q in (4, 8)}
    assert len(found.pairings) == 3
    said = " ".join(found.said)
    assert "2 matched searches cannot show any difference among 3 pairs" in said
    assert "random (control)" in said
    assert "largest that fits (control, no query)" in said


def test_regret_is_what_the_best_network_has_more(file, tmp_path):
    """Enough queries for every network of which one training is far ahead: nothing is left to regret."""
    found, _ = run(asked(file, RANDOM, queries=(1, 45)), tmp_path / "out")
    (budget,) = found.budgets
    on = ground(sources(file, "small"))
    costs = on.costs.of(on.networks)
    means = on.accuracies[costs <= budget.limit]
    assert (budget.networks, budget.oracle, budget.worst) == (len(means), means.max(), means.min())
    assert found.point(RANDOM, budget.limit, 45).regret == 0
    assert found.point(RANDOM, budget.limit, 1).regret > 1
    macs = np.where(costs <= budget.limit, costs, 0)
    assert budget.largest == pytest.approx(on.accuracies[macs == macs.max()].max())
    assert found.point(LARGEST, budget.limit, 1).regret == pytest.approx(means.max() - budget.largest)


def test_a_course_is_read_only_where_it_does_not_depend_on_the_queries(file):
    jobs = list(asked(file, "evolution", "evolution+remeasure", "mnasnet").jobs([1.0, 2.0], ()))
    first = [(job.entrant, job.queries) for job in jobs if (job.seed, job.budget) == (0, 1.0)]
    assert first == [
        ("evolution", (4, 8)),
        ("evolution+remeasure", (4,)),
        ("evolution+remeasure", (8,)),
        ("mnasnet", (4,)),
        ("mnasnet", (8,)),
        (RANDOM, (4, 8)),
    ]
    assert [job.seed for job in jobs] == [0] * 12 + [1] * 12, "seed by seed"


def anytime():
    kinds = (search.strategy(name) for name in sorted(search.STRATEGIES))
    return [kind for kind in kinds if issubclass(kind, SamplingStrategy) and kind.is_anytime]


@pytest.mark.parametrize("kind", anytime(), ids=lambda kind: kind.name)
def test_who_promises_that_the_number_of_queries_changes_nothing_keeps_it(kind, file):
    on = ground(sources(file, "small"))
    problem = on.problem(on.limit(80, True))
    traces = []
    for queries in (9, 14):
        evaluator = on.benchmark.evaluator(np.random.default_rng(1))
        result = kind(queries=queries).search(problem, evaluator, np.random.default_rng(2), Session())
        traces.append(
            [(trial.indices, step["best"]) for trial, step in zip(result.trials, result.trace, strict=True)]
        )
    assert traces[0] == traces[1][:9]


def test_a_bench_that_was_cut_off_goes_on_as_if_it_had_not_been(file, tmp_path):
    what = asked(file, "evolution", "evolution+remeasure")
    whole, count = run(what, tmp_path / "whole")
    assert count == 8
    lines = BenchFolder(tmp_path / "whole").jobs.read_text().splitlines(keepends=True)
    cut = tmp_path / "cut"
    cut.mkdir()
    BenchFolder(cut).jobs.write_text("".join(lines[:4]) + lines[4][:30])  # as kill -9 leaves it
    found, count = run(what, cut)
    assert count == 5
    assert without_time(found) == without_time(whole)
    assert all(map(json.loads, BenchFolder(cut).jobs.read_text().splitlines()))


def test_more_seeds_and_strategies_run_only_what_is_missing(file, tmp_path):
    _, count = run(asked(file, seeds=1), tmp_path / "out")
    assert count == 1
    _, count = run(asked(file, "evolution", seeds=2), tmp_path / "out")
    assert count == 3
    _, count = run(asked(file, "evolution", seeds=2, queries=(4, 6, 8)), tmp_path / "out")
    assert count == 4, "one more number of queries"
    found, count = run(asked(file, "evolution", seeds=2, queries=(4, 6, 8)), tmp_path / "out")
    assert count == 0
    fresh, _ = run(asked(file, "evolution", seeds=2, queries=(4, 6, 8)), tmp_path / "fresh")
    assert without_time(found) == without_time(fresh)


def test_an_interruption_keeps_what_was_finished(file, tmp_path):
    def stop(done, count):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench(asked(file, "evolution"), tmp_path / "out", tell=stop)
    assert run(asked(file, "evolution"), tmp_path / "out")[1] == 2


def test_costs_may_be_those_of_a_latency_model(file, tmp_path, monkeypatch):
    """Where depth is dear and width is not, other networks fit."""

    class Model:
        def costs(self, space):
            return Cost(1.0, tuple(np.array([0.0, 1.0, 1.0]) for _ in space.sizes))

    monkeypatch.setattr(latency, "load", lambda path, space: Model())
    costs = tmp_path / "latency.json"
    costs.write_text("{}")
    what = BenchAsked(sources(file, "small", costs), (), ("3",), (4,), 1)
    found, _ = run(what, tmp_path / "out")
    assert (found.unit, found.budgets[0].limit) == ("ms", 3.0)
    assert found.budgets[0].largest_indices.count(0) == 2
    assert found.identity["costs"].startswith("ms by a model of SHA-256")
    with pytest.raises(SchemaMismatch, match="its costs is 'ms by a model"):
        run(asked(file, queries=(4,), seeds=1), tmp_path / "out")


def test_a_folder_of_another_bench_is_refused_with_what_differs(file, tmp_path):
    run(asked(file, seeds=1), tmp_path / "out")
    table = json.loads(file.read_text())
    table["2222"]["test_acc"] = [1.0, 2.0, 3.0]
    other = tmp_path / "other.json"
    other.write_text(json.dumps(table))
    with pytest.raises(SchemaMismatch, match=r"its benchmark_sha256 is .* instead of .*: give another --out"):
        run(asked(other, seeds=1), tmp_path / "out")


@pytest.mark.parametrize(
    ("line", "said"),
    [("{}", "must hold a search"), ("no", "must be a JSON object"), ("[]", "must be a JSON")],
)
def test_a_damaged_line_is_named(line, said, file, tmp_path):
    run(asked(file, seeds=1), tmp_path / "out")
    with BenchFolder(tmp_path / "out").jobs.open("a") as jobs:
        jobs.write(f"{line}\n")
    with pytest.raises(HwnasError, match=f"line 3 of .* {said}.*delete that line"):
        run(asked(file, seeds=1), tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: {}, "has 0 of 45"),
        (lambda table: dict(list(table.items())[:60]), "of 45"),
        (lambda table: table | {"2222": {"test_acc": []}}, "test_acc of 2222"),
        (lambda table: table | {"2222": {"test_acc": [101.0]}}, "test_acc of 2222"),
        (lambda table: {"conv3x3": {}}, "a key must be one of small"),
        (lambda table: [1], "one JSON object"),
    ],
)
def test_what_is_no_table_of_the_space_is_refused(change, said, file, tmp_path):
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(DataError, match=said):
        run(asked(file), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_budget_that_no_network_keeps_is_refused(file, tmp_path):
    with pytest.raises(InfeasibleBudget, match="smallest architecture"):
        run(asked(file, budgets=("0.0001",)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"queries": (0, 5)}, "queries must be at least 1"),
        ({"queries": ()}, "queries must be at least 1"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"budgets": ()}, "must have a budget"),
        ({"budgets": ("nan",)}, "a budget must be a number"),
        ({"budgets": ("-3",)}, "a budget must be a number"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(change, said, file):
    with pytest.raises(SpaceError, match=said):
        asked(file, **change)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("spos", "spos trains a supernet"),
        ("exact", "exact needs errors of blocks"),
        ("asha", "asha trains networks for less"),
        ("evolution+magic", "a strategy must be one of"),
    ],
)
def test_who_cannot_ask_a_table_is_refused(name, said):
    with pytest.raises(SpaceError, match=said):
        Entrant(name)


def test_a_search_that_found_nothing_counts_as_the_worst(file):
    what = asked(file, seeds=1, queries=(4,))
    on = ground(what.sources)
    ((_, limit),) = what.limits(on)
    found = of(what, on, {(RANDOM, limit, 0, 4): BenchFound(4, None, 4, 4, 0.1)})
    assert found.points[0].regret == pytest.approx(found.budgets[0].oracle - found.budgets[0].worst)
    assert "1 searches scored no network within their budget" in found.said[-1]


def test_a_control_that_is_far_off_does_not_press_the_curves_to_the_bottom(file, tmp_path):
    found, _ = run(asked(file, "evolution"), tmp_path / "out")
    (budget,) = found.budgets
    near, far = (dataclasses.replace(budget, largest=budget.oracle - points) for points in (0.01, 100.0))
    for shown, level in ((near, True), (far, False)):
        page = _bench.page(dataclasses.replace(found, budgets=(shown,)))
        assert ('class="level"' in page) is level
        assert ("above the chart, at 100.00" in page) is not level


def test_a_search_that_scores_nothing_feasible_says_so(file, monkeypatch, tmp_path):
    def refuse(*_):
        raise NothingFeasible("none")

    monkeypatch.setattr(search.strategy(RANDOM), "search", refuse)
    found, _ = run(asked(file, seeds=1), tmp_path / "out")
    assert {p.nothing for p in found.points if p.entrant == RANDOM} == {1}


def test_the_command_from_end_to_end(file, tmp_path):
    out = tmp_path / "out"
    words = ["bench", str(file), "--space", "small", "--strategies", "evolution,evolution+remeasure"]
    words += ["--budgets", "60%,80%", "--queries", "4,8", "--seeds", "2", "--out", str(out)]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    for text in ("evolution+remeasure", "random (control)", "largest that fits", "wins / equal / losses"):
        assert text in shown.stdout
    data = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert data["schema"] == "hwnas-bench/1"
    assert [b["asked"] for b in data["budgets"]] == ["60%", "80%"]
    assert json.loads(BenchFolder(out).result.read_text()) == data
    page = BenchFolder(out).page.read_text()
    assert page.startswith("<!doctype html>")
    assert page.count("<svg class") == 2, "a chart a budget"
    for text in (*data["entrants"], data["identity"]["benchmark_sha256"], "Who wins?", "Holm"):
        assert text in page
    assert len(records.opened(BenchFolder(out).jobs, data["identity"])) == 16


@pytest.mark.slow
def test_several_processes_find_what_one_does(tmp_path):
    file = tmp_path / "table.json"
    file.write_text(json.dumps(table_of(spaces.load("macro-r8-c10"))))
    what = asked(file, "evolution", "surrogate", space="macro-r8-c10")
    one, _ = run(what, tmp_path / "one")
    two = bench(what, tmp_path / "two", pool="processes:2")
    assert without_time(one) == without_time(two)
    shutil.rmtree(tmp_path / "two")


@pytest.mark.slow
def test_nobody_is_shut_out_of_the_page_of_a_bench(file, tmp_path, browser):
    found, _ = run(asked(file, "evolution"), tmp_path / "out")
    page = tmp_path / "bench.html"
    report.write_bench(found, page)
    assert shown_to_all(browser, page) == []
    browser.press("Tab")
    assert browser.evaluate("document.querySelector('.readout').textContent").count("(") >= 1
    assert browser.problems == []

"""From a device and a budget to a network that was measured to keep it: real runtimes, real files."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from finalists_helpers import SPACE, space
from quick_measuring import form
from typer.testing import CliRunner

from hwnas import budget, device, files, finalists, latency, measure, report, spaces
from hwnas.budget import Budget
from hwnas.cli import app
from hwnas.device import Target
from hwnas.errors import HwnasError, InfeasibleBudget, TableError
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.finalists import models, ranges
from hwnas.finalists.bench import Bench
from hwnas.finalists.latencies import LatencyConstraint
from hwnas.finalists.reading import Reading
from hwnas.runs.gallery import GalleryEntry
from hwnas.search import searching
from hwnas.search.pick import pick
from hwnas.search.request import SearchRequest
from hwnas.statistics.bounds import decimals
from hwnas.statistics.verdict import FAIL, NOT_PROVEN, PASS, UNUSABLE, on_budget
from hwnas.tables.table import LatencyTable
from hwnas.train import TrainConfig
from hwnas.train.training import train_run

pytestmark = pytest.mark.usefixtures("warm_processes")
SHORT = {"samples": 3, "min_sample_ms": 0.3, "warmup_min_ms": 1.0, "warmup_max_ms": 3.0}
PROFILE = form(3, **SHORT, calibration_networks=6, heldout_networks=0)
QUICK = form(6, **SHORT)
OPTIONS = finalists.SearchOptions(
    measuring=QUICK,
    gallery_points=4,
    gallery_each=2,
    finalists=finalists.FinalistsOptions(
        finalists=2, rounds=2, batch=1, scored=2, sessions=1, most_sessions=1
    ),
)


@pytest.fixture(scope="module")
def tables(tmp_path_factory, warm_processes):
    """A few rounds of the macro space at 8 pixels, measured on this machine."""
    folder = tmp_path_factory.mktemp("tables")
    host = device.load("host")
    measure.profile(host, space(), [host.target("litert", p) for p in ("int8", "fp32")], folder, PROFILE)
    return folder


def request(**given):
    values = {
        "space": SPACE,
        "latencies": (),
        "budgets": (),
        "oneshot": OneShotConfig(width=0.25, batch_size=32, recalibration_images=64, validation_images=100),
        "strategy": "random",
        "settings": {"queries": 4},
        "training_steps": 4,
    }
    return SearchRequest(**(values | given))


@pytest.fixture(scope="module")
def kept(tables, tmp_path_factory):
    run = tmp_path_factory.mktemp("kept") / "run"
    budgets = budget.parse(["host/litert-int8=70%", "host/litert-fp32=60%"])
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((latency, "load"), (searching, "constraints_of")):
            patch.setattr(module, name, counting(getattr(module, name)))
        record = finalists.search_for(budgets, request(), run, replace(OPTIONS, tables=tables)).to_json()
    return run, record, budgets


CALLED: Counter[str] = Counter()


def counting(function):
    """The same function, counted by its name in ``CALLED``."""

    def counted(*args, **kwargs):
        CALLED[function.__name__] += 1
        return function(*args, **kwargs)

    return counted


@pytest.mark.usefixtures("kept")
def test_a_search_with_its_finalists_and_gallery_reads_each_latency_model_once():
    assert CALLED == {"load": 2, "constraints_of": 1}


def test_after_a_plus_minus_stands_the_longer_arm():
    """As everywhere: ± 0.003 on the terminal and ± 0.004 in the report were of one interval."""
    assert Reading(0.164, 0.162, 0.168, 2).arm_ms == pytest.approx(0.004)
    assert Reading(0.164, 0.160, 0.166, 2).arm_ms == pytest.approx(0.004)


def assert_sentence(target):
    """Every number in it is one of the record's; ± is half a 95 % interval, or its longer arm."""
    found = re.fullmatch(
        r"(.*): asked (.*) ms, predicted (.*) ± (.*), measured (.*) ± (.*): (.*)% of the budget, (.*)",
        target["sentence"],
    )
    name, *said, used, word = found.groups()
    assert (name, word) == (target["name"], target["verdict"])
    assert used == f"{100 * target['measured_ms'] / target['asked_ms']:.0f}"
    low, high = target["interval_ms"]
    values = [target["asked_ms"], target["predicted_ms"], 1.959964 * target["predicted_std_ms"]]
    measured_ms = target["measured_ms"]
    values += [measured_ms, max(measured_ms - low, high - measured_ms)]
    digits = len(said[0].partition(".")[2])
    assert said == [f"{value:.{digits}f}" for value in values]


def test_the_verdict_on_both_budgets_is_that_of_what_was_measured(kept):
    """How noisy this machine is decides what is proven; the record says so either way."""
    run, record, _ = kept
    assert record == files.read_json(run / "search.json", "record")
    found = record["promise"]
    assert found["kept"] == (found["verdict"] == PASS)
    assert found["verdict"] in (PASS, NOT_PROVEN)
    assert found["refusal"] is None
    assert [t["name"] for t in found["targets"]] == ["host/litert-int8", "host/litert-fp32"]
    for target, constraint in zip(found["targets"], record["constraints"], strict=True):
        assert target["asked_ms"] == constraint["budget_ms"]
        quality = Reading(1.0, 1.0, 1.0, 1, True, target["quality"]["word"], target["quality"]["reasons"])
        judged = on_budget(target["measured_ms"], target["interval_ms"], target["asked_ms"], quality)
        assert target["verdict"] == judged.word
        assert not (found["kept"] and target["verdict"] != PASS)
        assert target["sessions"] >= 1
        assert target["note"] == "", "the table is of this machine, so its scale is used"
        assert_sentence(target)
        assert constraint["measured_ms"] == target["measured_ms"]
    arch = spaces.architecture_from_json(files.read_json(run / "arch.json", "arch"))
    assert list(arch.indices) == record["best"]
    assert found["rank"] == "int8"
    entries = [entry for step in found["steps"] for entry in step["entries"]]
    assert all({"fp32", "int8"} == set(entry["accuracy"]) for entry in entries)
    assert record["best"] in [entry["indices"] for entry in entries]


def test_a_network_has_one_prediction_wherever_it_is_shown(kept, tmp_path):
    """In the promise, in every round that measured it, in what verify and reports read, and in a pick."""
    run, record, _ = kept
    best = record["best"]
    said = [target["predicted_ms"] for target in record["promise"]["targets"]]
    stds = [target["predicted_std_ms"] for target in record["promise"]["targets"]]
    assert [item["predicted_ms"] for item in record["constraints"]] == said
    assert [item["predicted_std_ms"] for item in record["constraints"]] == stds
    for step in record["promise"]["steps"]:
        for entry in step["entries"]:
            if entry["indices"] == best:
                assert entry["predicted_ms"] == said
    gallery = files.read_json(run / "gallery.json", "gallery")
    (shown,) = [entry for entry in gallery["entries"] if entry["indices"] == best]
    assert shown["predicted_ms"] == said
    assert shown["predicted_std_ms"] == stds
    trials = [t for t in record["trials"] if t["indices"] == best]
    assert all(trial["latencies_ms"] == said for trial in trials)
    again = Path(shutil.copytree(run, tmp_path / "again"))
    files.write_json(again / "gallery.json", gallery | {"entries": [shown]})
    picked = pick(again, [Budget.read("1000")], tmp_path / "picked")
    assert [item.predicted_ms for item in picked.budgets] == said


@pytest.mark.slow
def test_raw_samples_are_kept_and_nothing_is_measured_twice(kept, tables, tmp_path):
    run, record, budgets = kept
    again = Path(shutil.copytree(run, tmp_path / "again"))
    (again / "gallery.json").unlink()
    cut_off = {key: value for key, value in record.items() if key != "promise"}
    files.write_json(again / "search.json", cut_off)
    paths = sorted((again / "finalists").glob("*.jsonl"))
    assert [p.name for p in paths] == ["host-litert-fp32.jsonl", "host-litert-int8.jsonl"]
    before = [p.read_bytes() for p in paths]
    assert {m.kind for m in LatencyTable.load(paths[0]).measurements.values()} == {"finalist"}
    with pytest.raises(HwnasError, match=r"another search \(it differs in seed.*\)"):
        finalists.search_for(budgets, request(seed=1), again, replace(OPTIONS, tables=tables))
    resumed = finalists.select_finalist(again, measuring=QUICK, options=OPTIONS.finalists).to_json()
    measured = {tuple(e["indices"]) for s in record["promise"]["steps"] for e in s["entries"]}
    now = {tuple(e["indices"]) for s in resumed["promise"]["steps"] for e in s["entries"]}
    if now <= measured:
        assert [p.read_bytes() for p in paths] == before
    for old, path in zip(before, paths, strict=True):
        assert path.read_bytes().startswith(old)
    assert resumed["promise"]["verdict"] in (PASS, NOT_PROVEN)


def test_a_dry_run_says_what_would_be_measured(tables, tmp_path):
    words = ["search", "--space", SPACE, "--tables", str(tables), "--out", str(tmp_path / "new"), "--dry-run"]
    words += ["--device", "host/litert-int8=70%", "--device", "host/auto-fp32=60%", "--json"]
    words += ["--set", "promise.finalists=2", "--set", "promise.rounds=3", "--set", "promise.batch=1"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    (session,) = told["sessions"]
    assert (session["target"], session["count"]) == ("host/litert-int8", [2, 4])
    assert session["least_s"] > 0
    assert any("not known" in note for note in told["notes"])
    assert any("one is chosen" in note for note in told["notes"])
    assert not (tmp_path / "new").exists()
    words[words.index(str(tables))] = str(tmp_path)
    assert isinstance(CliRunner().invoke(app, words).exception, TableError)


def test_a_finished_run_is_not_overwritten(kept, tables, tmp_path):
    run, record, budgets = kept
    done = Path(shutil.copytree(run, tmp_path / "done"))
    files.write_json(done / "search.json", record | {"promise": {**record["promise"], "kept": True}})
    with pytest.raises(HwnasError, match="holds a finished search"):
        finalists.search_for(budgets, request(), done, replace(OPTIONS, tables=tables))


@pytest.mark.slow
def test_a_run_that_could_not_be_proven_is_measured_further(kept, tables, tmp_path):
    run, record, budgets = kept
    again = Path(shutil.copytree(run, tmp_path / "again"))
    files.write_json(again / "search.json", record | {"promise": {**record["promise"], "kept": False}})
    twice = replace(OPTIONS.finalists, most_sessions=2)
    found = finalists.search_for(budgets, request(), again, replace(OPTIONS, tables=tables, finalists=twice))
    assert found.finalists.verdict.word in (PASS, NOT_PROVEN)
    assert (again / "gallery.json").exists()


def known_ms(entry):
    return GalleryEntry.from_json(entry).latencies_ms


def test_the_gallery_spans_the_range_and_is_a_front(kept):
    run, record, _ = kept
    gallery = files.read_json(run / "gallery.json", "gallery")
    assert [t["name"] for t in gallery["targets"]] == ["host/litert-int8", "host/litert-fp32"]
    entries = gallery["entries"]
    assert len(entries) >= 8
    latencies_ms = [known_ms(e)[0] for e in entries]
    assert latencies_ms == sorted(latencies_ms)
    low, high = gallery["targets"][0]["range_ms"]
    assert [low, high] == record["constraints"][0]["range_ms"]
    macs = [space().architecture(e["indices"]).macs for e in entries]
    least, most = space().macs_range()
    assert min(macs) < least + 0.2 * (most - least)
    assert max(macs) > least + 0.8 * (most - least)
    front = [e for e in entries if e["front"]]
    for entry in entries:
        least, most = entry["accuracy_interval"]
        assert least <= entry["accuracy"] <= most
        assert all(std > 0 for std in entry["predicted_std_ms"])
        beaten = [
            other
            for other in front
            if other["accuracy"] >= entry["accuracy"]
            and all(np.array(known_ms(other)) <= np.array(known_ms(entry)))
        ]
        assert beaten, "an entry is on the front or beaten by one that is"
    measured = [e["indices"] for e in entries if e["measured_ms"][0] is not None]
    assert record["best"] in measured


@pytest.mark.slow
def test_another_budget_is_picked_and_trained_without_searching(kept, tmp_path):
    run, _, _ = kept
    record = pick(run, [Budget.read("90%")], tmp_path / "picked").to_json()
    searched = files.read_json(run / "search.json", "s")["constraints"]
    shown = files.read_json(run / "gallery.json", "g")["targets"]
    for item, before, target in zip(record["constraints"], searched, shown, strict=True):
        low, high = before["range_ms"]
        assert target["range_ms"] == [low, high], "one range, wherever shares are taken of it"
        assert item["budget_ms"] == pytest.approx(low + 0.9 * (high - low))
        assert (item["measured_ms"] or item["predicted_ms"]) <= item["budget_ms"]
    assert "promise" not in record
    trained = train_run(tmp_path / "picked", TrainConfig(epochs=1, batch_size=64))
    assert trained.architecture == files.read_json(tmp_path / "picked" / "arch.json", "a")["id"]
    one = pick(run, [Budget.read("30%", "host/litert-fp32")], tmp_path / "one").to_json()
    assert [c["name"] for c in one["constraints"]] == ["host/litert-fp32"]
    assert all(len(t["latencies_ms"]) == 1 for t in one["trials"])
    with pytest.raises(InfeasibleBudget, match=r"none of \d+ keeps 0.0001 ms on host/litert-int8") as refused:
        pick(run, [Budget.read("0.0001")], tmp_path / "none")
    bounds = dict(re.findall(r"ms on (\S+) \(at least ([0-9.]+) ms\)", str(refused.value)))
    pick(run, [Budget.read(bound, name) for name, bound in bounds.items()], tmp_path / "typed")
    with pytest.raises(HwnasError, match="one of the gallery's"):
        pick(run, [Budget.read("5", "pixel")], tmp_path / "none")
    with pytest.raises(HwnasError, match="holds a finished search"):
        pick(run, [Budget.read("90%")], tmp_path / "picked")


def test_runs_of_earlier_versions_are_read(kept, tmp_path):
    """hwnas-promise/1: readings without quality, no verdicts, no warnings."""
    run, record, _ = kept
    again = Path(shutil.copytree(run, tmp_path / "again"))
    promised = {k: v for k, v in record["promise"].items() if k not in ("verdict", "reasons", "warnings")}
    new = ("verdict", "reasons", "quality")
    targets = [{k: v for k, v in target.items() if k not in new} for target in promised["targets"]]
    steps = json.loads(json.dumps(promised["steps"]))
    for entry in [entry for step in steps for entry in step["entries"]]:
        del entry["verdict"]
        fields = ("ms", "low_ms", "high_ms", "sessions")
        entry["measured"] = [{name: reading[name] for name in fields} for reading in entry["measured"]]
    promised |= {"schema": "hwnas-promise/1", "targets": targets, "steps": steps}
    files.write_json(again / "search.json", record | {"promise": promised})
    (again / "gallery.json").unlink()
    gallery = finalists.write_gallery(again, 2, 1)
    assert tuple(record["best"]) in [entry.indices for entry in gallery.entries]
    assert files.read_json(again / "gallery.json", "gallery") == gallery.to_json()
    assert pick(again, [Budget.read("1000")], tmp_path / "picked").finalists is None
    report.write(again)
    assert (again / "report.html").stat().st_size > 10_000


def test_a_picked_network_that_was_measured_is_shown_with_its_interval(kept, tmp_path):
    run, record, _ = kept
    again = Path(shutil.copytree(run, tmp_path / "again"))
    gallery = files.read_json(again / "gallery.json", "gallery")
    best = next(e for e in gallery["entries"] if e["indices"] == record["best"])
    files.write_json(again / "gallery.json", gallery | {"entries": [best]})
    shown = run_cli("pick", again, "--budget-ms", "1000", "--out", tmp_path / "picked")
    for target, ms, half in zip(
        gallery["targets"], best["measured_ms"], best["measured_half_ms"], strict=True
    ):
        digits = max(3, decimals(ms))
        said = f"{target['name']}: asked {1000:.{digits}f} ms, measured {ms:.{digits}f} ± {half:.{digits}f}"
        assert said in " ".join(shown.stdout.split())


def scaled_tables(tables: Path, folder: Path, factor: float) -> Path:
    """The same tables, as if blocks and networks took another share of the anchor's time."""
    folder.mkdir()
    for path in tables.glob("*.jsonl"):
        table = LatencyTable.load(path)
        rounds = [
            replace(r, samples_ms=tuple(factor * s for s in r.samples_ms), conditions={})
            for r in table.rounds
        ]
        LatencyTable(table.target, table.environment, rounds).save(folder / path.name)
    return folder


@pytest.mark.slow
def test_a_model_that_promises_too_much_is_found_out_by_measuring(tables, tmp_path):
    """All predictions are half of the truth: what is over budget is found out and never kept."""
    source = latency.find_table(Target("host", "litert", "fp32"), space(), tables)
    low, high = latency.fit(source.table, space()).costs(space()).range
    budget_ms = low + 0.3 * (high - low)
    wrong = scaled_tables(tables, tmp_path / "wrong", 0.5)
    options = replace(OPTIONS, tables=wrong, gallery_points=0)
    budgets = budget.parse([f"host={budget_ms}"], precisions=["fp32"])
    record = finalists.search_for(budgets, request(), tmp_path / "run", options).to_json()
    entries = [entry for step in record["promise"]["steps"] for entry in step["entries"]]
    assert all(entry["measured"][0]["high_ms"] <= budget_ms for entry in entries if entry["kept"])
    last = {tuple(entry["indices"]): entry["kept"] for entry in entries}
    (target,) = record["promise"]["targets"]
    within = target["interval_ms"][1] <= budget_ms and target["quality"]["word"] != UNUSABLE
    assert record["promise"]["kept"] == within
    if tuple(record["best"]) in {
        tuple(entry["indices"]) for entry in record["promise"]["steps"][-1]["entries"]
    }:
        assert last[tuple(record["best"])] == within  # before that, the scale may have been known less well
    purposes = [step["purpose"] for step in record["promise"]["steps"]]
    again = ("confirmation", "further sessions")
    assert len([p for p in purposes if p not in again]) <= OPTIONS.finalists.rounds + 1


def foreign(tables: Path, folder: Path, factor: float) -> Path:
    """The same tables, as if they came from another processor on which all but the anchors is slower."""
    folder.mkdir()
    for path in tables.glob("*.jsonl"):
        table = ranges.slowed(LatencyTable.load(path), factor)
        environment = table.environment | {"cpu_model": "another processor"}
        LatencyTable(table.target, environment, table.rounds).save(folder / path.name)
    return folder


@pytest.mark.slow
def test_a_share_of_another_machines_table_is_of_what_is_measured_here(tables, tmp_path):
    """The table says ten times what is true here: ends are measured, and the model is put right."""
    folder, budgets = foreign(tables, tmp_path / "foreign", 10.0), budget.parse(["host/litert-int8=50%"])
    (source,) = models.sources(budgets, space(), folder)
    said: list[str] = []
    (here,) = ranges.resolve(budgets, [source], tmp_path / "run", True, QUICK, warn=said.append)
    low, high = here.range_ms
    told = files.read_json(tmp_path / "run" / "ranges.json", "r")["ranges"]["host/litert-int8"]
    assert told["range_ms"] == [low, high]
    table_low, table_high = told["table_range_ms"]
    assert low < table_low
    assert high < table_high
    factor = np.sqrt(low / table_low * high / table_high)
    model_low, model_high = latency.fit_source(here.source).costs(space()).range
    # ten times too slow before; how near it comes depends on how steady the machine was
    assert model_low == pytest.approx(factor * table_low, rel=0.3)
    assert model_high == pytest.approx(factor * table_high, rel=0.3)
    assert "is of another machine (it differs in cpu_model" in said[0]
    assert "50% is of that range" in said[0]
    (again,) = ranges.resolve(budgets, [source], tmp_path / "run", False, QUICK, warn=said.append)
    assert again.range_ms == here.range_ms, "what was measured once holds for the run"
    assert len(said) == 1


@pytest.mark.slow
def test_a_shipped_table_is_another_machines_although_the_processor_has_the_same_name(tables, tmp_path):
    """Virtual machines of one name differ by a factor of two: no share and no millisecond is the table's."""
    budgets = budget.parse(["host/litert-int8=50%"])
    (own,) = models.sources(budgets, space(), tables)
    shipped = replace(own, own=False, table=ranges.slowed(own.table, 10.0))
    said: list[str] = []
    (here,) = ranges.resolve(budgets, [shipped], tmp_path / "run", True, QUICK, warn=said.append)
    assert here.range_ms is not None
    assert "is of another machine (it came with hwnas" in said[0]
    own_scale = "measured on the device's own scale: the model's table came with hwnas"
    for source, note in ((own, ""), (shipped, own_scale)):
        constraint = LatencyConstraint(budgets[0], latency.fit_source(source))
        described = {"host": device.load("host")}
        clocks = {constraint.name: source.clock}
        with Bench(space(), [constraint], described, clocks, tmp_path / note[:8], QUICK) as bench:
            assert bench.constraints[0].note == note


def test_a_share_of_another_machines_table_is_refused_where_nothing_may_be_measured(tables, tmp_path):
    budgets = budget.parse(["host/litert-int8=50%"])
    (source,) = models.sources(budgets, space(), tables)
    shipped = replace(source, own=False)
    with pytest.raises(
        TableError, match="a share of the range must be of this device's own latencies"
    ) as error:
        ranges.resolve(budgets, [shipped], tmp_path, False, QUICK)
    assert "host/litert-int8=50% is of a table that came from another machine" in str(error.value)
    assert "leave out --no-measure, or run `hwnas profile --device host --space macro-r8-c10" in str(
        error.value
    )
    plain = budget.parse(["host/litert-int8=5"])
    (here,) = ranges.resolve(plain, [shipped], tmp_path, False, QUICK)
    assert here.range_ms is None


def test_what_no_network_keeps_is_refused_and_the_record_says_so(tables, tmp_path):
    """Predictions are a fiftieth of the truth, and the budget is far below what the fastest really needs."""
    wrong = scaled_tables(tables, tmp_path / "wrong", 0.02)
    options = replace(OPTIONS, tables=wrong, gallery_points=0)
    budgets = budget.parse(["host=10%"], precisions=["fp32"])
    with pytest.raises(InfeasibleBudget, match="raise the budget or shrink the space") as refused:
        finalists.search_for(budgets, request(), tmp_path / "run", options)
    assert refused.value.least > refused.value.budget
    record = files.read_json(tmp_path / "run" / "search.json", "record")
    assert not record["promise"]["kept"]
    assert record["promise"]["verdict"] == FAIL
    assert record["promise"]["refusal"] == str(refused.value)


def test_without_measuring_the_sentence_says_so(tables, tmp_path):
    options = replace(OPTIONS, tables=tables, measure=False, gallery_points=0)
    record = finalists.search_for(budget.parse(["host=60%"]), request(), tmp_path / "run", options).to_json()
    (target,) = record["promise"]["targets"]
    assert target["measured_ms"] is None
    assert re.search(r"not measured, as asked; \d+% of the budget, as predicted$", target["sentence"])
    assert record["promise"]["verdict"] is None, "nothing was measured, so nothing is proven or refuted"
    assert not list((tmp_path / "run").glob("finalists/*"))


@pytest.mark.slow
def test_a_device_that_is_not_attached_is_predicted_for_and_said(kept, tmp_path):
    run, record, _ = kept
    again = Path(shutil.copytree(run, tmp_path / "again"))
    cut_off = {key: value for key, value in record.items() if key != "promise"}
    files.write_json(again / "search.json", cut_off)
    gone = replace(device.load("host"), transport="ssh", options={"host": "nobody@localhost", "port": 1})
    found = finalists.select_finalist(
        again, devices={"host": gone}, measuring=QUICK, options=OPTIONS.finalists
    ).to_json()
    assert all("not measured: " in target["note"] for target in found["promise"]["targets"])
    assert found["promise"]["networks_measured"] == 0


def run_cli(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


def test_the_command_line_says_what_to_run_where_there_is_no_table(tmp_path):
    arguments = ["--space", SPACE, "--tables", tmp_path, "--out", tmp_path / "run"]
    with pytest.raises(TableError, match="run `hwnas profile --device pixel --space macro-r8-c10"):
        run_cli("search", "--device", "pixel=20", *arguments)
    assert not (tmp_path / "run").exists()
    for wrong in ([], ["--device", "host=5", "--latency", "a.json"], ["--budget-ms", "5"]):
        assert run_cli("search", *arguments, *wrong).exit_code == 2


@pytest.mark.slow
def test_the_command_line_from_a_device_to_a_pick(tables, tmp_path):
    done = run_cli(
        "search", "--device", "host=60%", "--tables", tables, "--space", SPACE, "--out", tmp_path / "run",
        "--strategy", "random", "--queries", "4", "--warmup-steps", "2", "--steps", "2", "--gallery", "3",
        "--proxy-width", "0.25", "--batch-size", "32", "--no-measure",
    )  # fmt: skip
    assert done.exit_code == 0
    assert "host/litert-int8: asked 0." in done.stdout
    assert "not measured, as asked" in done.stdout
    picked = run_cli("pick", tmp_path / "run", "--device", "host=95%", "--out", tmp_path / "other", "--json")
    record = json.loads(picked.stdout)
    assert record["picked"]
    (item,) = record["constraints"]
    digits = max(3, decimals(item["budget_ms"], item["predicted_ms"]))
    half_ms = 1.959964 * item["predicted_std_ms"]
    believed = f"predicted {item['predicted_ms']:.{digits}f} ± {half_ms:.{digits}f}"
    shown = run_cli("pick", tmp_path / "run", "--budget-ms", "95%", "--out", tmp_path / "third")
    assert f"host/litert-int8: asked {item['budget_ms']:.{digits}f} ms, {believed}" in shown.stdout
    assert run_cli("pick", tmp_path / "run", "--device", "95%", "--out", "fourth").exit_code == 2

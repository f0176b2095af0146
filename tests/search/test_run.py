import json
from functools import partial

import numpy as np
import pytest
from oneshot_helpers import SPACE, latency_file, macs_costs

from hwnas import data, files, latency, search, spaces
from hwnas.budget import Budget
from hwnas.device import Target
from hwnas.errors import (
    DataError,
    HwnasError,
    InfeasibleBudget,
    LatencyModelError,
    SchemaMismatch,
    SpaceError,
)
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.search.constraints import constraints_of, not_binding
from hwnas.search.problem import Constraint
from hwnas.search.request import SearchRequest
from hwnas.search.searching import search_run
from hwnas.search.session import Session
from hwnas.tables.table import LatencyTable, Round
from hwnas.train import TrainConfig
from hwnas.train.training import train_run


def request_of(tmp_path, **changes):
    path = tmp_path / "latency.json"
    if not path.exists():
        latency_file(path)
    values = {
        "space": SPACE,
        "latencies": (path,),
        "budgets": (Budget.read("60%"),),
        "oneshot": OneShotConfig(width=0.25, batch_size=32, recalibration_images=64),
        "strategy": "fbnet",
        "settings": {"warmup_steps": 3, "steps": 4, "finalists": 3},
        "confidence": 0.5,
    }
    return SearchRequest(**(values | changes))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    result = search_run(request_of(folder), folder / "run")
    return folder, result


def test_the_folder_holds_what_later_stages_need(finished):
    folder, result = finished
    run = folder / "run"
    arch = spaces.architecture_from_json(files.read_json(run / "arch.json", "architecture"))
    record = files.read_json(run / "search.json", "record")
    assert arch == result.best
    (constraint,) = record["constraints"]
    assert constraint["target"] == Target("host", "litert", "int8").to_json()
    assert constraint["predicted_ms"] <= constraint["budget_ms"] - constraint["margin_ms"]
    assert constraint["predicted_ms"] == pytest.approx(arch.macs / 1e6)
    dataset = data.load("digits", resolution=8)
    assert record["data"]["fingerprint"] == dataset.fingerprint
    assert record["seed"] == 0
    assert record["best"] == list(arch.indices)
    assert {"data", "warm-up", "search", "finalists"} <= record["seconds"].keys()
    assert search.from_json(arch.space, record | {"schema": "hwnas-search-result/1"}) == result
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines[1:]] == [1, 2, 3, 4]
    assert sorted(p.name for p in run.iterdir()) == [
        "arch.json",
        "history.jsonl",
        "latency",
        "search.json",
        "supernet.safetensors",
    ]


def test_a_second_strategy_uses_the_trained_supernet(finished):
    folder, first = finished
    request = request_of(
        folder, strategy="random", settings={"queries": 3}, supernet=folder / "run" / "supernet.safetensors"
    )
    result = search_run(request, folder / "random")
    record = files.read_json(folder / "random" / "search.json", "record")
    assert result.strategy == "random"
    assert "warm-up" not in record["seconds"]
    assert record["oneshot"]["steps"] == first.extra["weight_steps"]
    assert len((folder / "random" / "history.jsonl").read_text().splitlines()) == 4


def test_a_supernet_that_was_trained_in_another_way_is_refused(finished):
    """Its scores would be called what they are not."""
    folder, _ = finished
    blockwise = OneShotConfig(width=0.25, batch_size=32, training="blockwise")
    request = request_of(
        folder,
        strategy="exact",
        settings={},
        oneshot=blockwise,
        supernet=folder / "run" / "supernet.safetensors",
    )
    said = r"must be trained block by block for this search, but .* on random paths: --evaluate supernet"
    with pytest.raises(SchemaMismatch, match=said):
        search_run(request, folder / "other")
    assert not (folder / "other" / "search.json").exists()


def test_a_sampling_strategy_without_weights_trains_them_first(tmp_path):
    request = request_of(tmp_path, strategy="random", settings={"queries": 2}, training_steps=3)
    search_run(request, tmp_path / "run")
    assert files.read_json(tmp_path / "run" / "search.json", "record")["oneshot"]["steps"] == 3


def test_the_found_architecture_is_trained(finished):
    folder, result = finished
    record = train_run(folder / "run", TrainConfig(epochs=1, batch_size=64)).to_json()
    assert record["architecture"] == result.best.id
    assert 0 <= record["test_accuracy"] <= 1
    assert record == files.read_json(folder / "run" / "train.json", "record")
    assert (folder / "run" / "weights.safetensors").exists()
    assert not (folder / "run" / "train-checkpoint.safetensors").exists()


def test_data_that_changed_since_the_search_are_refused(finished, tmp_path):
    folder, _ = finished
    record = files.read_json(folder / "run" / "search.json", "record")
    record["data"]["fingerprint"] = "0" * 16
    (tmp_path / "arch.json").write_text((folder / "run" / "arch.json").read_text())
    files.write_json(tmp_path / "search.json", record)
    with pytest.raises(DataError, match="must not change"):
        train_run(tmp_path, TrainConfig(epochs=1))


def test_a_setting_that_the_strategy_does_not_have_is_refused(tmp_path):
    with pytest.raises(SpaceError, match=r"settings of its own, but got \['queries'\]"):
        search_run(request_of(tmp_path, settings={"queries": 3}), tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["proxylessnas", "spos"])
def test_the_other_one_shot_strategies_fill_the_folder_too(tmp_path, strategy):
    settings = {
        "proxylessnas": {"warmup_steps": 2, "steps": 2, "finalists": 2},
        "spos": {"training_steps": 2, "queries": 3},
    }
    result = search_run(
        request_of(tmp_path, strategy=strategy, settings=settings[strategy]), tmp_path / "run"
    )
    assert result.strategy == strategy
    assert (tmp_path / "run" / "history.jsonl").exists()
    assert not (tmp_path / "run" / "search-checkpoint.safetensors").exists()


def test_a_finished_search_is_never_overwritten(finished):
    folder, _ = finished
    with pytest.raises(HwnasError, match="holds a finished search"):
        search_run(request_of(folder), folder / "run")


@pytest.mark.slow
def test_several_targets_each_with_its_budget(tmp_path):
    files_ = (latency_file(tmp_path / "a.json"), latency_file(tmp_path / "b.json", "fp32"))
    result = search_run(
        request_of(tmp_path, latencies=files_, budgets=tuple(map(Budget.read, ("70%", "50%")))),
        tmp_path / "run",
    )
    record = files.read_json(tmp_path / "run" / "search.json", "record")
    names = [c["name"] for c in record["constraints"]]
    assert names == ["host/litert-int8", "host/litert-fp32"]
    assert all(c["predicted_ms"] <= c["budget_ms"] for c in record["constraints"])
    assert len(result.trials[0].latencies_ms) == 2


def test_budgets_that_do_not_go_together_are_refused_before_training(tmp_path):
    """The second device is slow where the first one is fast."""
    opposite, small = tmp_path / "opposite.json", spaces.load(SPACE)
    rows = [Round(w.key(), "block", "s", n, (1e6 / w.macs,)) for w in small.workloads() for n in range(3)]
    table = LatencyTable(Target("host", "litert", "fp32"), {}, rows)
    latency.save(latency.fit(table, small, "lookup"), opposite)
    seen, both = [], (latency_file(tmp_path / "latency.json"), opposite)
    with pytest.raises(InfeasibleBudget, match="all budgets together"):
        search_run(
            request_of(
                tmp_path, latencies=both, budgets=(Budget.read("1%"),), strategy="random", settings={}
            ),
            tmp_path / "run",
            live=seen.append,
        )
    assert seen == []


def test_budgets_are_milliseconds_or_shares_of_the_range():
    low, high = macs_costs().range
    share = Budget.read("60%").within(low, high)
    assert (share.limit, share.unit) == (pytest.approx(low + 0.6 * (high - low)), "ms")
    assert share.is_share, "it says how it was asked for"
    assert share.within(0.0, 1.0) == share
    for text in (" 12.5 ", "12.5ms"):
        assert Budget.read(text) == Budget.read(text).within(low, high) == Budget("", 12.5)
    for text in ("fast", "-3", "1e3", "60 %%", "nan"):
        with pytest.raises(LatencyModelError, match="milliseconds or a share"):
            Budget.read(text)
    for text in ("0", "0.0", "0ms"):
        with pytest.raises(LatencyModelError, match="must be finite and over 0 ms"):
            Budget.read(text)


def test_a_margin_is_kept_for_what_the_model_may_be_wrong_by(tmp_path):
    space = spaces.load(SPACE)
    model = latency.load(latency_file(tmp_path / "noisy.json", spread=0.05))
    (without,) = constraints_of([model], [Budget.read("60%")], space, 0.5)
    (some,) = constraints_of([model], [Budget.read("60%")], space, 0.9)
    (more,) = constraints_of([model], [Budget.read("60%")], space, 0.99)
    assert without.budget.margin == pytest.approx(0, abs=1e-12)
    assert 0 < some.budget.margin < more.budget.margin
    rng = np.random.default_rng(5)
    std_ms = model.predict(space, np.array([space.sample(rng).indices for _ in range(200)])).std_ms
    assert some.budget.margin == pytest.approx(1.2816 * np.median(std_ms), rel=0.2)


def test_models_and_budgets_that_do_not_fit_are_refused(tmp_path):
    space = spaces.load(SPACE)
    model = latency.load(latency_file(tmp_path / "a.json"))
    with pytest.raises(LatencyModelError, match="one a target"):
        constraints_of([model, model], [Budget.read("60%")], space, 0.5)
    with pytest.raises(LatencyModelError, match="one for all or one for each"):
        constraints_of([model], [Budget.read("60%"), Budget.read("50%")], space, 0.5)
    with pytest.raises(LatencyModelError, match="confidence"):
        constraints_of([model], [Budget.read("60%")], space, 1.0)
    with pytest.raises(InfeasibleBudget, match="fastest"):
        constraints_of([model], [Budget.read("0.001")], space, 0.5)


def test_a_missing_table_entry_is_refused(tmp_path):
    """A space of other shapes has no latency here, rather than a default one."""
    model = latency.load(latency_file(tmp_path / "a.json"))
    with pytest.raises(LookupError, match="was not"):
        model.costs(spaces.load("macro", resolution=16))


def test_a_space_of_other_classes_than_the_data_is_refused(tmp_path):
    with pytest.raises((SpaceError, LookupError)):
        search_run(request_of(tmp_path, space="macro-r8-c7"), tmp_path / "run")


@pytest.mark.slow
def test_a_search_that_was_cut_off_goes_on(tmp_path, monkeypatch):
    class Stop:
        def __call__(self, record):
            if record["step"] == 3 and record["phase"] == "search":
                raise KeyboardInterrupt

    monkeypatch.setattr("hwnas.search.searching.Session", partial(Session, checkpoint_every=1))
    settings = {"warmup_steps": 3, "steps": 4, "finalists": 3}
    request = request_of(tmp_path, settings=settings)
    with pytest.raises(KeyboardInterrupt):
        search_run(request, tmp_path / "run", live=Stop())
    assert (tmp_path / "run" / "search-checkpoint.safetensors").exists()
    resumed = search_run(request, tmp_path / "run")
    whole = search_run(request, tmp_path / "whole")
    assert search.to_json(resumed) == search.to_json(whole)
    with pytest.raises(SchemaMismatch):
        search.from_json(resumed.best.space, {"schema": "other"})


def alarms_of(tmp_path, steps):
    request = request_of(
        tmp_path,
        oneshot=OneShotConfig(width=0.25, batch_size=64, recalibration_images=128, learning_rate=0.1),
        strategy="random",
        settings={"queries": 6},
        training_steps=steps,
    )
    return search_run(request, tmp_path / str(steps)).extra.get("alarms", [])


@pytest.mark.slow
def test_scores_that_are_no_better_than_guessing_raise_an_alarm(tmp_path):
    assert "scored blindly" in alarms_of(tmp_path, 1)[0]
    record = files.read_json(tmp_path / "1" / "search.json", "record")
    assert "scored blindly" in record["extra"]["alarms"][0]
    assert alarms_of(tmp_path, 80) == []


@pytest.mark.parametrize(("text", "said"), [("100%", 0), ("101%", 1), ("1000%", 1), ("60%", 0)])
def test_a_share_of_more_than_all_does_not_bind(text, said):
    costs = macs_costs()
    budget = Constraint(Budget.read(text, "macs").within(*costs.range), costs)
    assert len(not_binding([budget])) == said

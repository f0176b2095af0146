"""An adaptation that is cut off loses nothing, and nobody else works in its folder."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import pytest
import quick_measuring
from typer.testing import CliRunner

from hwnas import device, verify
from hwnas.adapt import GivenModel, adapt, blocks
from hwnas.adapt.ladder import AdaptOptions
from hwnas.adapt.latencies import Stopwatch, latencies
from hwnas.adapt.original import ORIGINAL, original
from hwnas.blocks import parse
from hwnas.budget import Budget
from hwnas.cli import app
from hwnas.errors import HwnasError
from hwnas.export import random_module
from hwnas.importing import import_model
from hwnas.runs import records
from hwnas.runs.folder import RunFolder

TARGET = device.load("host").target("litert", "int8")
FEW = AdaptOptions(rungs=("resolution",), short_epochs=1, epochs=1, measuring=quick_measuring.form(2))


def adapted(run, to, budget, **more):
    return adapt(GivenModel(str(run), None), to, Budget.read(budget, TARGET), FEW, **more)


@pytest.mark.slow
def test_what_was_measured_before_it_was_cut_off_is_not_measured_again(exported_run, tmp_path):
    """A share of it stays the same budget, by which a search goes on."""
    to = tmp_path / "adapted"

    def cut(text):
        if "smaller images" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adapted(exported_run, to, "50%", tell=cut)
    (kept,) = (to / RunFolder.sessions).iterdir()
    (before,) = json.loads(kept.read_text()).values()
    record = adapted(exported_run, to, "50%")
    assert (record.steps[0].ms, list(record.steps[0].interval_ms or ())) == (
        before["ms"],
        before["interval_ms"] or [],
    )
    assert record.budget_ms == pytest.approx(before["ms"] / 2)
    assert not (to / RunFolder.sessions).exists()  # whoever begins again measures again


@pytest.mark.slow
def test_a_session_is_only_that_of_its_models_and_damage_is_measured_again(tmp_path):
    shape = (1, 16, 16)
    small, large = (random_module([parse(f"conv_i1_o{o}_k3_s1_arelu")], 0) for o in (8, 64))
    with Stopwatch(device.load("host"), quick_measuring.form(2), tmp_path) as stopwatch:
        first = latencies(stopwatch, TARGET, {"": small}, shape)
        assert latencies(stopwatch, TARGET, {"": small}, shape) == first
        (kept,) = tmp_path.iterdir()
        assert latencies(stopwatch, TARGET, {"": large}, shape) != first
        whole = kept.read_bytes()
        kept.write_bytes(whole[:20])
        latencies(stopwatch, TARGET, {"": small}, shape)
        assert set(json.loads(kept.read_text())) == {""}


def test_a_search_of_another_climb_makes_way_and_its_tables_stay(tmp_path):
    for path in ("search/search.json", "tables/host/table.jsonl"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text("{}")
    asked = {"budget_ms": 0.1 + 0.2, "seed": 0}
    blocks._make_way(tmp_path, asked)
    assert not (tmp_path / "search").exists()  # nobody knows what it was to find
    (tmp_path / "search").mkdir()
    blocks._make_way(tmp_path, asked)
    assert (tmp_path / "search").exists()
    blocks._make_way(tmp_path, asked | {"budget_ms": 0.4})
    assert not (tmp_path / "search").exists()
    assert (tmp_path / "tables" / "host" / "table.jsonl").exists()


@pytest.mark.slow
def test_nobody_else_works_in_its_folder_from_the_first_step_to_the_last(exported_run, tmp_path, monkeypatch):
    to, holders = tmp_path / "adapted", []

    def look(*_args, **_more):
        holders.append(json.loads((to / RunFolder.lock).read_text())["pid"])
        if not to.joinpath(RunFolder.arch).exists():
            return
        raise HwnasError("enough was seen")

    adapt_to = replace(FEW, rungs=("runtime",))
    given, budget = GivenModel(str(exported_run), None), Budget.read("1000", TARGET)
    adapt(given, to, budget, adapt_to, tell=lambda text: look() if text.startswith("measuring") else None)
    assert holders == [os.getpid()]
    assert not (to / RunFolder.lock).exists()
    monkeypatch.setattr(verify, "verify", look)
    quick_measuring.hurry(monkeypatch)
    words = ["adapt", exported_run, "--device", "host/litert-int8=1000", "--out", to, "--try", "runtime"]
    done = CliRunner().invoke(app, [*map(str, words), "--short-epochs", "1", "--epochs", "1"])
    assert str(done.exception) == "enough was seen"
    assert holders == [os.getpid()] * 2


def test_an_import_that_was_cut_off_is_made_again(exported_run, tmp_path, monkeypatch):
    """Between two of its files: those that came first are not taken for all."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(exported_run / "export" / "model.onnx", "model.onnx")
    whole = import_model("model.onnx", tmp_path / "import").architecture.id
    (tmp_path / "import" / RunFolder.arch).unlink()
    (tmp_path / ORIGINAL).write_text("in the way")
    with pytest.raises(HwnasError, match="original is a file"):
        original(GivenModel("model.onnx", "digits"), tmp_path)
    assert records.arch(tmp_path / "import")["id"] == whole

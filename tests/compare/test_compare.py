"""A comparison of a really trained run with a really trained baseline, on this machine."""

from __future__ import annotations

import copy
import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import powercap
import pytest
from installed import needs
from quick_measuring import form
from shipping_helpers import leave_one
from typer.testing import CliRunner

from hwnas import device, files, known, release, report
from hwnas.cli import app
from hwnas.cli.compare import show_comparison
from hwnas.compare import FOUND, compare
from hwnas.compare.contender import Recipe, prepare, trained
from hwnas.compare.rows import spread
from hwnas.errors import HwnasError, SpaceError, TrainingError
from hwnas.measure import energy, measurer
from hwnas.runs import records
from hwnas.runs.comparison import ComparisonRecord
from hwnas.runs.finalists import ChosenEnergy
from hwnas.runs.folder import RunFolder
from hwnas.runs.training import TrainingRecord
from hwnas.train import TrainConfig
from hwnas.train.config import BEFORE_ADAPTING
from hwnas.verify import verify

pytestmark = pytest.mark.usefixtures("warm_processes")
SMALLEST = "mobilenetv2-0.1"
QUICK = form(3)


def compared_run(source: Path, run: Path, seeds: int) -> tuple[Path, dict[str, Any], list[str]]:
    """The found network and the narrowest MobileNetV2, one epoch, one variant."""
    shutil.copytree(source, run)
    record = files.read_json(run / "train.json", "training")
    record["config"]["epochs"] = 1  # what follows is trained by the record, in little time
    files.write_json(run / "train.json", record)
    told: list[str] = []
    result = compare(
        run,
        device.load("host"),
        against=[SMALLEST],
        seeds=seeds,
        variants=["litert-int8"],
        options=QUICK,
        tell=told.append,
    )
    return run, result.to_json(), told


@pytest.fixture(scope="module")
def compared(_exported_run, tmp_path_factory):
    return compared_run(_exported_run, tmp_path_factory.mktemp("compared") / "run", 1)


def check(run: Path, result: dict[str, Any], told: list[str]) -> None:
    """Files, folders and numbers of a comparison belong together."""
    assert files.read_json(run / "compare.json", "comparison") == json.loads(json.dumps(result))
    read = records.comparison(run).to_json()
    assert (read, list(read)) == (json.loads(json.dumps(result)), list(result)), (
        "what is read is as it was written"
    )
    assert [network["name"] for network in result["networks"]] == [FOUND, SMALLEST]
    own = files.read_json(run / "train.json", "training")
    for network in result["networks"]:
        variant = network["variants"][0]
        for training, accuracy in zip(network["trainings"], network["accuracy"]["values"], strict=True):
            folder = f"{RunFolder.compared}/{network['name']}-seed{training['seed']}"
            assert training["folder"] == folder
            own_weights = files.sha256(run / folder / "weights.safetensors") == own["weights_sha256"]
            assert own_weights == (network["name"] == FOUND and training["seed"] == 0)
            record = files.read_json(run / folder / "train.json", "training")
            assert record["config"] == own["config"] | {"seed": training["seed"]}
            assert record["data"] == own["data"]
            assert record["test_accuracy"] == accuracy
        assert variant["accuracy"]["mean"] == pytest.approx(network["accuracy"]["mean"], abs=0.03)
        assert result["sessions"][variant["name"]]["word"] in ("stable", "noisy", "unusable")
        assert variant["interval_ms"] is None, "three rounds carry none"
        assert variant["ratio_interval"] in (None, [1.0, 1.0])
        assert variant["on_budget"]["verdict"] == "NOT PROVEN"
        minus, images = variant["found_minus_this"], variant["accuracy"]["images"]
        assert images == minus["images"] == len(release.load_data(own["data"]).test)
        assert minus["trainings"] == len(network["trainings"])
        assert minus["interval"][0] <= minus["mean"] <= minus["interval"][1]
        assert variant["bytes"] > 1000
    one, two = (network["variants"][0] for network in result["networks"])
    assert result["used"] == {"litert-int8": one["latency_ms"] / 1000.0}
    assert result["asked"]["against"] == [SMALLEST]
    assert set(one["found_minus_this"]["values"]) == {0}
    assert one["latency_ratio"] == 1
    assert two["latency_ratio"] == pytest.approx(one["latency_ms"] / two["latency_ms"])
    pairs = zip(one["accuracy"]["values"], two["accuracy"]["values"], strict=True)
    assert two["found_minus_this"]["values"] == [a - b for a, b in pairs]
    measuring = [line for line in told if line.startswith("measuring") and "rounds" not in line]
    assert measuring == ["measuring 2 networks on host/litert-int8"], "one session for all"


def test_all_are_trained_alike_and_measured_together(compared):
    check(*compared)


@pytest.mark.slow
def test_energies_are_held_against_the_limit_of_the_run(compared, tmp_path, monkeypatch, capsys):
    """Of all networks alike, where something counts; else it is said of all."""
    run, name = Path(shutil.copytree(compared[0], tmp_path / "run")), "host/litert-int8"
    record = files.read_json(run / "search.json", "search")
    asked = ChosenEnergy.known(name, 1e6, 2.0, 0.1, None, None)
    files.write_json(run / "search.json", record | {"picked": True, "extra": {"energy": asked.to_json()}})
    for setting, value in (("_LEAST_BUSY", 0.0), ("STEPS", 4), ("_LEAST_STEPS", 1)):
        monkeypatch.setattr(energy, setting, value)

    def again() -> ComparisonRecord:
        return compare(run, device.load("host"), against=[SMALLEST], variants=["litert-int8"], options=QUICK)

    with powercap.moving(tmp_path / "powercap", step_s=0.0005) as root:
        monkeypatch.setenv("HWNAS_POWERCAP", str(root))
        found = again()
    for network, predicted_mj in zip(found.networks, (2.0, None), strict=True):
        (variant,) = network.variants
        assert variant.energy.measured_mj > 0.5 * powercap.WATTS * variant.latency_ms
        assert (variant.energy.limit_mj, variant.energy.predicted_mj) == (1e6, predicted_mj)
        assert variant.on_limit.word == "NOT PROVEN", "three rounds carry no interval"
    assert records.comparison(run).networks == found.networks
    show_comparison(found)
    printed = " ".join(capsys.readouterr().out.split())
    assert "energy: at most 1e+06 mJ asked, predicted 2 mJ, measured " in printed
    page = html.unescape(report.write(run).read_text())
    assert all(network.variants[0].energy.said in page for network in found.networks)
    monkeypatch.setenv("HWNAS_POWERCAP", str(tmp_path / "none"))
    for network in again().networks:
        assert network.variants[0].latency_ms > 0
        assert network.variants[0].energy.measured_mj is None
        (why,) = network.variants[0].on_limit.reasons
        assert "must have an energy counter that can be read" in why


@pytest.mark.slow
def test_two_seeds_of_each_network(exported_run):
    run, result, told = compared_run(exported_run, exported_run / "copy", 2)
    check(run, result, told)
    assert result["seeds"] == [0, 1]
    assert all(n["accuracy"]["std"] is not None for n in result["networks"])
    ours, theirs = ([t["folder"] for t in n["trainings"]] for n in result["networks"])
    weights = {files.sha256(run / f / "weights.safetensors") for f in [*ours, *theirs]}
    assert len(weights) == 4


@pytest.mark.slow
def test_the_width_is_chosen_once_and_kept(exported_run, monkeypatch):
    run = exported_run
    arguments = {"match_latency": ["mobilenetv2"], "options": QUICK}
    first = compare(run, device.load("host"), **arguments).to_json()
    match = first["matches"][0]
    assert match["target"]["precision"] == "int8", "that of the run's budget"
    assert [n["name"] for n in first["networks"]] == [FOUND, match["chosen"]]
    assert [v["name"] for v in first["networks"][0]["variants"]] == [f"{r}-{p}" for r, p in release.VARIANTS]
    assert match["ratio"] == min((c["ratio"] for c in match["candidates"]), key=lambda r: abs(np.log(r)))
    told: list[str] = []
    opened: list[str] = []
    connect = measurer.connect
    monkeypatch.setattr(measurer, "connect", lambda where: opened.append(where.name) or connect(where))
    second = compare(run, device.load("host"), tell=told.append, **arguments).to_json()
    assert second["matches"] == first["matches"]
    assert opened == ["host"], "one way to the device for all variants"
    assert len([line for line in told if line.startswith("measuring")]) == len(release.VARIANTS)


def test_a_baseline_is_a_run_like_any_other(compared):
    run, _, _ = compared
    folder = RunFolder(run).contender(SMALLEST, 0).path
    arch, search = release.read_run(folder)
    assert arch == known.load(SMALLEST, resolution=16, num_classes=10)
    assert search.budgets[0].budget_ms == 1000.0
    assert search.budgets[0].predicted_ms is None, "nobody predicted it"
    manifest = release.read_manifest(folder / "export")
    assert manifest.architecture["id"] == arch.id


def said(page: Path) -> str:
    """The text of a report."""
    return " ".join(
        html.unescape(re.sub(r"<style.*?</style>|<script.*?</script>|<[^>]+>", " ", page.read_text())).split()
    )


def test_a_known_network_has_a_report(compared, tmp_path):
    """Nobody predicted it, so that nothing may be said of a prediction or of a search."""
    run, _, _ = compared
    network = Path(shutil.copytree(RunFolder(run).contender(SMALLEST, 0).path, tmp_path / "known"))
    invoked = CliRunner().invoke(app, ["report", str(network)])
    assert invoked.exit_code == 0, invoked.output
    full_name = f"{SMALLEST}-r16-c10-cifar"
    text = said(network / "report.html")
    assert f"a network of {full_name}, trained for a comparison" in text
    assert "not measured yet asked 1000 ms" in text
    leave_one(network / "export", "litert-int8")
    found = verify(network / "export", device.load("host"), None, options=QUICK)
    assert found.verdict.word == "NOT PROVEN", "three rounds carry no verdict"
    text = said(report.write(network))
    assert re.search(r"host/litert-int8 : NOT PROVEN asked 1000 ms, measured \d", text)
    assert "hwnas train RUN --epochs 1" in text
    for word in ("predicted", "hwnas search", "hwnas fit", "one of 1 "):
        assert word not in text
    text = said(report.write(Path(shutil.copytree(run, tmp_path / "run")), baseline=network))
    assert "The same for both: task, budgets, images, recipe of training. Not the same: space." in text


@pytest.mark.slow
def test_a_known_network_can_be_compared_itself(compared, tmp_path):
    run, _, _ = compared
    network = Path(shutil.copytree(RunFolder(run).contender(SMALLEST, 0).path, tmp_path / "known"))
    arguments = ["--against", "mobilenetv2-0.15", "--variants", "litert-int8", "--rounds", "2", "--json"]
    invoked = CliRunner().invoke(app, ["compare", str(network), *arguments])
    assert invoked.exit_code == 0, invoked.output
    found = json.loads(invoked.stdout)
    assert [network["name"] for network in found["networks"]] == [FOUND, "mobilenetv2-0.15"]
    assert found["networks"][0]["trainings"][0]["test_accuracy"] == found["networks"][0]["accuracy"]["mean"]
    assert "mobilenetv2-0.15" in said(report.write(network))


@pytest.mark.usefixtures("hurried")
def test_the_command_line_trains_and_looks_at_nothing_twice(compared, tmp_path):
    run, result, _ = compared
    before = {p: p.stat().st_mtime_ns for p in (RunFolder(run).compared).rglob("*") if p.is_file()}
    arguments = ["compare", str(run), "--against", SMALLEST, "--variants", "litert-int8", "--rounds", "2"]
    invoked = CliRunner().invoke(app, [*arguments, "--json"])
    assert invoked.exit_code == 0, invoked.output
    repeated = json.loads(invoked.stdout)
    assert repeated == files.read_json(run / "compare.json", "comparison")
    assert {p: p.stat().st_mtime_ns for p in (RunFolder(run).compared).rglob("*") if p.is_file()} == before
    assert [n["accuracy"] for n in repeated["networks"]] == [n["accuracy"] for n in result["networks"]]
    text = said(report.write(Path(shutil.copytree(run, tmp_path / "run"))))
    command = (
        f"hwnas compare RUN --against {SMALLEST} --variants litert-int8 --seeds 1 --device host --rounds 2"
    )
    assert command in text
    assert "% of the tightest budget (litert-int8) is used" in text


@needs("openvino")
@pytest.mark.usefixtures("hurried")
@pytest.mark.slow
def test_a_budget_on_a_runtime_that_runs_others_files_is_compared_there(compared, tmp_path):
    run = Path(shutil.copytree(compared[0], tmp_path / "run"))
    search = files.read_json(run / "search.json", "search")
    (budget,) = search["constraints"]
    target = budget["target"] | {"runtime": "openvino"}
    search["constraints"] = [budget | {"name": "host/openvino-int8", "target": target}]
    files.write_json(run / "search.json", search)
    found = compare(run, device.load("host"), against=[SMALLEST], variants=["openvino-int8"], options=QUICK)
    mine, other = (network.variants[0] for network in found.networks)
    assert (mine.name, mine.target.runtime, mine.budget_ms) == ("openvino-int8", "openvino", 1000)
    onnx = RunFolder(run).compared / f"{FOUND}-seed0" / "export" / "model.int8.onnx"
    assert mine.bytes == onnx.stat().st_size
    assert other.on_budget is not None


def test_the_table_fits_a_narrow_terminal(compared, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    _, result, _ = compared
    wide = copy.deepcopy(result)
    wide["networks"][1]["name"] = "mobilenetv3-large-0.75"
    for network in wide["networks"]:
        for values in network["variants"][0].values():
            if isinstance(values, dict) and "std" in values:
                values["std"] = 0.0123
        network["variants"][0] |= {"latency_ms": 12.3456, "interval_ms": [12.1, 12.5]}
    show_comparison(ComparisonRecord.from_json(wide, Path(), ""))
    shown = capsys.readouterr().out
    assert "mobilenetv3-large-0.75" in shown
    assert "12.346 ±0.246" in shown, "the longer arm"
    assert "±1.23" in shown
    assert "with one training of each" in shown or "another training may turn it round" in shown
    assert "…" not in shown
    assert "1% of the tightest budget (litert-int8) is used" in shown, "12 of 1,000 ms"


@pytest.mark.slow
def test_another_recipe_trains_again(compared, tmp_path):
    run, _, _ = compared
    copied = shutil.copytree(run, tmp_path / "run")
    arch = known.load(SMALLEST, resolution=16, num_classes=10)
    dataset = release.load_data(files.read_json(run / "train.json", "training")["data"])
    folder = prepare(copied, SMALLEST, arch, 0, dataset)
    before = files.read_json(folder / "train.json", "training")
    told: list[str] = []
    same = trained(folder, TrainConfig(**before["config"]), told.append)
    assert (same.to_json(), told) == (before, [])
    other = trained(folder, TrainConfig(**before["config"] | {"batch_size": 128}), told.append)
    assert other.config["batch_size"] == 128
    assert "in another way" in told[0]
    assert other.weights_sha256 != before["weights_sha256"]


def recorded(config: dict[str, int], begin: str = "seed") -> TrainingRecord:
    return TrainingRecord(config, {}, 1.0, (), 0.5, 0.5, start={"from": begin})


def test_what_only_the_run_could_have_is_left_out_for_all():
    config = {"epochs": 2, "seed": 3}
    plain = Recipe.of(recorded(config))
    assert (plain.own, plain.notes) == (True, ())
    assert plain.seeded(5) == TrainConfig(epochs=2, seed=5, **BEFORE_ADAPTING)
    begun = Recipe.of(recorded(config, "supernet"))
    assert not begun.own
    assert len(begun.notes) == 1
    with pytest.raises(TrainingError, match="train the run again"):
        Recipe.of(recorded({"epochs": 2, "magic": 1}))


def test_spread_of_a_single_value_is_unknown():
    assert spread([0.5]).to_json() == {"mean": 0.5, "std": None, "values": [0.5]}
    assert spread([0.4, 0.6]).std == pytest.approx(0.1414, abs=1e-4)


def test_senseless_comparisons_are_refused(exported_run):
    host = device.load("host")
    with pytest.raises(HwnasError, match="with something"):
        compare(exported_run, host)
    with pytest.raises(HwnasError, match="seeds must be"):
        compare(exported_run, host, against=[SMALLEST], seeds=0)
    with pytest.raises(HwnasError, match="variants must be"):
        compare(exported_run, host, against=[SMALLEST], variants=["tvm-int8"])
    with pytest.raises(SpaceError, match="must be one of"):
        compare(exported_run, host, against=["resnet50"])
    with pytest.raises(SpaceError, match="family"):
        compare(exported_run, host, match_latency=["resnet50"])
    assert not (RunFolder(exported_run).compared).exists()
    (exported_run / "train.json").unlink()
    with pytest.raises(HwnasError, match="the record of training must be there"):
        compare(exported_run, host, against=[SMALLEST])

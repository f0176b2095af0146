"""A comparison of a really trained run with a really trained baseline, on this machine."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

from hwnas import baselines, device, files, ship
from hwnas.cli import app
from hwnas.compare import FOUND, compare
from hwnas.compare.contender import FOLDER, Recipe, prepare, trained
from hwnas.compare.run import rows, spread
from hwnas.errors import HwnasError, SpaceError, TrainingError
from hwnas.profile import ProfileOptions
from hwnas.train import TrainConfig

SMALLEST = "mobilenetv2-0.1"
QUICK = ProfileOptions(rounds=3, max_rounds=3, samples=3)


@pytest.fixture(scope="module")
def compared(_exported_run, tmp_path_factory):
    """Two seeds of the found network and of the narrowest MobileNetV2, one epoch, one variant."""
    run = tmp_path_factory.mktemp("compared") / "run"
    shutil.copytree(_exported_run, run)
    record = files.read_json(run / "train.json", "training")
    record["config"]["epochs"] = 1  # what follows is trained by the record, in little time
    files.write_json(run / "train.json", record)
    told: list[str] = []
    result = compare(
        run,
        device.load("host"),
        against=[SMALLEST],
        seeds=2,
        variants=["litert-int8"],
        options=QUICK,
        tell=told.append,
    )
    return run, result, told


def test_all_are_trained_alike_and_measured_together(compared):
    run, result, told = compared
    assert files.read_json(run / "compare.json", "comparison") == json.loads(json.dumps(result))
    assert [network["name"] for network in result["networks"]] == [FOUND, SMALLEST]
    folders = [[t["folder"] for t in network["trainings"]] for network in result["networks"]]
    assert folders == [
        [".", f"{FOLDER}/{FOUND}-seed1"],
        [f"{FOLDER}/{SMALLEST}-seed0", f"{FOLDER}/{SMALLEST}-seed1"],
    ]
    own = files.read_json(run / "train.json", "training")
    for folder in [*folders[0][1:], *folders[1]]:
        record = files.read_json(run / folder / "train.json", "training")
        seed = int(folder[-1])
        assert record["config"] == own["config"] | {"seed": seed}
        assert record["data"] == own["data"]
    measuring = [line for line in told if line.startswith("measuring")]
    assert measuring == ["measuring 2 networks on host/litert-int8"], "one session for all"


def test_a_baseline_is_a_run_like_any_other(compared):
    run, _, _ = compared
    folder = run / FOLDER / f"{SMALLEST}-seed1"
    arch, search = ship.read_run(folder)
    assert arch == baselines.load(SMALLEST, resolution=16, num_classes=10)
    assert search["constraints"][0]["budget_ms"] == 1000.0
    assert "predicted_ms" not in search["constraints"][0], "nobody predicted it"
    manifest = ship.read_manifest(folder / "export")
    assert manifest["architecture"]["id"] == arch.id


def test_numbers_are_those_of_the_parts(compared):
    run, result, _ = compared
    for network, variant in rows(result):
        trainings = network["trainings"]
        records = [files.read_json(run / t["folder"] / "train.json", "training") for t in trainings]
        assert network["accuracy"]["values"] == [r["test_accuracy"] for r in records]
        assert variant["accuracy"]["mean"] == pytest.approx(network["accuracy"]["mean"], abs=0.03)
        assert variant["interval_ms"][0] <= variant["latency_ms"] <= variant["interval_ms"][1]
        assert variant["bytes"] > 1000
    found, other = result["networks"]
    assert found["found_minus_this"]["values"] == [0, 0]
    assert found["variants"][0]["latency_ratio"] == 1
    one, two = (n["variants"][0] for n in (found, other))
    assert two["latency_ratio"] == pytest.approx(one["latency_ms"] / two["latency_ms"])
    pairs = zip(one["accuracy"]["values"], two["accuracy"]["values"], strict=True)
    assert two["found_minus_this"]["values"] == [a - b for a, b in pairs]


def test_nothing_is_trained_or_looked_at_twice(compared):
    run, result, _ = compared
    before = {p: p.stat().st_mtime_ns for p in (run / FOLDER).rglob("*") if p.is_file()}
    told: list[str] = []
    again = compare(
        run,
        device.load("host"),
        against=[SMALLEST],
        seeds=2,
        variants=["litert-int8"],
        options=QUICK,
        tell=told.append,
    )
    assert {p: p.stat().st_mtime_ns for p in (run / FOLDER).rglob("*") if p.is_file()} == before
    assert not [line for line in told if line.startswith(("training", "exporting"))]
    assert [n["accuracy"] for n in again["networks"]] == [n["accuracy"] for n in result["networks"]]


def test_the_command_line_says_the_same(compared):
    run, _, _ = compared
    arguments = ["compare", str(run), "--against", SMALLEST, "--variants", "litert-int8", "--rounds", "2"]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    assert SMALLEST in shown.output
    assert "× the time" in shown.output
    as_json = CliRunner().invoke(app, [*arguments, "--json"])
    assert json.loads(as_json.stdout) == files.read_json(run / "compare.json", "comparison")


def test_another_recipe_trains_again(compared, tmp_path):
    run, _, _ = compared
    copied = shutil.copytree(run, tmp_path / "run")
    arch = baselines.load(SMALLEST, resolution=16, num_classes=10)
    dataset = ship.load_data(files.read_json(run / "train.json", "training")["data"])
    folder = prepare(copied, SMALLEST, arch, 0, dataset)
    before = files.read_json(folder / "train.json", "training")
    told: list[str] = []
    same = trained(folder, TrainConfig(**before["config"]), told.append)
    assert (same, told) == (before, [])
    other = trained(folder, TrainConfig(**before["config"] | {"batch_size": 128}), told.append)
    assert other["config"]["batch_size"] == 128
    assert "in another way" in told[0]
    assert other["weights_sha256"] != before["weights_sha256"]


def test_what_only_the_run_could_have_is_left_out_for_all():
    config = {"epochs": 2, "seed": 3}
    plain = Recipe.of({"config": config})
    assert (plain.own, plain.notes) == (True, ())
    assert plain.seeded(5) == TrainConfig(epochs=2, seed=5)
    assert Recipe.of({"config": config, "start": {"from": "seed"}}).own
    begun = Recipe.of({"config": config, "start": {"from": "supernet"}})
    assert not begun.own
    assert len(begun.notes) == 1
    with pytest.raises(TrainingError, match="train the run again"):
        Recipe.of({"config": {"epochs": 2, "magic": 1}})


def test_spread_of_a_single_value_is_unknown():
    assert spread([0.5]) == {"mean": 0.5, "std": None, "values": [0.5]}
    assert spread([0.4, 0.6])["std"] == pytest.approx(0.1414, abs=1e-4)


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
    assert not (exported_run / FOLDER).exists()
    (exported_run / "train.json").unlink()
    with pytest.raises(HwnasError, match="the record of training must be there"):
        compare(exported_run, host, against=[SMALLEST])

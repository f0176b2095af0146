"""Verification goes through the real runtimes, needs the folder alone, and can fail."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from quick_measuring import form
from shipping_helpers import leave_one
from typer.testing import CliRunner

from hwnas import device, export, files, release, report, spaces, tasks
from hwnas.cli import app
from hwnas.device import Device
from hwnas.errors import HwnasError, SchemaMismatch
from hwnas.export import metadata
from hwnas.release import images, probes
from hwnas.runs import records
from hwnas.statistics.verdict import BUDGET, NOISY, STABLE, UNUSABLE
from hwnas.verify import Estimate, Verification, checks, folder, verify, verify_on

pytestmark = pytest.mark.usefixtures("warm_processes")
QUICK = form(2)
HWNAS = Path(sys.executable).with_name("hwnas")
BARE = Device("bare", "A device that has none of the runtimes", "local", runtimes=("tensorrt",))


WIDE = {**os.environ, "COLUMNS": "500"}
"""No line is broken, so that words can be looked for."""


def hwnas(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HWNAS, *map(str, arguments)], capture_output=True, text=True, check=False, env=WIDE
    )


def typed(*arguments: object) -> Result:
    """The same in this process, where fixtures hold."""
    return CliRunner(env={"COLUMNS": "500"}).invoke(app, list(map(str, arguments)))


def change(shipped: Path, **fields: object) -> None:
    """Change fields of the manifest."""
    path = shipped / release.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def replace(shipped: Path, name: str, content: bytes) -> None:
    """Put another file in the place of one and bring its hash up to date."""
    (shipped / name).write_bytes(content)
    manifest = json.loads((shipped / release.MANIFEST).read_text())
    change(shipped, files=manifest["files"] | {name: files.sha256(shipped / name)})


def change_budget(shipped: Path, budget_ms: float) -> None:
    budgets = json.loads((shipped / release.MANIFEST).read_text())["budgets"]
    change(shipped, budgets=[budgets[0] | {"budget_ms": budget_ms}])


def test_a_generous_budget_is_kept_and_the_manifest_says_so(exported_run, tmp_path):
    """The folder was moved, and the run is gone."""
    shipped = Path(shutil.move(exported_run / "export", tmp_path / "elsewhere"))
    shutil.rmtree(exported_run)
    dataset = release.load_data(release.read_manifest(shipped).data)
    steps: list[str] = []
    found = verify(shipped, device.load("host"), dataset, options=QUICK, on_step=steps.append)
    assert [word(v) for v in found.variants] == [None, "NOT PROVEN", None, None], "two rounds prove nothing"
    assert found.notes == ()
    assert [v.name for v in found.variants] == [f"{r}-{p}" for r, p in release.VARIANTS]
    begun = [step for step in steps if "rounds" not in step]  # others say how far a step is
    assert len(begun) == 1 + 2 * len(release.VARIANTS) + 1, "of the budget's, what stands around it as well"
    for variant in found.variants:
        assert variant.measured_ms > 0
        assert variant.interval_ms is None, "two rounds carry no interval"
        assert variant.budget_ms == (1000.0 if variant.name == "litert-int8" else None)
        assert (BUDGET in variant.checks) == (variant.budget_ms is not None)
        assert variant.checks["accuracy"].is_pass
        assert variant.checks["learning"].is_pass
        assert variant.estimate.images == 359
        low, high = variant.estimate.interval
        assert low < variant.value == variant.estimate.value < high
        assert variant.session is not None
        assert variant.session.rounds == QUICK.rounds
        assert variant.session.verdict in (STABLE, NOISY, UNUSABLE)
        assert bool(variant.session.reasons) == (variant.session.verdict != STABLE)
        assert variant.session.environment["runtime"] == variant.name.rpartition("-")[0]
        assert variant.session.environment["library_sha256"]
    assert len({v.session.id for v in found.variants}) == len(release.VARIANTS), "each is its own session"
    kept = json.loads((shipped / release.MANIFEST).read_text())["verification"]
    assert kept == json.loads(json.dumps(found.to_json()))
    assert Verification.from_json(kept) == found


def word(check) -> str | None:
    return None if check.verdict is None else check.verdict.word


@pytest.mark.usefixtures("hurried")
def test_a_budget_that_is_missed_fails_with_exit_code_1(exported_run):
    change_budget(exported_run / "export", 1e-4)
    leave_one(exported_run / "export", "litert-int8")
    before = files.sha256(exported_run / "export" / release.MANIFEST)
    done = typed(
        *("verify", exported_run, "--tables", exported_run, "--rounds", "6", "--skip-accuracy"),
        *("--no-record", "--accept-noise", "--json"),
    )
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert found["verdict"] == "FAIL"
    failed = {v["name"]: v["reasons"] for v in found["variants"] if v["verdict"] == "FAIL"}
    assert list(failed) == ["litert-int8"]
    assert "latency must be at most 0.000100 ms" in failed["litert-int8"][0]
    assert all(v["test_accuracy"] is None for v in found["variants"])
    assert files.sha256(exported_run / "export" / release.MANIFEST) == before


@pytest.mark.usefixtures("hurried")
def test_too_few_rounds_are_not_proven_with_exit_code_3_unless_that_is_accepted(exported_run):
    leave_one(exported_run / "export", "litert-int8")
    arguments = ["verify", exported_run, "--tables", exported_run, "--rounds", "1", "--skip-accuracy"]
    done = typed(*arguments)
    assert done.exit_code == 3
    assert "NOT PROVEN" in done.stdout
    assert "too few to carry one: measure more rounds" in " ".join(done.stdout.split())
    (kept,) = release.read_manifest(exported_run / "export").verifications
    assert (kept.verdict.word, kept.accepted_noise) == ("NOT PROVEN", False)
    done = typed(*arguments, "--accept-noise")
    assert done.exit_code == 0
    assert "NOT PROVEN (accepted: --accept-noise)" in done.stdout
    (kept,) = release.read_manifest(exported_run / "export").verifications
    assert (kept.verdict.word, kept.accepted_noise) == ("NOT PROVEN", True)


def test_what_was_left_out_is_said(exported_run):
    found = verify(exported_run / "export", BARE, None)
    assert found.verdict is None, "nothing is wrong, but no budget was looked at"
    assert all(v.measured_ms is None and v.value is None for v in found.variants)
    assert all(v.session is None for v in found.variants)
    assert "the test images were not looked at" in found.notes[0]
    assert "bare does not have litert, onnxruntime" in found.notes[1]
    assert "no budget was asked for on bare" in found.notes[2]
    assert "the budgets on host were not looked at" in found.notes[3]


@pytest.mark.usefixtures("hurried")
def test_the_command_reads_and_hashes_a_folder_once(exported_run, monkeypatch):
    leave_one(exported_run / "export", "litert-int8")
    hashed: list[str] = []
    sha256 = files.sha256
    monkeypatch.setattr(files, "sha256", lambda path: hashed.append(path.name) or sha256(path))
    done = typed("verify", exported_run, "--rounds", "1", "--skip-accuracy", "--no-record", "--accept-noise")
    assert done.exit_code == 0, done.output
    assert [hashed.count(name) for name in (release.LABELS, "model.onnx")] == [1, 1]


def test_what_was_found_on_each_device_is_kept_and_counts(exported_run):
    """One device was promised something that it cannot run now; the others are well."""
    shipped = exported_run / "export"
    host = Device("host", "A host that lost its LiteRT", "local", runtimes=("tensorrt",))
    dataset = release.load_data(release.read_manifest(shipped).data)
    elsewhere = verify(shipped, BARE, dataset)
    here = verify(shipped, host, None)
    assert [v.value for v in here.variants] == [v.value for v in elsewhere.variants], "of the same files"
    manifest = release.read_manifest(shipped)
    assert manifest.verified_json()["verification"]["device"] == "host", "whose budgets they are"
    assert manifest.verifications == (here, elsewhere)
    again = verify(shipped, BARE, None)
    assert not any("the budgets on host were not looked at" in note for note in again.notes)
    assert release.read_manifest(shipped).verifications == (here, again)
    page = report.write(exported_run).read_text()
    assert "NOT PROVEN" in page
    for name in ("host", "bare"):
        assert f"What ships, measured on <code>{name}</code>" in page
    broken = json.loads((shipped / release.MANIFEST).read_text())
    broken["verified_elsewhere"][0]["variants"][0]["checks"]["answers"] = {
        "verdict": "FAIL",
        "reasons": ["it answers otherwise on bare"],
    }
    change(shipped, **broken)
    page = report.write(exported_run).read_text()
    assert "<li>it answers otherwise on bare</li>" in page
    change(shipped, verified_elsewhere=[{"device": 3}])
    with pytest.raises(SchemaMismatch, match="a verification must be as hwnas writes it"):
        release.read_manifest(shipped)


def test_devices_are_verified_together_and_the_images_looked_at_once(exported_run):
    shipped = exported_run / "export"
    other = dataclasses.replace(BARE, name="other")
    dataset = release.load_data(release.read_manifest(shipped).data)
    steps: list[str] = []
    found = verify_on(folder.read(shipped), [(BARE, None), (other, None)], dataset, on_step=steps.append)
    assert [item.device for item in found] == ["bare", "other"]
    assert sum(step.startswith("accuracy of") for step in steps) == len(release.VARIANTS)
    assert release.read_manifest(shipped).verifications == found


def test_a_model_that_lost_its_accuracy_fails(exported_run):
    shipped = exported_run / "export"
    manifest = release.read_manifest(shipped)
    change(shipped, test_accuracy_pytorch=manifest.test_value + 0.1)
    found = verify(shipped, BARE, release.load_data(manifest.data))
    assert found.verdict.is_fail
    assert all("test accuracy must be within" in v.reasons[0] for v in found.variants)


def test_one_image_of_few_cannot_tell_a_lost_point():
    task, found_19_of_20 = tasks.get("classification"), Estimate(20, 0.95, (0.75, 1.0))
    found = checks.quality(found_19_of_20, 1.0, "int8", task)
    assert found.word == "NOT PROVEN"
    assert "20 images cannot tell" in found.reasons[0]
    assert checks.quality(found_19_of_20, 0.95, "int8", task).is_pass


@pytest.mark.slow
@pytest.mark.usefixtures("hurried")
def test_a_network_that_learned_nothing_fails_with_and_without_its_data(exported_run):
    """Its files are as they were exported: only what it answers is worthless."""
    shipped = relabelled(exported_run)
    leave_one(shipped, "litert-int8")
    found = verify(shipped, BARE, None)
    assert found.verdict.is_fail
    assert "it learned nothing" in found.verdict.reasons[0]
    found = verify(shipped, BARE, release.load_data(release.read_manifest(shipped).data))
    assert found.verdict.is_fail
    done = typed(
        "verify", shipped, "--tables", exported_run, "--rounds", "1", "--skip-accuracy", "--accept-noise"
    )
    assert done.exit_code == 1
    assert "it learned nothing" in " ".join(done.stdout.split())


def relabelled(run: Path) -> Path:
    """Export the run's network with fresh weights: it answers, and knows nothing."""
    from hwnas.train import save_weights
    from hwnas.train.fitting import new_network

    arch, _ = release.read_run(run)
    save_weights(new_network(arch, 3), run / "weights.safetensors", {})
    record = json.loads((run / "train.json").read_text())
    dataset = release.load_data(record["data"])
    accuracy = images.predictions_of(run, dataset).value
    record |= {"weights_sha256": files.sha256(run / "weights.safetensors"), "test_accuracy": accuracy}
    (run / "train.json").write_text(json.dumps(record))
    return release.export_run(run, dataset).parent


def test_a_promised_model_that_is_missing_fails_and_is_named(exported_run):
    shipped = exported_run / "export"
    leave_one(shipped, "onnxruntime-fp32")
    host = Device("host", "A host that has none of the runtimes", "local", runtimes=("tensorrt",))
    found = verify(shipped, host, None)
    assert found.verdict.is_fail
    assert "the one for host/litert-int8 (1000 ms) is missing: export again" in found.verdict.reasons[0]
    assert not any("no budget was asked for" in note for note in found.notes)
    (again,) = release.read_manifest(shipped).verifications
    assert again.verdict == found.verdict
    assert verify(shipped, BARE, None).verdict is None, "another device was promised nothing"


def test_a_promise_on_a_runtime_that_is_gone_is_not_proven(exported_run):
    """Nothing measures it, so that nothing says that it is kept."""
    shipped = exported_run / "export"
    host = Device("host", "A host that lost its LiteRT", "local", runtimes=("tensorrt",))
    found = verify(shipped, host, None)
    assert found.verdict.word == "NOT PROVEN"
    promised = next(v for v in found.variants if v.name == "litert-int8")
    assert promised.budget_ms == 1000.0
    assert promised.measured_ms is None
    assert "host has no litert now" in promised.reasons[0]
    assert [word(v) for v in found.variants if v is not promised] == [None] * 3, (
        "nothing was promised of them"
    )
    assert "NOT PROVEN" in report.write(exported_run).read_text()
    (again,) = release.read_manifest(shipped).verifications
    assert again == found


def test_a_promise_that_hwnas_can_never_measure_is_not_proven(exported_run):
    """A search by imported latencies can be of a runtime that there is no agent for."""
    shipped = exported_run / "export"
    (budget,) = release.read_manifest(shipped).to_json()["budgets"]
    change(shipped, budgets=[budget | {"target": budget["target"] | {"runtime": "tensorrt"}}])
    host = Device("host", "A host with a GPU", "local", runtimes=("tensorrt",))
    found = verify(shipped, host, None)
    assert found.verdict.word == "NOT PROVEN"
    assert "hwnas has no agent for tensorrt" in found.verdict.reasons[0]
    assert verify(shipped, BARE, None).verdict is None, "another device was promised nothing"
    assert Verification.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_promise_in_fp16_is_of_the_file_in_fp32(exported_run):
    """Which nothing here runs: the promise keeps its row, and what was not looked at is said."""
    shipped = exported_run / "export"
    (budget,) = release.read_manifest(shipped).to_json()["budgets"]
    target = {"device": "bare", "runtime": "torch_cuda", "precision": "fp16", "processor": "gpu"}
    change(shipped, budgets=[budget | {"target": budget["target"] | target}])
    found = verify(shipped, BARE, None)
    assert found.verdict.word == "NOT PROVEN"
    (promised,) = (item for item in found.variants if item.budget_ms is not None)
    assert promised.file == "model.onnx"
    assert any("not looked at in the precision of bare/torch_cuda-fp16-gpu" in note for note in found.notes)


@pytest.mark.slow
def test_each_budget_of_a_model_has_its_own_row_and_verdict(exported_run):
    """The same file with one thread and with two: one can be kept and the other one not."""
    shipped = exported_run / "export"
    (budget,) = release.read_manifest(shipped).to_json()["budgets"]
    two = budget | {
        "target": budget["target"] | {"threads": 2},
        "budget_ms": 1e-6,
        "name": "host/litert-int8-t2",
    }
    change(shipped, budgets=[budget, two])
    leave_one(shipped, "litert-int8")
    found = verify(shipped, device.load("host"), None, options=form(6))
    one, other = found.variants
    assert (one.name, other.name) == ("litert-int8", "litert-int8-t2")
    assert (one.file, one.budget_ms, other.budget_ms) == (other.file, 1000.0, 1e-6)
    assert other.verdict.is_fail
    assert not one.verdict.is_fail
    assert found.verdict.is_fail
    assert one.session.id != other.session.id
    assert set(found.shares) == {"litert-int8", "litert-int8-t2"}
    files.write_json(
        exported_run / "search.json", records.search(exported_run).to_json() | {"constraints": [budget, two]}
    )
    page = report.write(exported_run).read_text()
    assert page.count("asked 1000 ms") == 1
    assert "model.int8.tflite as litert-int8-t2" in page


def test_an_accuracy_that_was_verified_stands_where_the_data_are_not_looked_at(exported_run):
    shipped = exported_run / "export"
    looked = verify(shipped, BARE, release.load_data(release.read_manifest(shipped).data))
    again = verify(shipped, BARE, None)
    assert [v.estimate for v in again.variants] == [v.estimate for v in looked.variants]
    assert f"those verified before ({looked.verified})" in again.notes[0]


@pytest.mark.slow
@pytest.mark.usefixtures("hurried")
def test_a_further_test_set_is_stated_beside_the_own_one(exported_run, tmp_path):
    shipped = exported_run / "export"
    dataset = release.load_data(release.read_manifest(shipped).data)
    leave_one(shipped, "litert-int8")
    looked = verify(shipped, BARE, dataset)
    write_folder(tmp_path / "elsewhere", dataset.test, count=60)
    arguments = ["--tables", exported_run, "--rounds", "1", "--accept-noise"]
    done = typed("verify", shipped, "--data", tmp_path / "elsewhere", *arguments)
    assert done.exit_code == 0, done.output
    assert "accuracy on elsewhere" in done.stdout
    found = release.read_manifest(shipped).verifications[0]
    assert [v.estimate for v in found.variants] == [v.estimate for v in looked.variants]
    assert found.further == {"name": "elsewhere", "images": 60}
    assert all(v.further.images == 60 and v.further.value > 0.8 for v in found.variants)
    assert str(tmp_path) not in (shipped / release.MANIFEST).read_text()


@pytest.mark.slow
def test_from_python_other_data_are_a_further_test_set_too(exported_run, tmp_path):
    import hwnas

    dataset = release.load_data(release.read_manifest(exported_run / "export").data)
    write_folder(tmp_path / "elsewhere", dataset.test, count=60)
    write_folder(tmp_path / "seen", dataset.train, count=60)
    found = hwnas.verify(exported_run, device=BARE, data=tmp_path / "elsewhere")
    assert found.further == {"name": "elsewhere", "images": 60}
    assert all(v.estimate.images == 359 and v.further.images == 60 for v in found.variants)
    assert hwnas.verify(exported_run, device=BARE, data="digits").further is None, "the network's own"
    with pytest.raises(HwnasError, match="60 of its 60 images were trained on"):
        hwnas.verify(exported_run, device=BARE, data=tmp_path / "seen")


def test_images_that_were_trained_on_are_no_test(exported_run, tmp_path):
    dataset = release.load_data(release.read_manifest(exported_run / "export").data)
    write_folder(tmp_path / "seen", dataset.train, count=60)
    done = typed("verify", exported_run, "--data", tmp_path / "seen")
    assert isinstance(done.exception, HwnasError)
    assert "60 of its 60 images were trained on" in str(done.exception)


def test_a_further_test_set_of_other_classes_is_refused(exported_run, tmp_path):
    dataset = release.load_data(release.read_manifest(exported_run / "export").data)
    write_folder(tmp_path / "other", dataset.test, count=60, names=[f"class {n}" for n in range(10)])
    done = typed("verify", exported_run, "--data", tmp_path / "other")
    assert isinstance(done.exception, HwnasError)
    assert "must have the classes of the network" in str(done.exception)


def write_folder(path: Path, split, count: int, names=None) -> None:
    """The first images of a split as a folder of pictures, one sub-folder a class."""
    from PIL import Image

    for number in range(count):
        label = int(split.labels[number])
        folder = path / (names[label] if names else str(label))
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(split.images[number].transpose(1, 2, 0)).save(folder / f"{number}.png")


@pytest.mark.slow
def test_an_export_of_earlier_weights_is_stale(exported_run):
    """A network that is trained again leaves its export standing; every stage says so."""
    from hwnas.train import TrainConfig
    from hwnas.train.training import train_run

    assert release.stale(exported_run) == ()
    train_run(exported_run, TrainConfig(epochs=1, batch_size=128, seed=5))
    (said,) = release.stale(exported_run)
    assert all(f"hwnas {verb} {exported_run}" in said for verb in ("export", "verify", "report"))
    found = verify(exported_run / "export", BARE, None, record=False)
    assert found.verdict.is_fail
    assert "the exported models are of the weights" in found.verdict.reasons[0]
    alone = Path(shutil.copytree(exported_run / "export", exported_run / "alone"))
    assert verify(alone, BARE, None).stale == (), "a folder that lies alone is whole"


def test_an_export_must_be_of_the_last_training(exported_run):
    dataset = release.load_data(release.read_manifest(exported_run / "export").data)
    weights, arch = exported_run / "weights.safetensors", exported_run / "arch.json"
    other = spaces.load("macro", resolution=16).architecture([0] * 8)
    for path, content, words in (
        (weights, weights.read_bytes() + b" ", "weights.safetensors is not what train.json describes"),
        (arch, json.dumps(other.to_json()).encode(), "the training is of the network"),
    ):
        kept = path.read_bytes()
        path.write_bytes(content)
        assert words in release.stale(exported_run)[0]
        with pytest.raises(HwnasError, match=words):
            release.export_run(exported_run, dataset)
        path.write_bytes(kept)


EARLIER = {
    "name": "litert-int8",
    "file": "model.int8.tflite",
    "bytes": 5000,
    "test_accuracy": 0.95,
    "accuracy_loss": 0.0,
    "measured_ms": 0.4,
    "interval_ms": [0.39, 0.41],
    "predicted_ms": 0.4,
    "budget_ms": 0.5,
    "conditions": {},
    "failures": [],
    "session": {"id": "s", "rounds": 9, "verdict": "stable", "reasons": [], "environment": {}},
    "verdict": "PASS",
}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "PASS"),
        ({"failures": ["it is another model"], "verdict": "FAIL"}, "FAIL"),
        ({"interval_ms": [0.39, 0.6]}, "NOT PROVEN"),
        ({"session": None}, "NOT PROVEN"),
        ({"session": EARLIER["session"] | {"rounds": 3}}, "NOT PROVEN"),
        ({"budget_ms": None}, None),
    ],
)
def test_what_an_earlier_version_verified_is_read_and_judged_again(changed, expected):
    """It said PASS of what was not refuted; manifests of the field have no session either."""
    item = {
        name: value for name, value in (EARLIER | changed).items() if value is not None or name != "session"
    }
    found = Verification.from_json({"device": "host", "verdict": "PASS", "notes": [], "variants": [item]})
    assert word(found.variants[0]) == expected
    assert word(found) == expected
    assert found.variants[0].value == 0.95
    again = Verification.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found


@pytest.mark.slow
def test_what_no_delegate_knows_is_not_asked_to_be_delegated(exported_run):
    dataset = release.load_data(release.read_manifest(exported_run / "export").data)
    shipped = release.export_run(exported_run, dataset, calibration_images=32, also=["16x8"]).parent
    found = verify(shipped, device.load("host"), dataset, options=QUICK)
    fine = next(v for v in found.variants if v.file == "model.16x8.tflite")
    assert fine.measured_ms > 0
    assert not fine.reasons
    assert all(v.checks["delegate"].word == "PASS" for v in found.variants if v.name == "litert-int8")


@pytest.mark.parametrize(("runtime", "precision"), list(release.VARIANTS))
def test_another_valid_model_with_its_hash_brought_up_to_date_fails(exported_run, runtime, precision):
    shipped = exported_run / "export"
    arch = spaces.architecture_from_json(release.read_manifest(shipped).architecture)
    calibration = export.random_calibration(arch.space.input_shape, 16, seed=0)
    other = export.lower(
        export.random_module(arch.blocks, seed=7),
        arch.space.input_shape,
        runtime,
        precision,
        calibration=calibration,
    )
    file = release.VARIANTS[runtime, precision]
    text = metadata.embedded((shipped / file).read_bytes(), runtime)
    replace(shipped, file, metadata.embed(other.model, runtime, text))
    found = verify(shipped, BARE, None)
    wrong = {v.file: v.reasons for v in found.variants if v.reasons}
    assert list(wrong) == [file]
    assert "another model" in wrong[file][0]


def test_the_same_weights_after_a_small_change_fail(exported_run):
    """One weight of the last layer, twice as large as it was: no hash is needed to notice."""
    import onnx
    from onnx import numpy_helper

    path = exported_run / "export" / "model.onnx"
    model = onnx.load(path)
    weight = next(t for t in model.graph.initializer if len(t.dims) == 2)
    values = numpy_helper.to_array(weight).copy()
    values[np.unravel_index(np.abs(values).argmax(), values.shape)] *= 2
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    replace(path.parent, path.name, model.SerializeToString())
    found = verify(path.parent, BARE, None)
    assert [v.file for v in found.variants if v.reasons] == ["model.onnx"]


def test_a_model_without_metadata_or_with_other_metadata_is_refused(exported_run):
    shipped = exported_run / "export"
    kept = (shipped / "model.onnx").read_bytes()
    for text, message in (
        ("no JSON", "must carry its preprocessing and labels"),
        ('{"labels": [], "preprocessing": {}}', r"the preprocessing inside .* must be those of"),
    ):
        replace(shipped, "model.onnx", metadata.embed(kept, "onnxruntime", text))
        with pytest.raises(HwnasError, match=message):
            folder.read(shipped)


def test_a_preprocessing_that_was_changed_everywhere_but_in_the_models_is_refused(exported_run):
    shipped = exported_run / "export"
    how = json.loads((shipped / release.PREPROCESSING).read_text())
    replace(shipped, release.PREPROCESSING, json.dumps(how | {"mean": [0, 0, 0]}).encode())
    with pytest.raises(HwnasError, match=r"the preprocessing inside .* must be those of preprocessing\.json"):
        folder.read(shipped)


def test_labels_must_be_one_for_each_answer(exported_run):
    """Too few labels, in every place where they stand, are still noticed."""
    shipped = exported_run / "export"
    replace(shipped, release.LABELS, b"zero\none\n")
    with pytest.raises(HwnasError, match=r"the labels inside .* must be those of labels.txt"):
        folder.read(shipped)
    for (runtime, _), file in release.VARIANTS.items():
        content = (shipped / file).read_bytes()
        inside = json.loads(metadata.embedded(content, runtime))
        text = json.dumps(inside | {"labels": ["zero", "one"]})
        replace(shipped, file, metadata.embed(content, runtime, text))
    with pytest.raises(HwnasError, match=r"labels\.txt has 2"):
        verify(shipped, BARE, None)


def test_damaged_probes_are_refused(exported_run):
    shipped = exported_run / "export"
    replace(shipped, release.PROBES, json.dumps({"schema": probes.SCHEMA, "answers": {}}).encode())
    with pytest.raises(SchemaMismatch, match="export again"):
        verify(shipped, BARE, None)


def test_a_file_that_is_no_model_is_refused(exported_run):
    for file in release.VARIANTS.values():
        shipped = Path(shutil.copytree(exported_run / "export", exported_run / f"copy-{file}"))
        replace(shipped, file, b"not a model of any kind")
        with pytest.raises(HwnasError):
            verify(shipped, BARE, None)


def test_a_folder_that_cannot_be_written_says_so(exported_run, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(files, "write_json", full)
    with pytest.raises(HwnasError, match="--no-record"):
        verify(exported_run / "export", BARE, None)
    assert verify(exported_run / "export", BARE, None, record=False).verdict is None


def _flip(shipped: Path) -> None:
    path = shipped / "model.int8.tflite"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


_DAMAGES = {
    "a corrupted file": (_flip, [], "model.int8.tflite must be the file that was exported"),
    "another version": (
        lambda shipped: change(shipped, schema="hwnas-manifest/9"),
        [],
        "a manifest must be of schema",
    ),
    "no labels": (lambda shipped: (shipped / release.LABELS).unlink(), [], "labels.txt is missing"),
    "cut off": (
        lambda shipped: (shipped / release.MANIFEST).write_text('{"schema": "hwnas-mani'),
        [],
        "must be readable JSON",
    ),
    "a device that is gone": (lambda _: None, ["--device=pixel", "--skip-accuracy"], "pixel"),
    "no such data": (lambda _: None, ["--data=nope"], "there is no such path"),
}


@pytest.mark.parametrize("damage", _DAMAGES)
def test_what_is_wrong_is_one_sentence(exported_run, damage):
    harm, arguments, message = _DAMAGES[damage]
    harm(exported_run / "export")
    done = typed("verify", exported_run / "export", *arguments)
    assert isinstance(done.exception, HwnasError)
    assert message in str(done.exception)


@pytest.mark.slow
def test_the_program_says_it_in_one_line_and_ends_with_exit_code_1(exported_run):
    _flip(exported_run / "export")
    done = hwnas("verify", exported_run / "export")
    assert done.returncode == 1
    assert "model.int8.tflite must be the file that was exported" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error:") == 1

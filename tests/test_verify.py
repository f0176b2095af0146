"""Verification goes through the real runtimes, needs the folder alone, and can fail."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hwnas import conditions, device, export, files, ship, spaces
from hwnas.device import Device
from hwnas.errors import HwnasError, SchemaMismatch
from hwnas.export import metadata
from hwnas.profile import ProfileOptions
from hwnas.ship import probes
from hwnas.verify import Verification, folder, verify

QUICK = ProfileOptions(rounds=2, max_rounds=2, samples=3, min_round_s=0.0)
HWNAS = Path(sys.executable).with_name("hwnas")
BARE = Device("bare", "A device that has none of the runtimes", "local", runtimes=("torch_cuda",))


def hwnas(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HWNAS, *map(str, arguments)], capture_output=True, text=True, check=False)


def change(shipped: Path, **fields: object) -> None:
    """Change fields of the manifest."""
    path = shipped / ship.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def replace(shipped: Path, name: str, content: bytes) -> None:
    """Put another file in the place of one and bring its hash up to date."""
    (shipped / name).write_bytes(content)
    manifest = json.loads((shipped / ship.MANIFEST).read_text())
    change(shipped, files=manifest["files"] | {name: files.sha256(shipped / name)})


def change_budget(shipped: Path, budget_ms: float) -> None:
    budgets = json.loads((shipped / ship.MANIFEST).read_text())["budgets"]
    change(shipped, budgets=[budgets[0] | {"budget_ms": budget_ms}])


def test_a_generous_budget_is_kept_and_the_manifest_says_so(exported_run, tmp_path):
    """The folder was moved, and the run is gone."""
    shipped = Path(shutil.move(exported_run / "export", tmp_path / "elsewhere"))
    shutil.rmtree(exported_run)
    dataset = ship.load_data(ship.read_manifest(shipped)["data"])
    steps: list[str] = []
    found = verify(shipped, device.load("host"), dataset, options=QUICK, on_step=steps.append)
    assert found.passed
    assert found.notes == ()
    assert [v.name for v in found.variants] == [f"{r}-{p}" for r, p in ship.VARIANTS]
    assert len(steps) == 1 + 2 * len(ship.VARIANTS)
    for variant in found.variants:
        assert variant.interval_ms is not None
        low, high = variant.interval_ms
        assert 0 < low <= variant.measured_ms <= high
        assert variant.budget_ms == (1000.0 if variant.name == "litert-int8" else None)
        assert variant.session is not None
        assert variant.session.rounds == QUICK.rounds
        assert variant.session.verdict in (conditions.STABLE, conditions.NOISY, conditions.UNUSABLE)
        assert bool(variant.session.reasons) == (variant.session.verdict != conditions.STABLE)
        assert variant.session.environment["runtime"] == variant.name.rpartition("-")[0]
        assert variant.session.environment["library_sha256"]
    assert len({v.session.id for v in found.variants}) == len(ship.VARIANTS), "each is its own session"
    kept = ship.read_manifest(shipped)["verification"]
    assert kept == json.loads(json.dumps(found.to_json()))
    assert Verification.from_json(kept) == found
    earlier = kept | {"variants": [{k: v for k, v in i.items() if k != "session"} for i in kept["variants"]]}
    assert Verification.from_json(earlier).variants[0].session is None


def test_a_budget_that_is_missed_fails_with_exit_code_1(exported_run):
    change_budget(exported_run / "export", 1e-4)
    before = files.sha256(exported_run / "export" / ship.MANIFEST)
    done = hwnas(
        "verify",
        exported_run,
        "--tables",
        exported_run,
        "--rounds",
        "1",
        "--skip-accuracy",
        "--no-record",
        "--json",
    )
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["verdict"] == "FAIL"
    failed = {v["name"]: v["failures"] for v in found["variants"] if v["verdict"] == "FAIL"}
    assert list(failed) == ["litert-int8"]
    assert "latency must be at most 0.000 ms" in failed["litert-int8"][0]
    assert all(v["test_accuracy"] is None for v in found["variants"])
    assert files.sha256(exported_run / "export" / ship.MANIFEST) == before


def test_what_was_left_out_is_said(exported_run):
    found = verify(exported_run / "export", BARE, None)
    assert found.passed
    assert all(v.measured_ms is None and v.test_accuracy is None for v in found.variants)
    assert all(v.session is None for v in found.variants)
    assert "accuracy was not checked: the data (digits)" in found.notes[0]
    assert "bare does not have litert, onnxruntime" in found.notes[1]
    assert "no budget was asked for on bare" in found.notes[2]


def test_a_model_that_lost_its_accuracy_fails(exported_run):
    shipped = exported_run / "export"
    manifest = ship.read_manifest(shipped)
    change(shipped, test_accuracy_pytorch=manifest["test_accuracy_pytorch"] + 0.1)
    found = verify(shipped, BARE, ship.load_data(manifest["data"]))
    assert not found.passed
    assert all("test accuracy must be within" in v.failures[0] for v in found.variants)


@pytest.mark.parametrize(("runtime", "precision"), list(ship.VARIANTS))
def test_another_valid_model_with_its_hash_brought_up_to_date_fails(exported_run, runtime, precision):
    shipped = exported_run / "export"
    arch = spaces.architecture_from_json(ship.read_manifest(shipped)["architecture"])
    calibration = export.random_calibration(arch.space.input_shape, 16, seed=0)
    other = export.lower(
        export.random_module(arch.blocks, seed=7),
        arch.space.input_shape,
        runtime,
        precision,
        calibration=calibration,
    )
    file = ship.VARIANTS[runtime, precision]
    text = metadata.embedded((shipped / file).read_bytes(), runtime)
    replace(shipped, file, metadata.embed(other.model, runtime, text))
    found = verify(shipped, BARE, None)
    wrong = {v.file: v.failures for v in found.variants if v.failures}
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
    assert [v.file for v in found.variants if not v.passed] == ["model.onnx"]


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
    how = json.loads((shipped / ship.PREPROCESSING).read_text())
    replace(shipped, ship.PREPROCESSING, json.dumps(how | {"mean": [0, 0, 0]}).encode())
    with pytest.raises(HwnasError, match=r"the preprocessing inside .* must be those of preprocessing\.json"):
        folder.read(shipped)


def test_labels_must_be_one_for_each_answer(exported_run):
    """Too few labels, in every place where they stand, are still noticed."""
    shipped = exported_run / "export"
    replace(shipped, ship.LABELS, b"zero\none\n")
    with pytest.raises(HwnasError, match=r"the labels inside .* must be those of labels.txt"):
        folder.read(shipped)
    for (runtime, _), file in ship.VARIANTS.items():
        content = (shipped / file).read_bytes()
        inside = json.loads(metadata.embedded(content, runtime))
        text = json.dumps(inside | {"labels": ["zero", "one"]})
        replace(shipped, file, metadata.embed(content, runtime, text))
    with pytest.raises(HwnasError, match=r"labels\.txt has 2"):
        verify(shipped, BARE, None)


def test_damaged_probes_are_refused(exported_run):
    shipped = exported_run / "export"
    replace(shipped, ship.PROBES, json.dumps({"schema": probes.SCHEMA, "answers": {}}).encode())
    with pytest.raises(SchemaMismatch, match="export again"):
        verify(shipped, BARE, None)


def test_a_file_that_is_no_model_is_refused(exported_run):
    for file in ship.VARIANTS.values():
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
    assert verify(exported_run / "export", BARE, None, record=False).passed


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
    "no labels": (lambda shipped: (shipped / ship.LABELS).unlink(), [], "labels.txt is missing"),
    "cut off": (
        lambda shipped: (shipped / ship.MANIFEST).write_text('{"schema": "hwnas-mani'),
        [],
        "must be readable JSON",
    ),
    "no such device": (lambda _: None, ["--device=nope"], "a device must be one of"),
    "a device that is gone": (lambda _: None, ["--device=pixel", "--skip-accuracy"], "pixel"),
    "no such data": (lambda _: None, ["--data=nope"], "there is no such path"),
}


@pytest.mark.parametrize("damage", _DAMAGES)
def test_what_is_wrong_is_one_sentence_and_exit_code_1(exported_run, damage):
    harm, arguments, message = _DAMAGES[damage]
    harm(exported_run / "export")
    done = hwnas("verify", exported_run / "export", *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error:") == 1

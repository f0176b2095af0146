"""The shipping folder: complete, hashed, usable by itself, and refused where it was changed."""

from __future__ import annotations

import ast
import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from installed import needs
from PIL import Image
from shipping_helpers import leave_one
from typer.testing import CliRunner

from hwnas import data, device, files, release, runtimes
from hwnas.cli import app
from hwnas.data.digits import digits as read_digits
from hwnas.device import Target
from hwnas.errors import DataError, HwnasError, SchemaMismatch
from hwnas.export import metadata, parity
from hwnas.release import preprocessing, probes, shipping
from hwnas.runs import records
from hwnas.runs.budgets import BudgetRecord
from hwnas.runs.folder import RunFolder
from hwnas.runtimes import litert
from hwnas.verify import folder as checked_folder
from hwnas.verify import notes


def test_the_folder_is_whole(exported_run):
    folder = exported_run / "export"
    manifest = release.read_manifest(folder)
    assert {entry.file for entry in manifest.models} == set(release.VARIANTS.values())
    assert sorted(p.name for p in folder.iterdir()) == sorted([*manifest.files, release.MANIFEST])
    assert set(manifest.files) == {
        *release.VARIANTS.values(),
        *release.EXAMPLES,
        release.LABELS,
        release.PREPROCESSING,
        release.PROBES,
    }
    assert (folder / release.LABELS).read_text().splitlines() == [str(digit) for digit in range(10)]
    assert all(entry.parity for entry in manifest.models)
    assert manifest.weights_sha256 == files.sha256(exported_run / "weights.safetensors")
    assert manifest.device == "host"
    assert manifest.licence is None


def test_the_preprocessing_is_enough_to_use_a_model(exported_run):
    """Preprocessing by the file's words alone gives the accuracy that training reported."""
    folder = exported_run / "export"
    manifest = release.read_manifest(folder)
    how = json.loads((folder / release.PREPROCESSING).read_text())
    test = release.load_data(manifest.data).test
    mean, std = (np.array(how[name], np.float32).reshape(1, 3, 1, 1) for name in ("mean", "std"))
    images = ((test.images * how["scale"] - mean) / std).astype(np.float32)
    for entry in manifest.models:
        logits = runtimes.run(folder / entry.file, entry.runtime, images)
        accuracy = (logits.argmax(axis=1) == test.labels).mean()
        assert accuracy == pytest.approx(manifest.test_value, abs=0.02), entry.name
        assert how["layout"][entry.runtime] == entry.layout
    assert manifest.test_value > 0.8, "three epochs on digits must teach something"


def test_every_model_carries_its_preprocessing_and_labels(exported_run):
    folder = exported_run / "export"
    for entry in release.read_manifest(folder).models:
        inside = json.loads(metadata.embedded((folder / entry.file).read_bytes(), entry.runtime))
        assert inside["preprocessing"] == json.loads((folder / release.PREPROCESSING).read_text())
        assert inside["labels"] == [str(digit) for digit in range(10)]


def test_the_quantisation_that_is_written_down_is_the_one_of_the_model(exported_run):
    """Fed with numbers made by hand, the int8 model answers what our own runtime says."""
    folder = exported_run / "export"
    how = json.loads((folder / release.PREPROCESSING).read_text())
    assert list(how["quantization"]) == ["model.int8.tflite"]
    ends = how["quantization"]["model.int8.tflite"]
    image = np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32)
    numbers = np.rint(image / ends["input"]["scale"]) + ends["input"]["zero_point"]
    model = litert.interpreter(folder / "model.int8.tflite")
    given = np.clip(numbers, -128, 127).astype(ends["input"]["dtype"]).transpose(0, 2, 3, 1)
    model.set_tensor(model.get_input_details()[0]["index"], given)
    model.invoke()
    answers = model.get_tensor(model.get_output_details()[0]["index"]).astype(np.float32)
    by_hand = (answers - ends["output"]["zero_point"]) * np.float32(ends["output"]["scale"])
    np.testing.assert_array_equal(by_hand, runtimes.run(folder / "model.int8.tflite", "litert", image))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two digits as PNG of 8x8 pixels, with their label and what a network reads of them."""
    from sklearn.datasets import load_digits

    folder = tmp_path_factory.mktemp("pictures")
    scaled, labels = read_digits(16).train
    found = []
    for row in (0, 3):
        grey = np.round(load_digits().images[row] * (255 / 16)).astype(np.uint8)
        Image.fromarray(grey).save(folder / f"{row}.png")
        found.append((folder / f"{row}.png", str(labels[row]), scaled[row : row + 1]))
    return found


def _budget_on(runtime, precision, run):
    """What the search of a run says, with a budget on one target."""
    target = Target("host", runtime, precision)
    return dataclasses.replace(records.search(run), budgets=(BudgetRecord(str(target), target, 50.0),))


def test_a_budget_has_its_files_made(exported_run):
    """Only runtimes of a format that nothing else ships add any."""
    always = set(release.VARIANTS.values())
    for runtime, precision, more in (
        ("litert", "int8", set()),
        ("openvino", "int8", set()),
        ("litert", "16x8", {"model.16x8.tflite"}),
        ("executorch", "int8", {"model.pte", "model.int8.pte"}),
    ):
        made = shipping.wanted(_budget_on(runtime, precision, exported_run))
        assert set(made.values()) == always | more
        assert not more or made[runtime, precision] in more


@needs("executorch")
def test_a_budget_on_executorch_can_be_verified(exported_run):
    search = _budget_on("executorch", "int8", exported_run)
    files.write_json(RunFolder(exported_run).search, search.to_json())
    dataset = data.load("digits", resolution=16)
    shipped = release.export_run(exported_run, dataset, calibration_images=64).parent
    checked = checked_folder.read(shipped)
    assert not any(checked_folder.answers_to_probes(checked).values())
    host = device.load("host")
    assert not list(notes.missing(checked.manifest, host))
    left = notes.left_out(checked, host, [host.name], None, None)
    assert not any("executorch" in note for note in left)
    assert checked.manifest.versions["executorch"]
    assert checked.preprocessing["layout"]["executorch"] == "NCHW"
    images, labels = dataset.normalize(dataset.test.images), dataset.test.labels
    own = (runtimes.run(shipped / "model.int8.pte", "executorch", images).argmax(axis=1) == labels).mean()
    assert own == pytest.approx(checked.manifest.test_value, abs=0.02)


@pytest.mark.slow
def test_files_of_another_precision_are_made_where_they_are_asked_for(exported_run):
    dataset = data.load("digits", resolution=16)
    shipped = release.export_run(exported_run, dataset, calibration_images=64, also=["16x8"]).parent
    manifest = release.read_manifest(shipped)
    (entry,) = (entry for entry in manifest.models if entry.precision == "16x8")
    assert (entry.name, entry.file) == ("litert-16x8", "model.16x8.tflite")
    assert {e.file for e in manifest.models} - {entry.file} == set(release.VARIANTS.values())
    images, labels = dataset.normalize(dataset.test.images), dataset.test.labels
    own = (runtimes.run(shipped / entry.file, "litert", images).argmax(axis=1) == labels).mean()
    assert own == pytest.approx(manifest.test_value, abs=0.01)
    assert not any(checked_folder.answers_to_probes(checked_folder.read(shipped)).values())
    with pytest.raises(HwnasError, match="in a precision of 16x8, fp32, int8, but got int4"):
        release.export_run(exported_run, dataset, also=["int4"])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "precision"), [*release.VARIANTS, ("litert", "16x8")])
def test_the_examples_name_the_digit(exported_run, pictures, tmp_path, name, precision):
    """In a process of their own, in a copied folder, they agree with our own runtime and the truth."""
    if (name, precision) not in release.VARIANTS:
        release.export_run(
            exported_run, data.load("digits", resolution=16), calibration_images=64, also=[precision]
        )
    found = release.read_manifest(exported_run / "export").models
    (file,) = (entry.file for entry in found if (entry.runtime, entry.precision) == (name, precision))
    folder = shutil.copytree(exported_run / "export", tmp_path / "elsewhere")
    dataset = data.load("digits", resolution=16)
    program = folder / f"example_{name}.py"
    chosen = [] if precision == "fp32" else [folder / file]
    for picture, label, image in pictures:
        done = subprocess.run(
            [sys.executable, "-I", program, picture, *chosen],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        )
        lines = [line.split() for line in done.stdout.splitlines()]
        logits = runtimes.run(folder / file, name, dataset.normalize(image))[0]
        assert [line[1] for line in lines] == [str(i) for i in np.argsort(-logits)[:3]]
        assert lines[0][1] == label
        share = np.exp(logits - logits.max())
        assert float(lines[0][0].rstrip("%")) == pytest.approx(
            100 * float((share / share.sum()).max()), abs=0.2
        )


@pytest.mark.parametrize("name", release.EXAMPLES)
def test_the_examples_need_a_runtime_numpy_and_pillow_only(exported_run, name):
    text = (exported_run / "export" / name).read_text()
    tree = ast.parse(text)
    modules = [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    modules += [alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names]
    own = {"example_litert.py": "ai_edge_litert", "example_onnxruntime.py": "onnxruntime"}[name]
    assert {m.split(".")[0] for m in modules} == {"json", "sys", "time", "pathlib", "numpy", "PIL", own}
    _, program = text.split("from PIL import Image, ImageOps\n")
    assert len([line for line in program.splitlines() if line]) <= 100


@pytest.mark.parametrize("name", release.EXAMPLES)
def test_an_example_without_what_it_needs_says_so(exported_run, tmp_path, name):
    program = tmp_path / name
    program.write_text((exported_run / "export" / name).read_text())
    for needed in (release.PREPROCESSING, "model"):
        done = subprocess.run(
            [sys.executable, program, "it.png"], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert needed in done.stderr
        assert "is not there: export again" in done.stderr
        (tmp_path / release.PREPROCESSING).write_bytes(
            (exported_run / "export" / release.PREPROCESSING).read_bytes()
        )


@pytest.mark.slow
def test_the_same_weights_give_the_same_files(exported_run):
    folder = exported_run / "export"
    before = {p.name: files.sha256(p) for p in folder.iterdir() if p.name != release.MANIFEST}
    release.export_run(exported_run, data.load("digits", resolution=16), licence="CC-BY-4.0")
    assert before == {p.name: files.sha256(p) for p in folder.iterdir() if p.name != release.MANIFEST}
    assert release.read_manifest(folder).licence == "CC-BY-4.0"


@pytest.mark.parametrize(
    "name", [*release.VARIANTS.values(), release.LABELS, release.PREPROCESSING, release.PROBES]
)
def test_a_changed_or_missing_file_is_named(exported_run, name):
    path = exported_run / "export" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(HwnasError, match=f"{name} must be the file that was exported"):
        release.read_manifest(path.parent)
    path.unlink()
    with pytest.raises(HwnasError, match=f"{name} is missing"):
        release.read_manifest(path.parent)


def test_a_manifest_of_another_version_is_refused(exported_run):
    path = exported_run / "export" / release.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": "hwnas-manifest/1"}))
    with pytest.raises(SchemaMismatch, match="makes it anew"):
        release.read_manifest(path.parent)


def test_a_manifest_that_was_cut_off_is_refused(exported_run):
    path = exported_run / "export" / release.MANIFEST
    whole = path.read_bytes()
    for end in (0, 1, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:end])
        with pytest.raises(HwnasError, match="must be readable JSON"):
            release.read_manifest(path.parent)
    path.unlink()
    with pytest.raises(HwnasError, match="the manifest of a shipping folder must be there"):
        release.read_manifest(path.parent)


@pytest.mark.parametrize("odd", [None, 3, "x", [], {}, [3], {"x": 3}])
def test_a_manifest_with_an_odd_or_missing_field_is_refused(exported_run, odd):
    """Whatever stands in a field that is needed: it is accepted, or one sentence says why not."""
    path = exported_run / "export" / release.MANIFEST
    manifest = json.loads(path.read_text())
    spots = [(manifest, name) for name in manifest if name not in ("schema", "parity")]
    spots += [(manifest["variants"][0], name) for name in manifest["variants"][0]]
    spots += [(manifest[name], key) for name in ("files", "data") for key in manifest[name]]
    spots += [(manifest["budgets"][0], name) for name in manifest["budgets"][0]]
    for place, name in spots:
        kept = place[name]
        place[name] = odd
        path.write_text(json.dumps(manifest))
        fits = isinstance(odd, type(kept)) or (isinstance(odd, int) and isinstance(kept, float))
        fits |= odd is None and name == "predicted_ms"
        assert fits or name in _FREE or not _accepts(path.parent), name
        place[name] = kept


def _accepts(folder) -> bool:
    """Whether a manifest is accepted; where it is refused, it is by an error of our own."""
    try:
        release.read_manifest(folder)
    except HwnasError as error:
        return "\n" in str(error)
    return True


_FREE = {"created", "hwnas", "int8", "versions", "licence", "macs", "params", "layout", "parity"} | {
    # not needed to check a folder
    "int8_costs",
    "classes",
    "images",
    "name",
}


def test_fields_of_others_are_left_alone(exported_run):
    path = exported_run / "export" / release.MANIFEST
    manifest = json.loads(path.read_text()) | {"customer": {"ticket": 7}}
    path.write_text(json.dumps(manifest))
    assert release.read_manifest(path.parent).more["customer"] == {"ticket": 7}
    release.add_file(path.parent, "NOTICE.txt", "mine")
    again = release.read_manifest(path.parent)
    assert again.more["customer"] == {"ticket": 7}
    assert again.files["NOTICE.txt"] == files.sha256(path.parent / "NOTICE.txt")


def test_a_file_outside_the_folder_is_refused(exported_run):
    path = exported_run / "export" / release.MANIFEST
    manifest = json.loads(path.read_text())
    manifest["files"]["../weights.safetensors"] = files.sha256(exported_run / "weights.safetensors")
    path.write_text(json.dumps(manifest))
    with pytest.raises(HwnasError, match="files of its own folder"):
        release.read_manifest(path.parent)


def test_labels_are_one_line_each():
    assert preprocessing.label_lines(["cat", "big dog"]) == "cat\nbig dog\n"
    for label in ("two\nlines", "", "a\u2028b"):
        with pytest.raises(HwnasError, match="one line of text"):
            preprocessing.label_lines(["cat", label])


def test_probes_are_the_same_everywhere_and_all_different():
    images = probes.images(3, 32, 32)
    assert images.shape == (probes.COUNT, 3, 32, 32)
    flat = images.reshape(-1, 32 * 32).astype(float)
    correlation = np.corrcoef(images.reshape(probes.COUNT, -1).astype(float)) - np.eye(probes.COUNT)
    assert np.abs(correlation).max() < 0.9
    assert flat.std(axis=1).min() > 20
    assert images[0, 0, :2, :4].tolist() == _FIRST_PIXELS


_FIRST_PIXELS: list[list[int]] = [[162, 154, 145, 135], [154, 145, 135, 125]]


def test_other_data_are_refused(exported_run):
    other = data.load("digits", resolution=16, seed=1)
    with pytest.raises(HwnasError, match="must be those that the network was trained on"):
        release.export_run(exported_run, other)


def test_data_that_changed_are_refused(exported_run):
    record = files.read_json(exported_run / "train.json", "training")["data"]
    with pytest.raises(DataError, match="must not change between stages"):
        release.load_data(record | {"fingerprint": "0" * 16})


def test_a_run_without_training_says_what_is_missing(exported_run):
    (exported_run / "train.json").unlink()
    dataset = data.load("digits", resolution=16)
    with pytest.raises(HwnasError, match="the record of training must be there"):
        release.export_run(exported_run, dataset)


def test_probes_hold_several_outputs_each():
    rng = np.random.default_rng(0)
    boxes, scores = (rng.random((probes.COUNT, n, 2, 2)).astype(np.float32) for n in (4, 3))
    recorded = json.loads(json.dumps(probes.record({probes.PYTORCH: (boxes, scores), "other": boxes})))
    found = probes.answers(recorded, probes.PYTORCH)
    assert [each.shape for each in found] == [boxes.shape, scores.shape]
    assert parity.differences((boxes, scores), found) == (0.0, None)
    np.testing.assert_array_equal(probes.answers(recorded, "other"), boxes)
    recorded["answers"][probes.PYTORCH]["outputs"][1].pop()
    with pytest.raises(SchemaMismatch, match="must be 8 rows"):
        probes.answers(recorded, probes.PYTORCH)


def test_probes_hold_what_pytorch_and_the_int8_models_answer(exported_run):
    folder = exported_run / "export"
    recorded = json.loads((folder / release.PROBES).read_text())
    images = data.load("digits", resolution=16).normalize(probes.images(3, 16, 16))
    pytorch = probes.answers(recorded, probes.PYTORCH)
    assert np.ptp(pytorch.argmax(axis=1)) > 0, "probes must not all look the same to a network"
    for (name, precision), file in release.VARIANTS.items():
        answered = runtimes.run(folder / file, name, images)
        if precision == "fp32":
            assert parity.differences(pytorch, answered)[0] < parity.FP32_TOLERANCE
        else:
            np.testing.assert_array_equal(probes.answers(recorded, file), answered)


@pytest.mark.parametrize(
    "recorded",
    [{}, {"schema": probes.SCHEMA}, {"schema": probes.SCHEMA, "answers": {"pytorch": [["x"]] * 8}}],
)
def test_damaged_probes_are_refused(recorded):
    with pytest.raises(SchemaMismatch, match="rows of numbers"):
        probes.answers(recorded, probes.PYTORCH)


@pytest.mark.slow
@pytest.mark.usefixtures("hurried", "warm_processes")
def test_an_unfinished_retraining_is_said_by_export_verify_and_report(exported_run):
    """What is left of a training that was cut off, beside the weights of the one before."""
    arguments = [str(exported_run)]
    assert "is not finished" not in CliRunner().invoke(app, ["report", *arguments]).output
    (exported_run / "train-checkpoint.safetensors").write_bytes(b"")
    for verb in ("export", "report"):
        done = CliRunner().invoke(app, [verb, *arguments])
        assert done.exit_code == 0, done.output
        assert "a further training of this run was begun and is not finished" in done.stderr
        assert f"`hwnas train {exported_run}`" in done.stderr
    assert "is not finished" in (exported_run / "report.html").read_text()
    leave_one(exported_run / "export", "litert-int8")
    done = CliRunner().invoke(
        app, ["verify", *arguments, "--skip-accuracy", "--rounds", "1", "--no-record", "--accept-noise"]
    )
    assert "is not finished" in done.stderr

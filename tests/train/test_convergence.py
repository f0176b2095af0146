"""What a training came to, and what is said of it: intervals, classes, mistakes, too few epochs."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hwnas import data, device, files, release, report, spaces, tasks, train
from hwnas.cli import app
from hwnas.runs.folder import RunFolder
from hwnas.tasks import mistakes
from hwnas.tasks.classification import Classes
from hwnas.train import convergence, fitting, scoring
from hwnas.train.fitting import new_network
from hwnas.train.scoring import look, predictions
from hwnas.train.training import dataset_of, train_run


def history(accuracies):
    return [train.EpochRecord(n + 1, 1.0, 0.5, value, 1.0, 0.1, 1.0) for n, value in enumerate(accuracies)]


def test_a_rise_at_the_end_is_seen_where_it_is_more_than_noise():
    def rise(history, images):
        return convergence.rise(history, images, tasks.get("classification"))

    assert rise(history([0.2, 0.3, 0.4, 0.5]), 1000) == pytest.approx(0.1)
    assert rise(history([0.2, 0.4, 0.49, 0.5]), 1000) is None
    assert rise(history([0.2, 0.3, 0.4, 0.45]), 20) is None, "twenty images cannot tell"
    assert rise(history([0.5, 0.9]), 1000) == pytest.approx(0.4)
    assert rise(history([0.5]), 1000) is None
    assert rise(history([0.2, 0.4, 0.6, 0.8, 0.9, 0.9, 0.9, 0.9]), 10_000) is None


def classes(labels, predicted, count):
    labels, predicted = np.array(labels), np.array(predicted)
    return Classes(labels, predicted, np.linspace(0.5, 0.9, len(labels)), np.ones(len(labels)), count)


def test_accuracies_have_intervals_and_recalls():
    found = classes([0] * 90 + [1] * 10, [0] * 95 + [1] * 5, 2).to_json()
    assert found["accuracy"] == 0.95
    assert found["balanced_accuracy"] == 0.75
    assert found["recalls"] == [1.0, 0.5]
    assert found["is_uneven"]
    assert found["images"] == 100
    for value, (low, high) in (
        (found["accuracy"], found["interval"]),
        (found["balanced_accuracy"], found["balanced_interval"]),
    ):
        assert 0 < low < value < high <= 1
    json.dumps(found, allow_nan=False)


def test_mistakes_are_counted_and_the_surest_come_first():
    digits = data.load("digits", resolution=8)
    answered = digits.test.labels.copy()
    answered[[5, 9, 30]] = (answered[[5, 9, 30]] + 1) % 10
    found = tasks.of(digits).mistakes(classes(digits.test.labels, answered, 10), digits, "test")
    assert [item["row"] for item in found["surest"]] == [30, 9, 5]
    assert sum(count for label, answer, count in found["answers"] if label != answer) == 3
    assert sum(count for _, _, count in found["answers"]) == len(digits.test) == sum(found["images"])
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["surest"][0]["png"]))))
    np.testing.assert_array_equal(picture, digits.test.images[30].transpose(1, 2, 0))


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """Digits 0 and 1 with few of the latter, and a class whose name is hostile."""
    folder = tmp_path_factory.mktemp("uneven")
    digits = data.load("digits", resolution=16)
    names = ("<b>nought</b>", "one & only")
    for label, (name, count) in enumerate(zip(names, (100, 12), strict=True)):
        (folder / "images" / name.replace("/", "")).mkdir(parents=True)
        rows = np.flatnonzero(digits.train.labels == label)[:count]
        for row in rows:
            picture = Image.fromarray(digits.train.images[row].transpose(1, 2, 0))
            picture.save(folder / "images" / name.replace("/", "") / f"{row}.png")
    return folder


@pytest.fixture(scope="module")
def run(uneven):
    run = uneven / "run"
    dataset = data.load(uneven / "images", resolution=16)
    arch = spaces.load("macro", resolution=16, num_classes=2).architecture([0] * 8)
    files.write_json(run / "arch.json", arch.to_json())
    target = device.load("host").target("litert", "int8")
    promise = {"name": str(target), "target": target.to_json(), "budget_ms": 1000.0, "predicted_ms": 0.5}
    search = {"data": dataset.describe(), "seed": 0, "constraints": [promise], "strategy": "by hand"}
    files.write_json(run / "search.json", search)
    return run


def test_training_records_and_says_what_uneven_classes_came_to(run):
    done = CliRunner().invoke(
        app,
        ["train", str(run), "--epochs", "2", "--class-weights", "balanced", "--device", "cpu"],
        env={"COLUMNS": "200"},
    )
    assert done.exit_code == 0, done.output
    record = files.read_json(run / "train.json", "record")
    assert record["config"]["class_weights"] == "balanced"
    assert record["test"]["is_uneven"]
    assert record["learnt"] in (True, False, None)
    assert record["learning"]["verdict"] in ("PASS", "FAIL", "NOT PROVEN")
    assert record["kept"]["epoch"] in (1, 2)
    assert "balanced accuracy" in done.output
    assert "right by class, the worst first" in done.output
    assert "(95 %:" in done.output
    if record["learning"]["verdict"] != "PASS":
        assert record["learning"]["reasons"][0][:30] in done.output


def test_a_training_looks_at_a_split_no_more_than_it_must(run, monkeypatch):
    """At validation images after the epoch and with statistics estimated anew; at test images once."""
    looked = []

    def counted(model, batches, split, *more, **named):
        looked.append(split)
        return look(model, batches, split, *more, **named)

    for module in (fitting, scoring):
        monkeypatch.setattr(module, "look", counted)
    (run / "train.json").unlink(missing_ok=True)
    record = train_run(run, train.TrainConfig(epochs=1)).to_json()
    assert looked == ["val", "val", "test"]
    assert record["val"]["accuracy"] == record["val_accuracy"]
    data = dataset_of(record["data"])
    model = new_network(release.read_run(run)[0], 0)
    train.load_weights(model, run / "weights.safetensors")
    assert predictions(model, data, "val").to_json() == record["val"]


def page_of(run):
    return report.write(run).read_text()


def test_the_report_shows_what_is_taken_for_what(run):
    if not (run / "train.json").exists():
        train_run(run, train.TrainConfig(epochs=1))
    found = files.read_json(RunFolder(run).mistakes, "mistakes")
    found["answers"] = [[0, 0, 18], [0, 1, 2], [1, 0, 1], [1, 1, 1]]
    found["images"] = [20, 2]
    png = mistakes._thumbnail(np.full((3, 8, 8), 200, np.uint8))
    found["surest"] = [{"row": 1, "label": 1, "answered": 0, "confidence": 0.987, "png": png}]
    files.write_json(RunFolder(run).mistakes, found)
    text = page_of(run)
    assert "Of 22 test images 19 are right" in text
    assert "one &amp; only, taken for &lt;b&gt;nought" in text
    assert "<b>nought" not in text
    assert f'src="data:image/png;base64,{png}"' in text
    assert "50.0% (1% to 99%)" in text


@pytest.mark.parametrize("png", ["", "bm8=", "<script>", '" onload="x', 5, None])
def test_a_picture_that_is_none_is_left_out(run, png):
    if not (run / "train.json").exists():
        train_run(run, train.TrainConfig(epochs=1))
    found = files.read_json(RunFolder(run).mistakes, "mistakes")
    found["surest"] = [{"row": 1, "label": 1, "answered": 0, "confidence": 0.9, "png": png}]
    files.write_json(RunFolder(run).mistakes, found)
    assert "<img" not in page_of(run)


def test_mistakes_of_other_weights_are_left_out(run):
    if not (run / "train.json").exists():
        train_run(run, train.TrainConfig(epochs=1))
    found = files.read_json(RunFolder(run).mistakes, "mistakes")
    files.write_json(RunFolder(run).mistakes, {**found, "weights_sha256": "other"})
    assert "Mistakes</h2>" not in page_of(run)

"""A task of the tests' own goes the whole way, from the search to the report, by the commands alone."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys

import brightness
import numpy as np
import pytest
import report_run
from PIL import Image
from quick_measuring import form
from typer.testing import CliRunner

from hwnas import device, files, latency, measure, release, runtimes, spaces, tasks
from hwnas.cli import app
from hwnas.device import Device
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.verify import verify

BARE = Device("bare", "A device that has none of the runtimes", "local", runtimes=("tensorrt",))
VERIFIED = ["litert-int8", "onnxruntime-fp32"]
"""Each is measured, which takes its time: one of a runtime and a precision is enough."""
METRIC = brightness.Brightness.metric


def leave(path, names):
    """Leave these variants in a manifest."""
    manifest = files.read_json(path, "it")
    manifest["variants"] = [item for item in manifest["variants"] if item["name"] in names]
    files.write_json(path, manifest)


def typed(*words):
    done = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "300"})
    assert done.exit_code == 0, (done.output, done.exception)
    return " ".join(done.stdout.split())


@pytest.fixture(scope="module")
def way(tmp_path_factory, warm_processes):
    """What each command printed, and the folder that they worked in."""
    root = tmp_path_factory.mktemp("way")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tasks.TASKS, "brightness", "brightness:Brightness")
        patch.setenv("XDG_DATA_HOME", str(root / "user"))
        data = brightness.write(root / "squares.npz", brightness.images())
        space = spaces.load("macro", resolution=8, num_classes=1)
        target = device.load("host").target("litert", "int8")
        table = report_run.table_of(space.architecture((1, 0, 1, 0, 0, 1, 0, 0)), target, speed=5e5)
        latency.save(latency.fit(table, space), root / "l.json")
        run = root / "run"
        said = {
            "search": typed(
                *("search", "--task", "brightness", "--data", data, "--space", space.name),
                *("--latency", root / "l.json", "--budget-ms", "25%", "--strategy", "random"),
                *("--queries", 4, "--warmup-steps", 10, "--steps", 10, "--proxy-width", 0.25),
                *("--gallery", 2, "--out", run),
            ),
            "train": typed("train", run, "--epochs", 8, "--batch-size", 32, "--no-augment"),
            "export": typed("export", run, "--int8-drop", 1, "--calibration-images", 128),
            "left": leave(run / "export" / release.MANIFEST, VERIFIED),
        }
        with patch.context() as hurried:
            hurried.setattr(measure, "ProfileOptions", lambda **_: form(1))
            said["verify"] = typed("verify", run, "--rounds", 1, "--accept-noise", "--json")
        said["report"] = typed("report", run)
        yield run, said


@pytest.fixture(autouse=True)
def _known(monkeypatch):
    monkeypatch.setitem(tasks.TASKS, "brightness", "brightness:Brightness")


def test_the_search_names_what_it_ranked_by_and_calls_no_score_accuracy(way):
    run, said = way
    record = records.search(run).to_json()
    assert record["data"]["task"] == record["request"]["task"] == "brightness"
    assert record["score"] == "closeness"
    scores = {tuple(trial["indices"]): trial["quality"] for trial in record["trials"]}
    chosen = scores[tuple(record["best"])]  # not always the largest: it was measured
    assert 0 < record["quality"] == chosen < 1
    assert f"estimated closeness {record['quality']:.2%}" in said["search"]
    entries = files.read_json(run / "gallery.json", "it")["entries"]
    assert all(entry["quality_interval"] is None for entry in entries)
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    scored = [line["quality"] for line in lines[1:]]
    assert scored == [trial["quality"] for trial in record["trials"][: len(scored)]]
    for name in (*("search.json", "gallery.json", "history.jsonl", "train.json"), "export/manifest.json"):
        assert '"accuracy' not in (run / name).read_text(), name


def test_the_training_is_told_in_its_own_words(way):
    run, said = way
    record = records.trained(run).to_json()
    value = record["test_mean_squared_error"]
    assert value < float(brightness.images().test.labels.var()) / 4, "it must have learned something"
    assert f"test mean squared error {value:.4g} (95 %:" in said["train"]
    assert record["learnt"]


def test_the_folder_ships_what_the_task_wants(way, tmp_path):
    run, said = way
    manifest = release.read_manifest(run / "export")
    assert manifest.task.name == "brightness"
    assert manifest.metric == METRIC
    assert manifest.to_json()["test_mean_squared_error_pytorch"] == records.trained(run).test_value
    assert (run / "export" / release.LABELS).read_text() == "brightness\n"
    for item in manifest.int8_costs:
        gap = item["int8"] - item["fp32"]
        assert item["drop"] == pytest.approx(gap / item["fp32"], abs=1e-9)
        assert f"mean squared error {item['int8']:.4g} on 128 validation images" in item["said"]
        assert item["said"] in said["export"]
    picture = brightness.images().test.images[0]
    Image.fromarray(picture.transpose(1, 2, 0)).save(tmp_path / "it.png")
    image = brightness.images().normalize(picture[None])
    for name in ("litert", "onnxruntime"):
        program = run / "export" / f"example_{name}.py"
        done = subprocess.run(
            [sys.executable, "-I", program, tmp_path / "it.png"], capture_output=True, text=True, check=True
        )
        number, label = done.stdout.split()
        file = run / "export" / release.VARIANTS[name, "fp32"]
        assert label == "brightness"
        assert float(number) == pytest.approx(float(runtimes.run(file, name, image)[0, 0]), abs=1e-3)


def test_what_ships_is_verified_by_the_metric(way):
    run, said = way
    found = json.loads(said["verify"])
    test = brightness.images().test
    assert (found["task"], found["metric"]["name"]) == ("brightness", METRIC.name)
    assert [item["name"] for item in found["variants"]] == VERIFIED
    how = json.loads((run / "export" / release.PREPROCESSING).read_text())
    mean, std = (np.array(how[name], np.float32).reshape(1, 3, 1, 1) for name in ("mean", "std"))
    fed = ((test.images.astype(np.float32) * np.float32(how["scale"]) - mean) / std).astype(np.float32)
    for item in found["variants"]:
        runtime = item["name"].rpartition("-")[0]
        answers = runtimes.run(run / "export" / item["file"], runtime, fed)[:, 0]
        by_hand = float(np.mean((answers.astype(float) - test.labels) ** 2))
        assert item["test_mean_squared_error"] == pytest.approx(by_hand, rel=1e-5)
        assert item["mean_squared_error"]["images"] == len(test)
        assert item["checks"]["learning"]["verdict"] == "PASS"
        if item["name"].endswith("fp32"):
            assert item["checks"]["mean_squared_error"]["verdict"] == "PASS"


def test_the_report_knows_nothing_of_classes(way):
    run, _ = way
    page = (run / "report.html").read_text()
    text = " ".join(
        html.unescape(re.sub(r"<style.*?</style>|<script.*?</script>|<[^>]+>", " ", page)).split()
    )
    value = records.trained(run).test_value
    assert f"{value:.4g} test mean squared error in PyTorch, fp32 (95 %:" in text
    assert "Closeness against latency" in text
    assert "Mean squared error on training and validation images" in page
    assert "1 number an image" in text
    assert "--task brightness" in text
    for word in ("accuracy", "classes", "points", "recall"):
        assert word not in text.lower(), (word, text[max(0, text.lower().find(word) - 80) :][:160])


def test_a_model_that_lost_what_it_knew_fails(way):
    """The recorded value is made a better one, so that what ships is worse than that."""
    run, _ = way
    path = RunFolder(run).shipping.manifest
    kept = path.read_text()
    manifest = json.loads(kept)
    manifest["test_mean_squared_error_pytorch"] /= 4
    path.write_text(json.dumps(manifest))
    found = verify(
        path.parent, BARE, brightness.Brightness().load(records.trained(run).data["source"]), record=False
    )
    path.write_text(kept)
    assert found.verdict.is_fail
    assert any("must be within 0.5% of PyTorch's, but is" in reason for reason in found.verdict.reasons)


def test_two_networks_are_compared_by_the_metric(way):
    """What comparisons keep of a network tells which is better, also after it was written down."""
    run, _ = way
    task, data = tasks.get("brightness"), brightness.images()
    own = release.predictions_of(run, data)
    kept = task.outcome(json.loads(json.dumps(own.kept())))
    worse = brightness.Numbers(own.outputs + 1, own.targets)
    found = task.difference([kept], [worse])
    assert found.mean == pytest.approx(worse.value - own.value)
    assert found.is_real
    assert task.difference([worse], [kept]).mean == pytest.approx(-found.mean)

"""What int8 costs is part of the verdict on an export; through LiteRT and ONNX Runtime themselves."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hwnas import blocks, data, device, export, files, release, runtimes, spaces, tasks, train
from hwnas.cli import app
from hwnas.errors import ExportError
from hwnas.release import cost
from hwnas.release.cost import Int8Cost
from hwnas.tasks.right import Right
from hwnas.train.training import train_run


def of(gained, lost, images=287, fp32=0.9):
    exact, rounded = np.zeros(images, bool), np.zeros(images, bool)
    exact[:lost] = rounded[lost : lost + gained] = True
    task = tasks.get("classification")
    difference = task.difference([Right(exact)], [Right(rounded)])
    return Int8Cost("litert", task, fp32, fp32 + (gained - lost) / images, difference)


def test_a_drop_is_harmful_where_it_is_over_a_point_and_no_chance():
    assert of(0, 30).is_harmful
    assert "--qat-if-worse" in of(0, 30).said
    assert not of(0, 3).is_harmful, "three swaps are chance"
    assert "287 images cannot tell whether 1 point is lost" in of(0, 3).said
    assert not of(0, 9, images=2000).is_harmful, "half a point"
    assert "cannot tell" not in of(0, 0, images=2000).said


def test_twenty_images_cannot_tell_a_point():
    for lost in (0, 1, 2):
        found = of(0, lost, images=20)
        assert not found.is_harmful
        assert "20 images cannot tell" in found.said


@pytest.fixture(scope="module")
def sorted_folder(tmp_path_factory):
    """Three classes, one after another: stripes whose contrast grows from class to class."""
    root, rng = tmp_path_factory.mktemp("sorted"), np.random.default_rng(0)
    for label, contrast in enumerate((10, 50, 120)):
        (root / f"class-{label}").mkdir()
        for number in range(110):
            wave = np.sin(np.arange(16) * (1 + label) + rng.uniform(0, 6))
            picture = 128 + contrast * wave[None, :, None] + rng.normal(0, 8, (16, 16, 3))
            path = root / f"class-{label}" / f"{number}.png"
            Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path)
    return root


@pytest.fixture(scope="module")
def run(sorted_folder, tmp_path_factory):
    """A network of three classes, trained on the sorted folder."""
    run = tmp_path_factory.mktemp("three") / "run"
    arch = spaces.load("macro", resolution=16, num_classes=3).architecture([1, 0, 1, 0, 0, 1, 0, 0])
    dataset = data.load(sorted_folder, resolution=16)
    target = device.load("host").target("litert", "int8")
    promise = {"name": str(target), "target": target.to_json(), "budget_ms": 1000.0, "predicted_ms": 0.5}
    search = {
        "strategy": "by hand",
        "constraints": [promise],
        "data": dataset.describe(),
        "seed": 0,
    }
    files.write_json(run / "arch.json", arch.to_json())
    files.write_json(run / "search.json", search)
    train_run(run, train.TrainConfig(epochs=3, batch_size=32))
    return run, dataset


def accuracies(network, dataset, calibration):
    """Validation accuracy of both int8 models, their ranges from these images."""
    images, labels = dataset.normalize(dataset.val.images), dataset.val.labels
    found = {}
    for name in export.RUNTIMES:
        lowered = export.lower(network, (3, 16, 16), name, "int8", calibration=calibration, check=False)
        found[name] = (runtimes.run(lowered.model, name, images).argmax(1) == labels).mean()
    return found


@pytest.mark.slow
def test_a_sorted_folder_keeps_its_accuracy_in_int8(run):
    folder, dataset = run
    assert (np.diff(dataset.train.labels) >= 0).all(), "the case must be one: sorted by class"
    manifest = release.read_manifest(release.export_run(folder, dataset, calibration_images=64).parent)
    assert [item["runtime"] for item in manifest.int8_costs] == ["litert", "onnxruntime"]
    for item in manifest.int8_costs:
        assert item["fp32"] > 0.9
        assert item["int8"] == pytest.approx(item["fp32"], abs=0.03)
        assert item["images"] == len(dataset.val)


@pytest.mark.slow
def test_the_first_images_would_have_cost_it(run):
    """What this is about: ranges of the first class only clip the others."""
    folder, dataset = run
    network = blocks.build(spaces.architecture_from_json(files.read_json(folder / "arch.json", "it")).blocks)
    train.load_weights(network, folder / "weights.safetensors")
    network.eval()
    first = accuracies(network, dataset, dataset.normalize(dataset.train.images[:64]))
    mixed = accuracies(network, dataset, dataset.normalize(dataset.sample("train", 64).images))
    for name in export.RUNTIMES:
        assert first[name] < mixed[name] - 0.1
        assert mixed[name] > 0.9


class First:
    """Stands for ``Dataset.sample``: gives the first training images, as exports took them once."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __call__(self, split, count, seed=0):
        whole = self.dataset.split(split)
        if split == "train":
            return data.Split(whole.images[:count], whole.labels[:count])
        return type(self.dataset).sample(self.dataset, split, count, seed)


@pytest.mark.slow
def test_an_export_that_loses_much_is_an_error_unless_allowed(run, monkeypatch):
    folder, dataset = run
    spoilt = dataclasses.replace(dataset)
    object.__setattr__(spoilt, "sample", First(dataset))
    monkeypatch.setattr(export.parity, "least_sqnr_db", lambda depth, precision: -100.0)
    before = (folder / "export").exists()
    with pytest.raises(
        ExportError, match=r"at most 5 points of accuracy, but int8 through .*--int8-drop (\S+)"
    ) as e:
        release.export_run(folder, spoilt, calibration_images=64)
    assert (folder / "export").exists() == before
    allowed = float(str(e.value).split("--int8-drop ")[1].split()[0])
    manifest = release.read_manifest(
        release.export_run(folder, spoilt, calibration_images=64, int8_drop=max(allowed, 0.9)).parent
    )
    assert max(item["drop"] for item in manifest.int8_costs) > cost.MOST


@pytest.mark.slow
def test_the_command_says_what_int8_costs(run):
    folder, _ = run
    done = CliRunner().invoke(app, ["export", str(folder)], env={"COLUMNS": "300"})
    assert done.exit_code == 0, done.output
    assert done.output.count("validation images are right") == 2

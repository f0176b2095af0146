"""What int8 costs, and what is shipped where it costs too much; through the real runtimes."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from training_helpers import make_int8_hard
from typer.testing import CliRunner

from hwnas import blocks, data, files, release, runtimes, spaces, train
from hwnas.cli import app
from hwnas.errors import ExportError
from hwnas.release import int8
from hwnas.runs.folder import RunFolder
from hwnas.statistics.differences import Difference
from hwnas.train import qat


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", resolution=16)


def network_of(run):
    arch = spaces.architecture_from_json(files.read_json(run / "arch.json", "the network"))
    network = blocks.network(arch)
    train.load_weights(network, run / "weights.safetensors")
    return network.eval()


def burden(run):
    """Weights that int8 rounds badly, in a run's file."""
    network = network_of(run)
    make_int8_hard(network, factor=120)
    record = files.read_json(run / "train.json", "training")
    path = run / "weights.safetensors"
    train.save_weights(network, path, {"data": record["data"]["fingerprint"]})
    files.write_json(run / "train.json", record | {"weights_sha256": files.sha256(path)})


def test_a_network_that_int8_does_not_harm_ships_as_it_is(exported_run, digits):
    assert files.read_json(exported_run / "train.json", "training")["learnt"]
    manifest = release.read_manifest(exported_run / "export")
    assert manifest.int8 is None
    again = release.read_manifest(release.export_run(exported_run, digits, qat_if_worse=0.02).parent)
    assert again.files == manifest.files
    assert again.int8["shipped"] == "ptq"
    assert again.int8["qat"] is None
    network = network_of(exported_run)
    assert again.int8["fp32"] == train.evaluate(network, digits).value
    images = digits.normalize(digits.val.images)
    for model in again.models:
        if model.precision == "int8":
            logits = runtimes.run(exported_run / "export" / model.file, model.runtime, images)
            accuracy = (logits.argmax(1) == digits.val.labels).mean()
            assert accuracy == again.int8["ptq"][model.runtime]
    assert not (RunFolder(exported_run).int8_weights).exists()


@pytest.mark.slow
def test_a_network_that_int8_harms_is_fine_tuned_and_the_user_is_told(exported_run, digits):
    burden(exported_run)
    fp32_weights = files.sha256(exported_run / "weights.safetensors")
    with pytest.raises(ExportError, match="signal-to-noise"):
        release.export_run(exported_run, digits)
    done = CliRunner().invoke(
        app, ["export", str(exported_run), "--qat-if-worse", "0.01", "--qat-epochs", "1"]
    )
    assert done.exit_code == 0, done.output
    found = release.read_manifest(exported_run / "export").int8
    assert f"int8 after fine-tuning {min(found['qat'].values()):.2%}; qat ships" in " ".join(
        done.output.split()
    )
    assert found["allowed_loss"] == 0.01
    ptq, healed = min(found["ptq"].values()), min(found["qat"].values())
    assert ptq < found["fp32"] - 0.05, "the case must be a hard one"
    assert healed > (ptq + found["fp32"]) / 2
    assert found["weights_sha256"] == files.sha256(RunFolder(exported_run).int8_weights)
    assert files.sha256(exported_run / "weights.safetensors") == fp32_weights
    tuned = network_of(exported_run)
    train.load_weights(tuned, RunFolder(exported_run).int8_weights)
    calibration = digits.normalize(digits.sample("train", 256).images)
    assert found["gain"]["real"]
    assert found["gain"]["mean"] > 0
    assert "points (95 %" in found["said"]
    assert int8.qualities(tuned, (3, 16, 16), digits, calibration) == found["qat"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"learning_rate": 1.0, "clip_norm": 1e3, "momentum": 0.0, "distill_weight": 0.0}, None),
        ({"learning_rate": 1000.0, "clip_norm": 1e9, "weight_decay": 1.0}, "must be finite"),
    ],
)
def test_the_worse_of_both_never_ships(exported_run, digits, changes, failure):
    """Fine-tuning that ruins the network is called for, recorded, and not taken."""
    network = network_of(exported_run)
    calibration = digits.normalize(digits.sample("train", 64).images)
    trained = train.TrainConfig(**files.read_json(exported_run / "train.json", "training")["config"])
    ruin = dataclasses.replace(qat.recipe(trained, 1), **changes)
    fewer = digits.sample("train", 256)
    nothing = data.Split(digits.test.images[:0], digits.test.labels[:0])
    small = dataclasses.replace(digits, train=fewer, test=nothing)
    kept, found = int8.tune(network, (3, 16, 16), small, ruin, calibration, allowed_loss=-1.0)
    assert kept is network
    assert not found.is_tuned
    assert found.to_json()["shipped"] == "ptq"
    json.dumps(found.to_json())
    if failure:
        assert failure in found.failure
    else:
        assert min(found.qat.values()) < min(found.ptq.values())
        assert found.gain.mean < 0


@pytest.mark.parametrize(
    ("gained", "lost", "tuned"), [(3, 1, False), (5, 0, False), (6, 0, True), (20, 5, True), (0, 9, False)]
)
def test_fine_tuned_weights_ship_only_where_the_same_images_show_that_they_are_better(gained, lost, tuned):
    """McNemar: five images gained and none lost have p = .0625, six .031."""
    both = np.ones(40, bool)
    before, after = both.copy(), both.copy()
    before[:gained] = False
    after[gained : gained + lost] = False
    gain = Difference.of([after], [before])
    found = int8.Rounding(0.01, 0.9, {"litert": before.mean()}, {"litert": after.mean()}, gain)
    assert found.is_tuned is tuned
    assert ("not told apart by 40 validation images" in found.said) is not gain.is_real
    assert found.to_json()["shipped"] == ("qat" if tuned else "ptq")
    json.dumps(found.to_json())

"""``hwnas train`` as a user meets it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from hwnas import data, device, files, spaces
from hwnas.cli import app


@pytest.fixture
def run(tmp_path):
    digits = data.load("digits", resolution=8)
    arch = spaces.load("macro", resolution=8).architecture([0] * 8)
    files.write_json(tmp_path / "run" / "arch.json", arch.to_json())
    promise = {
        "name": "host",
        "target": device.load("host").target("litert", "int8").to_json(),
        "budget_ms": 1.0,
    }
    record = {"strategy": "by hand", "seed": 0, "data": digits.describe(), "constraints": [promise]}
    files.write_json(tmp_path / "run" / "search.json", record)
    return tmp_path / "run"


def hwnas(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "120"})


def test_help_names_every_setting_in_groups():
    text = re.sub(r"\x1b\[[0-9;]*m", "", hwnas("train", "--help").output)
    for group in ("Options", "What images go through", "Learning from a trained network"):
        assert group in text
    for option in ("--ema", "--mixup", "--cutmix", "--erasing", "--flip", "--teacher", "--init"):
        assert option in text


def test_every_option_reaches_the_record(run):
    done = hwnas(
        "train", run, "--epochs", 1, "--batch-size", 64, "--learning-rate", 0.05, "--weight-decay", 1e-4,
        "--warmup-share", 0.2, "--label-smoothing", 0.05, "--ema", 0.99, "--crop", 0.2, "--flip",
        "--erasing", 0.25, "--mixup", 0.2, "--cutmix", 0.5, "--seed", 3, "--device", "cpu", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record == files.read_json(run / "train.json", "record")
    expected = {
        "epochs": 1, "batch_size": 64, "learning_rate": 0.05, "weight_decay": 1e-4, "warmup_share": 0.2,
        "label_smoothing": 0.05, "ema": 0.99, "augment": True, "crop": 0.2, "flip": True, "erasing": 0.25,
        "mixup": 0.2, "cutmix": 0.5, "distill_weight": 0.0, "seed": 3, "device": "cpu",
    }  # fmt: skip
    assert record["config"] | expected == record["config"]
    assert record["start"] == {"from": "seed"}
    assert "teacher" not in record


@pytest.mark.slow
def test_a_teacher_and_the_usual_settings(run):
    from hwnas.train import TrainConfig

    assert hwnas("train", run, "--epochs", 1, "--device", "cpu").exit_code == 0
    record = files.read_json(run / "train.json", "record")
    assert record["config"] == TrainConfig(epochs=1, batch_size=32).resolved(1151).__dict__, (
        "the command's defaults are the library's"
    )
    done = hwnas("train", run, "--epochs", 1, "--teacher", run, "--temperature", 2, "--device", "cpu")
    assert done.exit_code == 0, done.output
    record = files.read_json(run / "train.json", "record")
    assert record["config"]["distill_weight"] == 0.5
    assert record["config"]["temperature"] == 2
    assert record["teacher"]["architecture"] == record["architecture"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--init", "supernet"), "train without --init supernet"),
        (("--teacher", "nowhere"), "a teacher must be the folder of a trained run, but nowhere is no folder"),
    ],
)
def test_what_cannot_be_done_is_said(run, arguments, message):
    from hwnas.errors import HwnasError

    done = hwnas("train", run, *arguments)
    assert isinstance(done.exception, HwnasError)
    assert message in str(done.exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--ema", "1"), "ema must be in"),
        (("--erasing", "2"), "erasing must be in"),
        (("--mixup", "-1"), "mixup must not be negative"),
    ],
)
def test_settings_out_of_their_range_are_wrong_usage(run, arguments, message):
    done = hwnas("train", run, *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (run / "train.json").exists()


def test_a_network_that_learns_nothing_is_pointed_out(run, tmp_path):
    rng = np.random.default_rng(0)
    noise = tmp_path / "noise.npz"
    np.savez(
        noise, images=rng.integers(0, 255, (600, 8, 8)).astype(np.uint8), labels=rng.integers(0, 10, 600)
    )
    done = hwnas("train", run, "--data", noise, "--epochs", 1, "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert re.search("learned nothing|cannot tell whether it learned", " ".join(done.stderr.split()))

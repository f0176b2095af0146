"""--dry-run of measure and verify: what it says is what is measured, and nothing is touched."""

from __future__ import annotations

import json

import pytest
import typer.main
from click.testing import CliRunner

from hwnas.benchmark import measuring
from hwnas.cli import app
from hwnas.verify import verifying

PROGRAM = typer.main.get_command(app)


def invoke(*words):
    done = CliRunner(env={"COLUMNS": "1000"}).invoke(PROGRAM, list(map(str, words)))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


@pytest.fixture(autouse=True)
def nothing_is_measured(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("work began")

    for module in (measuring, verifying):
        monkeypatch.setattr(module, "_measure" if module is verifying else "_session", refuse)
    monkeypatch.setattr("hwnas.measure.Measurer.__enter__", refuse)


def test_files_and_networks_are_told_with_rounds_and_the_least_time(exported_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = exported_run / "export" / "model.tflite"
    words = ["measure", file, "mobilenetv2-0.5", "--rounds", "4", "--max-rounds", "9", "--dry-run"]
    words += ["--runtime", "litert", "--precision", "fp32", "--repeat-over", "90s"]
    (session,) = json.loads(invoke(*words, "--json"))["sessions"]
    assert session["target"] == "host/litert-fp32"
    assert session["models"] == ["model.tflite", "mobilenetv2-0.5.tflite"]
    assert (session["fewest"], session["most"]) == (8, 18)
    assert session["least_s"] > 180, "each runs without a pause for 90 s as well"
    said = invoke(*words)
    assert "8 to 18" in said
    assert "at least 3 min" in said
    assert not {path.name for path in tmp_path.iterdir()} - {"run"}


def test_what_would_be_left_out_is_told(exported_run):
    said = invoke(
        "measure", exported_run / "export" / "model.tflite", "--runtime", "onnxruntime", "--dry-run"
    )
    assert "must have a runtime that reads model.tflite" in said


def test_a_folder_is_verified_file_by_file(exported_run):
    before = {path: path.read_bytes() for path in exported_run.rglob("*") if path.is_file()}
    told = json.loads(invoke("verify", exported_run, "--rounds", "5", "--dry-run", "--json"))
    models = [model for session in told["sessions"] for model in session["models"]]
    assert sorted(models) == ["model.int8.onnx", "model.int8.tflite", "model.onnx", "model.tflite"]
    assert {session["fewest"] for session in told["sessions"]} == {5}
    assert before == {path: path.read_bytes() for path in exported_run.rglob("*") if path.is_file()}


def test_a_single_file_is_verified_alone(exported_run):
    file = exported_run / "export" / "model.onnx"
    (session,) = json.loads(invoke("verify", file, "--budget-ms", "3", "--dry-run", "--json"))["sessions"]
    assert session["models"] == ["model.onnx"]


@pytest.mark.parametrize(
    "words",
    [
        ["verify", "r", "--dry-run", "--no-record"],
        ["verify", "r", "--dry-run", "--skip-accuracy"],
        ["measure", "m.onnx", "--dry-run", "--html", "x.html"],
        [
            "search",
            "--out",
            "n",
            "--device",
            "host=50%",
            "--data",
            "digits",
            "--from",
            "mobilenetv2",
            "--dry-run",
        ],
    ],
    ids=" ".join,
)
def test_what_does_nothing_in_a_dry_run_is_wrong_usage(words):
    done = CliRunner(env={"COLUMNS": "1000"}).invoke(PROGRAM, words)
    assert done.exit_code == 2
    assert "without --dry-run" in done.output

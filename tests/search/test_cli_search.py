import json
import os
import signal
import subprocess
import sys
import time

import pytest
from oneshot_helpers import latency_file
from typer.testing import CliRunner

from hwnas import report, spaces
from hwnas.cli import app
from hwnas.errors import HwnasError, InfeasibleBudget
from hwnas.evaluators.standalone import FromScratch
from hwnas.train import TrainConfig

SHORT = ["--space", "macro-r8-c10", "--proxy-width", "0.25", "--batch-size", "32"]
STEPS = ["--warmup-steps", "3", "--steps", "3"]
OFTEN = (
    "from functools import partial; from hwnas.search import searching; "
    "searching.Session = partial(searching.Session, checkpoint_every=5)"
)


def run(*arguments):
    return CliRunner(env={"COLUMNS": "1000"}).invoke(app, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture
def model(tmp_path):
    return latency_file(tmp_path / "latency.json")


@pytest.mark.slow
def test_search_then_train(model, tmp_path, few_digits):
    out = tmp_path / "run"
    words = ("--latency", model, "--budget-ms", "60%", "--gallery", "1", "--data", few_digits)
    search = run("search", *words, "--out", out, *SHORT, *STEPS, "--json")
    assert search.exit_code == 0
    record = json.loads(search.stdout)
    assert record["constraints"][0]["predicted_ms"] <= record["constraints"][0]["budget_ms"]
    train = run("train", out, "--epochs", "1", "--json")
    assert train.exit_code == 0
    assert json.loads(train.stdout)["architecture"]
    again = run(
        "search", *words, "--out", tmp_path / "random", "--space", SHORT[1], "--strategy", "random",
        "--queries", "2", "--supernet", out / "supernet.safetensors",
    )  # fmt: skip
    assert again.exit_code == 0
    assert "that random scored is taken" in again.stdout
    assert "host/litert-int8: asked" in again.stdout


def test_a_budget_that_cannot_be_kept_is_refused(model, tmp_path):
    with pytest.raises(InfeasibleBudget, match="fastest architecture"):
        run("search", "--latency", model, "--budget-ms", "0.0001", "--out", tmp_path / "run", *SHORT)
    assert not (tmp_path / "run").exists()


def test_settings_of_a_supernet_that_has_its_own_are_refused(model, tmp_path):
    words = ["search", "--latency", model, "--budget-ms", "60%", "--out", tmp_path / "run", *SHORT[:2]]
    words += ["--supernet", tmp_path / "supernet.safetensors", "--strategy", "random"]
    ended = run(*words, "--set", "search.supernet.momentum=0.8")
    assert ended.exit_code == 2
    assert "--set search.supernet.momentum=0.8 must only be given without --supernet" in ended.stderr
    assert not (tmp_path / "run").exists()
    with pytest.raises(HwnasError, match="does not exist"):  # what it is computed on may be said
        run(*words, "--set", "search.supernet.device=cpu", "--data", "digits")


def test_an_unknown_strategy_is_refused(model, tmp_path):
    ended = run(
        "search", "--latency", model, "--budget-ms", "1", "--out", tmp_path / "r", "--strategy", "grid"
    )
    assert ended.exit_code == 2
    assert "must be one of" in ended.stderr


@pytest.mark.slow
def test_an_interrupt_is_one_sentence_and_loses_nothing(model, tmp_path, few_digits):
    out, err = tmp_path / "run", tmp_path / "err.txt"
    arguments = ["--latency", str(model), "--budget-ms", "60%", "--out", str(out), *SHORT[:4]]
    arguments += ["--batch-size", "8", "--warmup-steps", "100000", "--data", str(few_digits)]
    with err.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", f"{OFTEN}; from hwnas.cli import main; main()", "search", *arguments],
            stderr=file,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        until = time.monotonic() + 120
        while not (out / "search-checkpoint.safetensors").exists() and time.monotonic() < until:
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    text = err.read_text()
    assert (
        text.strip().splitlines()[-1] == "interrupted: what was finished is kept (hwnas measure begins anew)"
    )
    assert "Traceback" not in text
    assert (out / "search-checkpoint.safetensors").exists()


SCRATCH = [
    "--space",
    "macro-r8-c10",
    "--evaluate",
    "scratch",
    "--evaluate-epochs",
    "1",
    "--batch-size",
    "128",
]


@pytest.mark.slow
def test_architectures_are_scored_by_training_each(model, tmp_path, few_digits):
    out = tmp_path / "run"
    found = run(
        "search", "--latency", model, "--budget-ms", "20%", "--out", out, *SCRATCH,
        "--strategy", "random", "--queries", "2", "--gallery", "2", "--data", few_digits, "--json",
    )  # fmt: skip
    assert found.exit_code == 0
    record = json.loads(found.stdout)
    assert record["scratch"]["config"]["epochs"] == 1
    assert record["promise"]["kept"]
    assert record["promise"]["rank"] == "int8"
    assert len(json.loads((out / "gallery.json").read_text())["entries"]) >= 3
    assert not (out / "trained").exists(), "networks of a short training are not kept for good"
    page = report.write(out).read_text()
    assert "by training each from scratch (epochs: 1)" in page
    assert "--evaluate scratch" in page
    assert "supernet" not in page


@pytest.mark.slow
def test_architectures_are_scored_without_training_any(model, tmp_path, few_digits):
    out = tmp_path / "run"
    found = run(
        "search", "--latency", model, "--budget-ms", "20%", "--out", out, "--space", "macro-r8-c10",
        "--evaluate", "naswot", "--evaluate-images", "16", "--strategy", "evolution", "--queries", "12",
        "--gallery", "2", "--data", few_digits, "--json",
    )  # fmt: skip
    assert found.exit_code == 0
    record = json.loads(found.stdout)
    assert record["untrained"] == {
        "measure": "naswot", "images": 16, "references": 32, "seed": 0, "device": "cpu"
    }  # fmt: skip
    assert record["score"] == "NASWOT percentile"
    assert record["quality"] == max(trial["quality"] for trial in record["trials"])
    assert not {"oneshot", "scratch", "accuracy"} & record.keys()
    assert record["promise"]["kept"]
    assert record["promise"]["rank"] == "fp32"
    gallery = json.loads((out / "gallery.json").read_text())
    assert gallery["images"] == 0
    assert all(entry["quality_interval"] is None for entry in gallery["entries"])
    page = report.write(out).read_text()
    assert "architectures that nobody trained" in page
    assert "--evaluate naswot" in page
    assert "--evaluate-images 16" in page
    assert not {"--evaluate-epochs", "--proxy-width"} & set(page.split())
    picked = run("pick", out, "--budget-ms", "20%", "--out", tmp_path / "picked", "--json")
    assert picked.exit_code == 0, picked.stderr


@pytest.mark.slow
def test_worker_processes_of_the_program_give_what_one_process_gives(model, tmp_path):
    """With the same number asked at once, who trains makes no difference."""
    program = "from hwnas.cli import main; main()"
    command = [sys.executable, "-c", program, "search", "--latency", model, "--budget-ms", "20%", *SCRATCH]
    command += [
        "--strategy",
        "random",
        "--queries",
        "4",
        "--gallery",
        "0",
        "--pool",
        "processes:2",
        "--set",
        "parallel=2",
        "--json",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [str(a) for a in [*command, "--out", tmp_path / "two"]],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    record = json.loads(ended.stdout)
    space = spaces.load("macro-r8-c10")
    evaluate = FromScratch(space, "digits", config=TrainConfig(**record["scratch"]["config"]), threads=1)
    first = record["trials"][0]
    assert evaluate(space.architecture(first["indices"])) == first["accuracy"]
    assert record["config"]["parallel"] == 2


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--evaluate", "scratch", "--proxy-width", "0.5"], "--proxy-width"),
        (["--evaluate", "scratch", "--supernet", "x"], "--supernet"),
        (["--pool", "processes:2"], "--pool"),
        (["--evaluate-epochs", "2"], "--evaluate-epochs"),
        (["--evaluate-images", "9"], "--evaluate-images"),
        (["--evaluate", "naswot", "--supernet", "x"], "--supernet"),
        (["--evaluate", "naswot", "--evaluate-epochs", "2"], "--evaluate-epochs"),
        (["--evaluate", "synflow", "--class-weights", "balanced"], "--class-weights"),
        (["--evaluate", "naswot", "--rank", "int8"], "--rank"),
        (["--evaluate", "naswot", "--strategy", "exact"], "or use evolution"),
        (["--evaluate", "gradnorm", "--strategy", "fbnet"], "has no network trained must be a sampling one"),
        (["--evaluate", "naswot", "--strategy", "asha"], "train networks for less"),
    ],
)
def test_options_of_the_other_way_to_score_are_refused(model, tmp_path, options, named):
    words = [*options, *["--strategy", "random"] * ("--strategy" not in options)]
    ended = run("search", "--latency", model, "--budget-ms", "20%", "--out", tmp_path / "r", *words)
    assert ended.exit_code == 2
    assert named in ended.stderr


def test_a_one_shot_strategy_with_training_from_scratch_is_refused(model, tmp_path):
    ended = run(
        "search",
        "--latency",
        model,
        "--budget-ms",
        "20%",
        "--out",
        tmp_path / "r",
        *SCRATCH,
        "--strategy",
        "fbnet",
    )
    assert ended.exit_code == 2
    assert "must be a sampling one" in ended.stderr
    assert not (tmp_path / "r").exists()

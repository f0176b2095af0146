import json

import pytest
from oneshot_helpers import latency_file
from typer.testing import CliRunner

from hwnas.cli import app
from hwnas.errors import InfeasibleBudget, SpaceError

SHORT = ["--space", "macro-r8-c10", "--proxy-width", "0.25", "--batch-size", "32"]
STEPS = ["--warmup-steps", "3", "--steps", "3"]


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture
def model(tmp_path):
    return latency_file(tmp_path / "latency.json")


def test_search_then_train(model, tmp_path):
    out = tmp_path / "run"
    search = run("search", "--latency", model, "--budget-ms", "60%", "--out", out, *SHORT, *STEPS, "--json")
    assert search.exit_code == 0
    record = json.loads(search.stdout)
    assert record["constraints"][0]["predicted_ms"] <= record["constraints"][0]["budget_ms"]
    train = run("train", out, "--epochs", "1", "--json")
    assert train.exit_code == 0
    assert json.loads(train.stdout)["architecture"]
    again = run(
        "search", "--latency", model, "--budget-ms", "60%", "--out", tmp_path / "random", *SHORT,
        "--strategy", "random", "--queries", "2", "--supernet", out / "supernet.safetensors",
    )  # fmt: skip
    assert again.exit_code == 0
    assert "random chose" in again.stdout
    assert "host/litert-int8: asked" in again.stdout


def test_a_budget_that_cannot_be_kept_is_refused(model, tmp_path):
    with pytest.raises(InfeasibleBudget, match="fastest architecture"):
        run("search", "--latency", model, "--budget-ms", "0.0001", "--out", tmp_path / "run", *SHORT)
    assert not (tmp_path / "run").exists()


def test_an_unknown_strategy_is_refused(model, tmp_path):
    with pytest.raises(SpaceError, match="must be one of"):
        run("search", "--latency", model, "--budget-ms", "1", "--out", tmp_path / "r", "--strategy", "grid")

"""Which strategy ``auto`` stands for."""

from __future__ import annotations

import pytest
from oneshot_helpers import latency_file
from typer.testing import CliRunner

from hwnas import pipeline
from hwnas.cli import app
from hwnas.errors import HwnasError, SpaceError
from hwnas.search import require_strategy
from hwnas.search.auto import AUTO, chosen
from hwnas.settings.checks import CALLED


@pytest.mark.parametrize("evaluate", [None, "blockwise", "supernet", "scratch", *CALLED])
@pytest.mark.parametrize("is_tied", [True, False])
def test_it_is_a_strategy_that_takes_such_scores(evaluate, is_tied):
    found = chosen(evaluate, is_tied=is_tied)
    require_strategy(found.strategy)
    assert evaluate in (None, found.evaluate)
    adds_up = found.evaluate == "blockwise"
    assert (found.strategy == "exact") == adds_up
    assert not (evaluate is None and is_tied and adds_up), "places of a cell have no errors of their own"


@pytest.mark.parametrize(
    ("space", "more", "strategy", "evaluate"),
    [
        ("macro", {}, "exact", "blockwise"),
        ("macro", {"evaluate": "scratch"}, "surrogate", "scratch"),
        ("nasbench201", {}, "surrogate", "supernet"),
        ("nasbench201-r16-c4", {"evaluate": "naswot"}, "surrogate", "naswot"),
    ],
)
def test_a_config_may_have_it(tmp_path, space, more, strategy, evaluate):
    config = pipeline.make(tmp_path, {"space": space, "search": {"strategy": AUTO, **more}})
    assert (config.search.strategy, config.search.evaluate) == (strategy, evaluate)
    plain = pipeline.make(tmp_path, {"space": space, "search": {"strategy": strategy, "evaluate": evaluate}})
    assert config == plain


def test_it_is_no_baseline_and_no_strategy_of_its_own(tmp_path):
    with pytest.raises(HwnasError, match="must be one of"):
        pipeline.make(tmp_path, {"baseline": {"strategy": AUTO}})
    with pytest.raises(SpaceError, match="a strategy must be one of"):
        require_strategy(AUTO)


@pytest.mark.slow
def test_the_command_says_what_it_took_and_why(tmp_path, few_digits):
    model = latency_file(tmp_path / "latency.json")
    words = ["--latency", model, "--budget-ms", "60%", "--space", "macro-r8-c10", "--data", few_digits]
    words += ["--strategy", "auto", "--evaluate", "naswot", "--queries", "3", "--gallery", "0"]
    ended = CliRunner(env={"COLUMNS": "1000"}).invoke(
        app, ["search", *map(str, words), "--out", str(tmp_path / "run")], catch_exceptions=False
    )
    assert ended.exit_code == 0, ended.stderr
    assert "strategy surrogate, scored by --evaluate naswot: of 13 strategies" in ended.stderr
    assert "that surrogate scored is taken" in ended.stdout

"""--quiet and --verbose, before the verb and after it: results stay, progress goes or comes."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys

import pytest
import typer.main
from click.testing import CliRunner

from hwnas.cli import _runlog, app
from hwnas.runs.folder import RunFolder


def hwnas(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hwnas", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=os.environ)


NETWORK = """
from torch import nn

def make():
    layers = [nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)]
    return nn.Sequential(*layers)
"""


@pytest.fixture
def brought(tmp_path, monkeypatch):
    """Brings in a network of the user's, with some words before the verb and some after it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "users_net.py").write_text(NETWORK)
    numbers = itertools.count()

    def bring(before=(), after=()):
        run = RunFolder(tmp_path / str(next(numbers)))
        verb = ["import-model", "users_net:make", "--input", "1x3x8x8", "--out", str(run.path)]
        words = [*before, *verb, *after]
        with _runlog.command(words):
            done = CliRunner(env={"COLUMNS": "1000"}).invoke(typer.main.get_command(app), words)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout.replace(str(run.path), "R"), done.stderr, run.log.read_text()

    return bring


@pytest.mark.parametrize("before", [True, False])
def test_quiet_prints_results_and_warnings_alone(brought, before):
    results, told, _ = brought()
    assert told.splitlines() == ["reading the network", "finding its blocks", "comparing answers"]
    words = ["--quiet"]
    quiet, silence, log = brought(words, ()) if before else brought((), words)
    assert (quiet, silence) == (results, "")
    assert "finding its blocks" in log, "the log has it"


@pytest.mark.parametrize("before", [True, False])
def test_verbose_tells_what_goes_on_inside_with_the_time(brought, before):
    words = ["--verbose"]
    results, told, log = brought(words, ()) if before else brought((), words)
    assert re.search(r"^\d\d:\d\d:\d\d hwnas\.files written: .*arch\.json, \d+ bytes$", told, re.MULTILINE)
    assert re.search(r"^\d\d:\d\d:\d\d finding its blocks$", told, re.MULTILINE)
    assert "hwnas.files written" in log
    assert results == brought()[0]


def test_json_is_the_same_however_loud():
    found = []
    for words in ([], ["--quiet"], ["--verbose"]):
        done = CliRunner().invoke(typer.main.get_command(app), [*words, "spaces", "show", "macro", "--json"])
        found.append(json.loads(done.stdout))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    "words",
    [
        ["--quiet", "--verbose", "spaces", "list"],
        ["spaces", "list", "--quiet", "--verbose"],
        ["--quiet", "spaces", "list", "--verbose"],
        ["--verbose", "table", "show", "nope", "--quiet"],
    ],
    ids=" ".join,
)
def test_both_at_once_are_wrong_usage(words):
    done = CliRunner(env={"COLUMNS": "1000"}).invoke(typer.main.get_command(app), words)
    assert done.exit_code == 2
    assert "--quiet and --verbose must not be given both" in done.output


def test_a_later_command_is_as_loud_as_it_asks():
    """In one process, as in a notebook: what was asked before is forgotten."""
    from hwnas.cli._console import Verbosity, err

    program = typer.main.get_command(app)
    CliRunner().invoke(program, ["spaces", "list", "--quiet"])
    assert err.verbosity == Verbosity.QUIET
    CliRunner().invoke(program, ["spaces", "list"])
    assert err.verbosity == Verbosity.USUAL


def test_every_verb_takes_both():
    def verbs(group):
        for command in group.commands.values():
            yield from verbs(command) if hasattr(command, "commands") else [command]

    for command in verbs(typer.main.get_command(app)):
        options = {name for each in command.params for name in each.opts}
        assert {"--quiet", "--verbose", "--plugin"} <= options, command.name


@pytest.mark.parametrize("option", ["--quiet", "--verbose"])
def test_an_error_of_the_users_stays_one_sentence_without_colours(tmp_path, option):
    done = hwnas("table", "show", tmp_path / "nope", option)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: a latency table must be readable")
    assert len(done.stderr.splitlines()) == 1
    assert "\x1b" not in done.stderr

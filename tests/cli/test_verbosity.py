"""--quiet and --verbose, before the verb and after it: results stay, progress goes or comes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
import typer.main
from click.testing import CliRunner

from hwnas.cli import app


def hwnas(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hwnas", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=os.environ)


@pytest.mark.parametrize("place", ["before", "after"])
def test_quiet_prints_results_warnings_and_errors_alone(exported_run, tmp_path, place):
    words = ["export", exported_run]
    usual = hwnas(*words)
    assert usual.returncode == 0
    assert "exporting" in usual.stderr
    quiet = hwnas("--quiet", *words) if place == "before" else hwnas(*words, "--quiet")
    assert (quiet.returncode, quiet.stdout) == (0, usual.stdout)
    assert quiet.stderr == ""
    log = (exported_run / "hwnas.log").read_text()
    assert log.count("exporting model.fp32.tflite") or log.count("exporting") >= 2, "the log has it"
    assert hwnas("--quiet", "table", "show", tmp_path / "nope").stderr.startswith("error: ")


@pytest.mark.parametrize("place", ["before", "after"])
def test_verbose_tells_what_goes_on_inside_with_the_time(exported_run, place):
    words = ["report", exported_run]
    done = hwnas("--verbose", *words) if place == "before" else hwnas(*words, "--verbose")
    assert done.returncode == 0
    assert re.search(r"^\d\d:\d\d:\d\d hwnas\.files written: .*report\.html, \d+ bytes$", done.stderr, re.M)
    assert "hwnas.files written" in (exported_run / "hwnas.log").read_text()
    assert done.stdout == hwnas(*words).stdout


def test_json_is_the_same_however_loud(tmp_path):
    found = [
        json.loads(hwnas(*words, "spaces", "list", "--json").stdout)
        for words in ([], ["--quiet"], ["--verbose"])
    ]
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


def test_an_error_of_the_users_stays_one_sentence(tmp_path):
    done = hwnas("table", "show", tmp_path / "nope", "--verbose")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_no_colours_without_a_terminal(tmp_path):
    for words in (["spaces", "list"], ["table", "show", tmp_path / "nope"], ["--verbose", "spaces", "list"]):
        done = hwnas(*words)
        assert "\x1b" not in done.stdout + done.stderr

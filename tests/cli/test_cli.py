"""The command line as a user meets it: real processes, exit codes, one-sentence errors."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hwnas.cli import app
from hwnas.errors import HwnasError

HWNAS = Path(sys.executable).with_name("hwnas")


def hwnas(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HWNAS, *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_help_loads_nothing_heavy():
    code = (
        "import sys, hwnas.cli; heavy = ('torch', 'onnx', 'onnxruntime', 'sklearn', 'scipy', 'pyarrow', "
        "'ai_edge_litert', 'fastapi', 'uvicorn'); print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert "Usage" in hwnas("--help").stdout


def test_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", hwnas("--version").stdout)


@pytest.mark.slow
@pytest.mark.parametrize("verb", [["spaces", "list"], ["devices", "list"], ["spaces", "show", "macro"]])
def test_json_for_machines(verb):
    done = hwnas(*verb, "--json")
    assert done.returncode == 0
    assert done.stderr == ""
    json.loads(done.stdout)


@pytest.mark.slow
def test_known_networks_are_listed():
    assert re.search(
        r"Known networks.*efficientnet-lite0,.*shufflenetv2\..*\+fpnsum64.*lraspp64",
        hwnas("spaces", "list").stdout,
        re.DOTALL,
    )


def test_an_error_of_the_user_is_one_sentence_and_exit_code_1():
    done = hwnas("table", "show", "nope.jsonl")
    assert done.returncode == 1
    assert done.stderr.startswith("error: a latency table must be readable")
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_usage_is_exit_code_2():
    assert hwnas("spaces", "show").returncode == 2
    assert hwnas("no-such-verb").returncode == 2


def test_an_interrupt_while_the_program_loads_is_one_line(tmp_path):
    """Ctrl-C in the middle of an import, wherever it is."""
    for module in ("typer", "rich"):
        (tmp_path / f"{module}.py").write_text("raise KeyboardInterrupt")
        done = subprocess.run(
            [sys.executable, "-c", "from hwnas.__main__ import main; main()"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        )
        (tmp_path / f"{module}.py").unlink()
        assert done.returncode == 130
        assert done.stderr == "interrupted: what was finished is kept (hwnas measure begins anew)\n"


@pytest.mark.parametrize("verb", ["verify", "export"])
def test_what_is_missing_is_said_in_the_order_in_which_it_is_made(tmp_path, verb):
    (tmp_path / "arch.json").write_text("{}")
    done = CliRunner().invoke(app, [verb, str(tmp_path)])
    assert isinstance(done.exception, HwnasError)
    assert f"`hwnas train {tmp_path}`" in str(done.exception)
    if verb == "verify":
        done = CliRunner().invoke(app, [verb, str(tmp_path / "arch.json")])
        assert "is a file: give" in str(done.exception)


def test_a_shell_completes_verbs_and_options():
    def completed(*words):
        asked = {"_HWNAS_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words)}
        asked |= {"COMP_CWORD": str(len(words) - 1)}
        environment = {**os.environ, **asked}
        done = subprocess.run([HWNAS], env=environment, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return set(done.stdout.split())

    assert completed("hwnas", "pro") == {"profile"}
    assert {"--dry-run", "--device"} <= completed("hwnas", "profile", "--d")
    assert completed("hwnas", "devices", "bor") == {"borrow"}

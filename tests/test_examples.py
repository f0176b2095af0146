"""The examples run as their users run them, on settings that are good for their form alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
GIVEN = {
    "which_is_faster.py": ["mobilenetv2-0.35", "mobilenetv1-0.25", "--rounds", "2"],
    "own_module.py": ["--out", "own", "--rounds", "2"],
    "search_under_a_budget.py": ["--out", "digits", "--data", "{digits}", "--quick"],
}
SAID = {
    "which_is_faster.py": "takes",
    "own_module.py": "XNNPACK",
    "search_under_a_budget.py": "NOT PROVEN",  # two rounds prove nothing
}
_SHOWN = {"plugin.py"}  # tried by tests/plugins


def test_every_example_is_tried():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*GIVEN, *_SHOWN}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name.startswith("search") else name for name in GIVEN],
)
def test_an_example_runs(name, tmp_path, few_digits):
    words = [word.format(digits=few_digits) for word in GIVEN[name]]
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *words], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert SAID[name] in done.stdout

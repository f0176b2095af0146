"""The examples run as their users run them, on settings that are good for their form alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hwnas import tasks

EXAMPLES = Path(__file__).parents[1] / "examples"
GIVEN = {
    "draw_objects.py": ["drawn", "12"],
    "which_is_faster.py": ["mobilenetv2-0.35", "mobilenetv1-0.25", "--rounds", "2"],
    "own_module.py": ["--out", "own", "--rounds", "2"],
    "search_under_a_budget.py": ["--out", "digits", "--data", "{digits}", "--quick"],
}
SAID = {
    "draw_objects.py": "12 pictures of disc",
    "which_is_faster.py": "takes",
    "own_module.py": "XNNPACK",
    "search_under_a_budget.py": "NOT PROVEN",  # two rounds prove nothing
}
_SHOWN = {"plugin.py", "tracker.py"}  # tried by tests/plugins and tests/tracking


def test_every_example_is_tried():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*GIVEN, *_SHOWN}


@pytest.mark.slow  # by `make examples`, in CI
@pytest.mark.parametrize("name", GIVEN)
def test_an_example_runs(name, tmp_path, few_digits):
    words = [word.format(digits=few_digits) for word in GIVEN[name]]
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *words], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert SAID[name] in done.stdout


def test_what_is_drawn_is_read_as_boxes_and_as_masks(tmp_path):
    folder = tmp_path / "drawn"
    subprocess.run([sys.executable, EXAMPLES / "draw_objects.py", folder, "20"], check=True, timeout=60)
    boxes = tasks.get("detection").load(str(folder / "boxes"), resolution=64, seed=0)
    masks = tasks.get("segmentation").load(str(folder / "masks"), resolution=64, seed=0)
    assert boxes.class_names == ("disc", "square", "triangle", "star")
    assert masks.class_names == ("ground", *boxes.class_names)
    for read in (boxes, masks):
        assert len(read.train) + len(read.val) + len(read.test) == 20

"""The notebooks run from their first cell to their last, on settings that are good for their form alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SETTINGS = {
    "search_under_a_budget": {"QUICK": True, "DATA": "{digits}"},
    "which_model_is_faster": {"MODELS": ["mobilenetv2-0.35", "mobilenetv1-0.25"], "ROUNDS": 2},
    "why_latency_lies": {},
}
SAID = {
    "search_under_a_budget": "NOT PROVEN",  # two rounds prove nothing
    "which_model_is_faster": "XNNPACK",
    "why_latency_lies": "rank correlation with multiply-adds",
}


def read(name):
    import nbformat  # not when tests are collected: it takes seconds

    return nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)


def printed(notebook):
    return "".join(
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )


def test_every_notebook_is_tried():
    assert {path.stem for path in EXAMPLES.glob("*.ipynb")} == set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_notebook_is_kept_as_it_ran(name):
    """In order and to its end, without a warning: what a reader sees is what the cells say."""
    notebook = read(name)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [out for cell in code for out in cell.outputs if out.get("name") == "stderr" or "ename" in out]
    assert SAID[name] in printed(notebook)
    titles = [cell.source for cell in notebook.cells if cell.source.startswith("# ")]
    assert titles == [notebook.cells[0].source], "its page has one title"


@pytest.mark.slow  # by `make examples`, in CI
@pytest.mark.parametrize("name", SETTINGS)
def test_a_notebook_runs(name, few_digits):
    from nbclient import NotebookClient

    notebook = read(name)
    settings = json.loads(json.dumps(SETTINGS[name]).replace("{digits}", str(few_digits)))
    (cell,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", ())] or [None]
    assert (cell is None) == (not settings)
    if cell is not None:
        lines = cell.source.splitlines()
        assert settings.keys() <= {line.partition(" = ")[0] for line in lines}
        cell.source = "\n".join([*lines, *(f"{key} = {value!r}" for key, value in settings.items())])
    NotebookClient(notebook, timeout=280, resources={"metadata": {"path": str(EXAMPLES)}}).execute()
    assert SAID[name] in printed(notebook)

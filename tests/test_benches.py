"""Each bench can at least be started: its imports are there, and its options say what they are."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1] / "tools"
BENCHES = sorted(path.name for path in TOOLS.glob("bench_*.py"))


@pytest.fixture
def _as_called(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(TOOLS), *sys.path])


@pytest.mark.usefixtures("_as_called")
@pytest.mark.parametrize("name", BENCHES)
def test_a_bench_explains_itself(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(TOOLS / name), run_name="__main__")
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "usage:" in said
    assert "--seed" in said


def test_what_they_share(tmp_path, monkeypatch, capsys):
    import json

    monkeypatch.syspath_prepend(str(TOOLS))
    import _bench

    path = tmp_path / "rows.jsonl"
    rows = _bench.Rows(path)
    assert rows.get("a", lambda: {"x": 1}) == {"x": 1}
    path.write_text(path.read_text() + '["b", {"x"')
    again = _bench.Rows(path)
    assert ("a" in again, "b" in again, again["a"]) == (True, False, {"x": 1})
    lines = [
        _bench.target("t", value, op, 2.0)
        for value, op in ((1.0, "<="), (3.0, "<="), (2, "=="), (None, ">="))
    ]
    assert [line["met"] for line in lines] == [True, False, True, False]
    capsys.readouterr()
    options = _bench.parser("what it does", seed=3, rows="things").parse_args(["--rows", str(path)])
    _bench.report(options, {"n": 1}, lines, _bench.environment("numpy", threads=2))
    told = json.loads(capsys.readouterr().out)
    assert told["config"] == {"seed": 3, "rows": str(path)}
    assert told["targets"][0] == {"name": "t", "value": 1.0, "op": "<=", "target": 2.0, "met": True}
    assert {"hwnas", "python", "cores", "numpy", "threads"} <= set(told["environment"])
    assert told["results"] == {"n": 1}

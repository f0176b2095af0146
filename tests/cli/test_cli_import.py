"""``hwnas import`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from hwnas import latency, spaces
from hwnas.cli import app
from hwnas.errors import HwnasError
from hwnas.tables.table import LatencyTable

TARGET = ("--device", "phone", "--runtime", "litert", "--precision", "int8")
ORIGIN = ("--source", "a paper", "--licence", "MIT")


def hwnas_import(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["import", *arguments, *TARGET, *ORIGIN])


@pytest.fixture
def networks(tmp_path: Path) -> Path:
    space, rng = spaces.load("macro"), np.random.default_rng(0)
    archs = [space.sample(rng) for _ in range(60)]
    lines = [f"{' '.join(map(str, a.indices))},{a.macs / 1e7}" for a in archs]
    path = tmp_path / "networks.csv"
    path.write_text("\n".join(["arch,phone", *lines]))
    return path


def test_networks(networks: Path, tmp_path: Path) -> None:
    out = tmp_path / "latency.json"
    done = hwnas_import("networks", str(networks), "--space", "macro", "--out", str(out), "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["evaluation"]["heldout"]["networks"] >= 11  # a fifth of the distinct ones
    assert str(latency.load(out).target) == "phone/litert-int8"


def test_a_bad_line_is_one_clear_sentence(networks: Path, tmp_path: Path) -> None:
    networks.write_text(networks.read_text() + "\n0 0,1\n")
    out = tmp_path / "latency.json"
    done = hwnas_import("networks", str(networks), "--space", "macro", "--out", str(out))
    assert isinstance(done.exception, HwnasError)
    assert "line 62" in str(done.exception)
    assert not out.exists()


def test_blocks(tmp_path: Path) -> None:
    workloads = spaces.load("macro").workloads()
    path, out = tmp_path / "blocks.csv", tmp_path / "table.jsonl"
    path.write_text("\n".join(["key,latency_ms", *(f"{w.key()},1.5" for w in workloads)]))
    done = hwnas_import("blocks", str(path), "--out", str(out))
    assert done.exit_code == 0, done.output
    table = LatencyTable.load(out)
    assert [table.lookup_ms(w) for w in workloads] == [1.5] * len(workloads)
    assert table.environment["imported"]["source"] == "a paper"

"""The transfer bench, as it is called."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "bench_transfer.py"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Five choices of three candidates and three devices, of which the third is like the first."""
    rng = np.random.default_rng(0)
    costs = rng.uniform(0, 1, (2, 5, 3))
    lines = ["arch,a,b,c"]
    for row in np.unique(rng.integers(0, 3, (150, 5)), axis=0):
        a, b = (float(device[range(5), row].sum()) + 1 for device in costs)
        lines.append(f"{' '.join(map(str, row))},{a},{b},{2 * a + 1}")
    path = tmp_path / "file.csv"
    path.write_text("\n".join(lines))
    return path


def bench(file: Path, *options: str) -> dict:
    command = [sys.executable, SCRIPT, file, "--targets", "c", "--space", "none", "--trials", "2", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("active", [(), ("--active",)])
@pytest.mark.slow
def test_a_device_like_a_source_is_found(file: Path, active: tuple[str, ...]) -> None:
    found = bench(file, "--sources", "a,b", "--samples", "10", *active)
    assert found["results"]["10"]["targets"]["c"]["hwnas"]["spearman"]["mean"] > 0.98
    assert found["results"]["10"]["mean"]["sources"]["spearman"] > 0.98
    assert found["config"]["sources"] == ["a", "b"]
    judged = found["targets"]
    assert [t["op"] for t in judged] == [">=", "<=", ">=", "<="]
    assert judged[0]["met"], judged
    assert all(
        t["met"] == (t["value"] >= t["target"] if t["op"] == ">=" else t["value"] <= t["target"])
        for t in judged
    )


@pytest.mark.slow
def test_nothing_but_indices(file: Path) -> None:
    found = bench(file, "--no-sources", "--samples", "5,40")["results"]
    few, many = (found[n]["targets"]["c"]["hwnas"]["spearman"]["mean"] for n in ("5", "40"))
    assert few < many
    assert many > 0.98

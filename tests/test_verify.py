"""Verification measures through the real runtimes, and can fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hwnas import device, ship
from hwnas.profile import ProfileOptions
from hwnas.verify import verify

QUICK = ProfileOptions(rounds=2, samples=3)
HWNAS = Path(sys.executable).with_name("hwnas")


def _change_budget(run: Path, budget_ms: float) -> None:
    path = run / "export" / ship.MANIFEST
    manifest = json.loads(path.read_text())
    manifest["budgets"][0]["budget_ms"] = budget_ms
    path.write_text(json.dumps(manifest))


def test_a_generous_budget_is_kept_and_the_manifest_says_so(exported_run):
    folder = exported_run / "export"
    dataset = ship.load_data(ship.read_manifest(folder)["data"])
    steps: list[str] = []
    found = verify(folder, device.load("host"), dataset, options=QUICK, on_step=steps.append)
    assert found.passed
    assert [v.name for v in found.variants] == [f"{r}-{p}" for r, p in ship.VARIANTS]
    assert len(steps) == 2 * len(ship.VARIANTS)
    for variant in found.variants:
        low, high = variant.interval_ms
        assert 0 < low <= variant.measured_ms <= high
        assert variant.budget_ms == (1000.0 if variant.name == "litert-int8" else None)
    assert ship.read_manifest(folder)["verification"] == json.loads(json.dumps(found.to_json()))


def test_a_budget_that_is_missed_fails_with_exit_code_1(exported_run):
    _change_budget(exported_run, 1e-4)
    done = subprocess.run(
        [HWNAS, "verify", exported_run, "--tables", exported_run, "--rounds", "2", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["verdict"] == "FAIL"
    failed = {v["name"]: v["failures"] for v in found["variants"] if v["verdict"] == "FAIL"}
    assert list(failed) == ["litert-int8"]
    assert "latency must be at most 0.000 ms" in failed["litert-int8"][0]


def test_a_model_that_lost_its_accuracy_fails(exported_run):
    path = exported_run / "export" / ship.MANIFEST
    manifest = json.loads(path.read_text())
    manifest["test_accuracy_pytorch"] += 0.1
    path.write_text(json.dumps(manifest))
    dataset = ship.load_data(manifest["data"])
    found = verify(path.parent, device.load("host"), dataset, options=QUICK)
    assert not found.passed
    assert all("test accuracy must be within" in v.failures[0] for v in found.variants)


@pytest.mark.parametrize(
    ("argument", "message"), [("--device=nope", "a device must be one of"), ("--data=nope", "no such path")]
)
def test_what_is_gone_is_one_sentence(exported_run, argument, message):
    done = subprocess.run(
        [HWNAS, "verify", exported_run, argument], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr

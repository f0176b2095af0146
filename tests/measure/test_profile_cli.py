"""The verbs, with real exports, real agents and real runtimes."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from quick_measuring import form, hurry
from typer.testing import CliRunner

from hwnas import device, export, measure, spaces
from hwnas.cli import app
from hwnas.errors import DeviceError, HwnasError, SchemaMismatch
from hwnas.tables import scales
from hwnas.tables.table import LatencyTable

pytestmark = pytest.mark.usefixtures("warm_processes")
HWNAS = Path(sys.executable).with_name("hwnas")
SMALL = "--space macro --resolution 8 --calibration-networks 2 --heldout-networks 1 --rounds 2 --max-rounds 2"


@dataclass(frozen=True)
class Said:
    stdout: str
    stderr: str


def hwnas(*words: str, code: int = 0) -> Said:
    """The program in this process; an error is said as ``main`` says it."""
    done = CliRunner(env={"COLUMNS": "500"}).invoke(app, list(words))
    if done.exception is not None and not isinstance(done.exception, HwnasError | SystemExit):
        raise done.exception
    said = Said(done.stdout, done.stderr + (str(done.exception) if done.exit_code == 1 else ""))
    assert done.exit_code == code, said.stderr
    return said


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory, warm_processes: None) -> tuple[Path, dict[str, Any]]:
    """Really measured tables of a small space, and what the verb said of them."""
    folder = tmp_path_factory.mktemp("tables")
    words = f"profile {SMALL} --runtime litert,onnxruntime --precision int8 --json --out".split()
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        return folder, json.loads(hwnas(*words, str(folder)).stdout)


def test_a_space_is_measured_on_two_runtimes(tables: tuple[Path, dict[str, Any]]) -> None:
    folder, said = tables
    space = spaces.load("macro", resolution=8)
    for runtime, summary in zip(("litert", "onnxruntime"), said["tables"], strict=True):
        table = LatencyTable.load(folder / f"{runtime}-int8.jsonl")
        assert table.target == device.load("host").target(runtime, "int8")
        assert set(table.of_kind("block")) == {w.key() for w in space.workloads()}
        assert Counter(m.kind for m in table.measurements.values()) == summary["rows"]
        assert summary["rows"] == {"block": 17, "calibration": 2, "heldout": 1}
        assert summary["failed"] == {}
        assert summary["missing"] == 0
        assert all(len(m.rounds) == 2 for m in table.measurements.values())
        assert table.scale.light_ms > 0
        assert all(m.latency_ms > 0 for m in table.measurements.values())


def test_asked_again_it_measures_nothing(tables: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = tables
    path = folder / "litert-int8.jsonl"
    before = path.read_bytes()
    hwnas(*f"profile {SMALL} --runtime litert --precision int8 --out {folder}".split())
    assert path.read_bytes() == before


def test_tables_are_shown_compared_merged_and_exported(
    tables: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    path = str(tables[0] / "litert-int8.jsonl")
    shown = json.loads(hwnas("table", "show", path, "--json").stdout)
    assert len(shown["rows"]) == 20
    assert len(shown["sessions"]) == 1
    assert hwnas("table", "show", path).stdout.count("net:macro") == 3
    found = json.loads(hwnas("table", "diff", path, path, "--json").stdout)
    assert len(found["changes"]) == 20
    assert not any(change["real"] for change in found["changes"])
    merged = tmp_path / "merged.jsonl"
    hwnas("table", "merge", path, path, "--out", str(merged))
    assert len(LatencyTable.load(merged).rounds) == 40
    assert "exists" in hwnas("table", "merge", path, "--out", str(merged), code=1).stderr
    assert "runtime" in hwnas("table", "merge", path, str(tables[0] / "onnxruntime-int8.jsonl"),
                              "--out", str(tmp_path / "mixed.jsonl"), code=1).stderr  # fmt: skip
    assert len(hwnas("table", "export", path).stdout.splitlines()) == 21


@pytest.mark.slow
def test_given_models_are_measured_on_the_scale_of_a_table(tables: tuple[Path, dict[str, Any]]) -> None:
    table = LatencyTable.load(tables[0] / "litert-int8.jsonl")
    space = spaces.load("macro", resolution=8)
    host = device.load("host")
    key = next(iter(table.of_kind("calibration")))
    network = space.architecture([int(i) for i in key.rsplit(":", 1)[1].split(".")])
    images = export.random_calibration(space.input_shape, 4, 0)
    model = export.lower(
        export.random_module(network.blocks, 0), space.input_shape, "litert", "int8", calibration=images
    )
    options = form(6)
    measured = measure.measure(host, table.target, {"final": model.model}, table=table, options=options)
    assert measured["final"].kind == "finalist"
    assert measured["final"].scale == scales.of(table.target, table.environment, table)
    assert len(measured["final"].rounds) in (6, 8), "a third more where too few saw the fast clock"
    assert measured["final"].latency_ms > 0
    with pytest.raises(SchemaMismatch, match="precision"):
        measure.measure(host, host.target("litert", "fp32"), {"x": model.model}, table=table)
    with pytest.raises(DeviceError, match="broken must run on host/litert-int8"):
        measure.measure(host, table.target, {"broken": b"no model"}, options=options)


@pytest.mark.slow
def test_the_doctor_says_what_it_saw() -> None:
    said = json.loads(hwnas("doctor", "--json").stdout)
    assert said["quality"]["word"] in ("stable", "noisy", "unusable")
    assert said["anchor_ms"] > 0
    assert all(finding["what"] and finding["remedy"] for finding in said["findings"])
    assert said["torch"]["version"]
    assert said["torch"]["capability"]


@pytest.mark.parametrize(("cpus", "code"), [("4095", 1), ("x", 2), ("3-1", 2), ("0,,1", 2), ("", 2)])
def test_cpus_that_make_no_sense_are_refused(cpus: str, code: int, tmp_path: Path) -> None:
    """What is no list of CPUs is wrong usage; a CPU that the device does not have is its own error."""
    words = f"profile {SMALL} --runtime litert --precision int8 --out {tmp_path}".split()
    error = hwnas(*words, "--cpus", cpus, code=code).stderr
    assert "cpus must be" in error
    assert not list(tmp_path.glob("*.jsonl"))


@pytest.mark.slow
def test_a_real_profile_survives_kills(tmp_path: Path) -> None:
    """Killed again and again while it exports and measures, it ends with the same keys as another."""
    words = f"profile {SMALL} --runtime litert --precision int8 --out".split()
    rng = random.Random(0)
    path = tmp_path / "killed" / "litert-int8.jsonl"
    finished: Counter[tuple[str, int]] = Counter()
    for _ in range(10):
        process = subprocess.Popen([HWNAS, *words, str(path.parent)], stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(1, 8))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if path.exists():
            rounds = Counter((r.key, r.number) for r in LatencyTable.load(path).rounds)
            assert not finished - rounds
            finished = rounds
    hwnas(*words, str(path.parent))
    hwnas(*words, str(tmp_path / "whole"))
    whole = LatencyTable.load(tmp_path / "whole" / "litert-int8.jsonl")
    killed = LatencyTable.load(path)
    assert Counter((r.key, r.number) for r in killed.rounds) == Counter(
        (r.key, r.number) for r in whole.rounds
    )
    assert not list(path.parent.glob(".*.models"))

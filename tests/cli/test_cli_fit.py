"""``hwnas fit`` as a user meets it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from hwnas import latency, spaces
from hwnas.cli import app
from hwnas.device import Target
from hwnas.errors import HwnasError
from hwnas.tables.rounds import Energy
from hwnas.tables.table import LatencyTable, Round


def fit(folder: Path, *arguments: str) -> Result:
    command = ["fit", "--space", "macro", "--out", str(folder / "latency.json"), *arguments]
    return CliRunner(env={"COLUMNS": "500"}).invoke(app, command)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    space, rng = spaces.load("macro"), np.random.default_rng(0)
    rows = {w.key(): Round(w.key(), "block", "s", 0, (w.macs / 1e7,)) for w in space.workloads()}
    for kind in ["calibration"] * 10 + ["heldout"] * 10:
        arch = space.sample(rng)
        rows.setdefault(arch.key(), Round(arch.key(), kind, "s", 0, (1.2 * arch.macs / 1e7,)))
    path = tmp_path / "table.jsonl"
    LatencyTable(Target("host", "litert", "int8"), {}, rows.values()).save(path)
    return path


def test_fit_reports_errors_on_heldout_networks_and_writes_the_model(table: Path, tmp_path: Path) -> None:
    done = fit(tmp_path, "--table", str(table), "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    model = latency.load(tmp_path / "latency.json")
    assert report["evaluation"]["heldout"] == pytest.approx(model.evaluation["heldout"].summary)
    assert report["evaluation"]["heldout"]["mape"] < 0.02
    assert report["target"] == model.target.to_json()
    assert report["warnings"] == []


def test_fit_for_people(table: Path, tmp_path: Path) -> None:
    done = fit(tmp_path, "--table", str(table), "--model", "lookup")
    assert done.exit_code == 0, done.output
    assert "heldout" in done.stdout
    assert "16.7%" in done.stdout  # the table promises 1 / 1.2 of what networks take
    assert (
        "warning: do not trust this latency model: of 10 networks that it never saw, it is wrong by 17%"
        in (done.stderr)
    )


def test_a_missing_table_is_one_clear_sentence(tmp_path: Path) -> None:
    done = fit(tmp_path, "--table", str(tmp_path / "none.jsonl"))
    assert isinstance(done.exception, HwnasError)
    assert "none.jsonl" in str(done.exception)
    assert not (tmp_path / "latency.json").exists()


def test_a_table_of_another_target_is_refused(table: Path, tmp_path: Path) -> None:
    done = fit(tmp_path, "--table", str(table), "--precision", "fp32")
    assert isinstance(done.exception, HwnasError)
    assert "host/litert-int8" in str(done.exception)


def counted(table: Path, share: float) -> Path:
    """The same table with the energies of a share of its rows; the others were refused."""
    found = LatencyTable.load(table)
    known = round(share * len(found.rounds))
    refused = {"energy_refused": "an energy counter must step 50 times"}
    rows = [
        replace(row, energy=Energy("rapl:package-0", row.samples_ms[0] * 10))
        if number < known
        else replace(row, conditions=refused)
        for number, row in enumerate(found.rounds)
    ]
    LatencyTable(found.target, {}, rows).save(table)
    return table


def test_errors_of_energies_are_millijoules_and_warned_of(table: Path, tmp_path: Path) -> None:
    done = fit(tmp_path, "--table", str(counted(table, 1.0)), "--model", "lookup", "--json")
    report = json.loads(done.stdout)
    energy, times = report["energy"]["heldout"], report["evaluation"]["heldout"]
    assert energy["rmse_mj"] == pytest.approx(10 * times["rmse_ms"])
    assert "rmse_ms" not in energy
    assert [text[:19] for text in report["warnings"]] == ["do not trust this l", "energy: do not trus"]


def test_why_there_is_no_model_of_energy_is_said(table: Path, tmp_path: Path) -> None:
    assert "energy" not in fit(tmp_path, "--table", str(table)).output, "nobody asked for it"
    done = fit(tmp_path, "--table", str(counted(table, 0.1)))
    assert done.exit_code == 0
    assert "warning: no model of energy: a table must hold the energies of 50% of the blocks" in done.stderr
    assert "`hwnas profile --device host --space macro" in done.stderr
    assert "--energy` counts them" in done.stderr


def test_the_runtime_is_the_devices_first_where_none_is_named(tmp_path: Path) -> None:
    done = fit(tmp_path, "--device", "host-gpu", "--precision", "fp16")
    assert "`hwnas profile --device host-gpu --space macro --runtime torch_cuda --precision fp16`" in str(
        done.exception
    )

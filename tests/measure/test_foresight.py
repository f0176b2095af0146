"""What a profile would measure is what it then measures."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from hwnas import device, measure, spaces
from hwnas.cli import app
from hwnas.measure import ProfileOptions
from hwnas.measure.foresight import foreseen
from hwnas.tables.table import LatencyTable

pytestmark = pytest.mark.usefixtures("warm_processes")
OPTIONS = ProfileOptions(
    rounds=2, max_rounds=2, calibration_networks=2, heldout_networks=1, samples=2, min_round_s=0
)


@pytest.mark.slow
def test_what_is_foreseen_is_measured(tmp_path):
    host, space = device.load("host"), spaces.load("macro-r8-c10")
    target = host.target("litert", "int8")
    (before,) = foreseen(host, space, [target], tmp_path, OPTIONS)
    assert not list(tmp_path.iterdir()), "nothing is written"
    assert (before.fewest, before.most, before.is_known) == (sum(before.rows.values()) * 2,) * 2 + (False,)
    assert before.seconds[0] == pytest.approx(before.fewest * (3 * 2e-3 + (2 + 8) * 1e-3))
    path = measure.profile(host, space, [target], tmp_path, OPTIONS)[target]
    table = LatencyTable.load(path)
    assert len(table.rounds) == before.fewest
    assert Counter(m.kind for m in table.measurements.values()) == before.rows
    (nothing,) = foreseen(host, space, [target], tmp_path, OPTIONS)
    assert (nothing.rows, nothing.fewest, nothing.most, nothing.seconds) == ({}, 0, 0, (0.0, 0.0))
    (more,) = foreseen(host, space, [target], tmp_path, replace(OPTIONS, rounds=3, max_rounds=5))
    assert (more.rows, more.fewest, more.most) == (before.rows, before.fewest // 2, 3 * before.fewest // 2)
    assert more.is_known
    end = next(note.facts for note in table.notes if note.moment == "end")
    assert more.seconds_a_round == pytest.approx(end["seconds"]["measure"] / len(table.rounds))


def test_a_dry_run_says_it_and_touches_nothing(tmp_path):
    words = ["profile", "--dry-run", "--space", "macro-r8-c10", "--precision", "int8"]
    words += ["--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "at least" in done.output
    (said, *_) = json.loads(CliRunner().invoke(app, [*words, "--json"]).output)
    assert said["target"] == "host/litert-int8"
    assert said["rows"]["block"] == 17
    assert not (tmp_path / "out").exists()

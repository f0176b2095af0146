"""Whole tables: merged through their anchors, compared with noise in mind."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hwnas.cli import app
from hwnas.device import Target
from hwnas.errors import SchemaMismatch, TableError
from hwnas.tables import conditions, operations
from hwnas.tables.table import LatencyTable, Note, Round

TARGET = Target("host", "litert", "int8")
SAME = {
    "runtime_version": "2.3.0",
    "library_sha256": "aa",
    "machine": "x86_64",
    "cpu_model": "some",
    "anchor": "anchor/1",
}


def a_table(
    truth: Mapping[str, float],
    *,
    session: str = "s1",
    speed: float = 1.0,
    noise: float = 0.01,
    rounds: int = 12,
    seed: int = 0,
    environment: Mapping[str, object] = SAME,
    target: Target = TARGET,
    anchor_ms: float = 2.0,
) -> LatencyTable:
    """A machine that is ``speed`` times slower, and noisy, and whose anchor needs some ms."""
    rng = np.random.default_rng(seed)
    table = LatencyTable(target, environment)
    for number in range(rounds):
        for key, value in truth.items():
            sample, anchor = (x * speed * rng.lognormal(0, noise) for x in (value, anchor_ms))
            table.add(Round(key, "block", session, number, (sample,), (anchor,)))
    return table


TRUTH = {f"k{i}": 0.1 * (i + 1) for i in range(40)}


def test_merged_sessions_agree_through_their_anchors() -> None:
    fast, slow = a_table(TRUTH, seed=1), a_table(TRUTH, session="s2", speed=1.3, seed=2)
    merged = operations.merge(fast, slow)
    assert len(merged.rounds) == 2 * len(fast.rounds)
    scale = merged.scale.light_ms / 2.0
    for key, value in TRUTH.items():
        assert merged.measurements[key].latency_ms == pytest.approx(value * scale, rel=0.02)
    assert 1.0 < scale < 1.3


def test_copies_of_a_session_are_taken_once_and_contradictions_refused() -> None:
    table, other = a_table({"k": 1.0}), a_table({"k": 1.1}, seed=5)
    assert operations.merge(table, table).rounds == table.rounds
    with pytest.raises(TableError, match="there twice"):
        operations.merge(table, other)


@pytest.mark.parametrize("field", operations.IDENTITY)
def test_what_describes_something_else_is_never_mixed(field: str) -> None:
    other = a_table({"k": 1.0}, session="s2", environment=SAME | {field: "another"})
    with pytest.raises(SchemaMismatch, match=field) as caught:
        operations.merge(a_table({"k": 1.0}), other)
    assert caught.value.field == field


def test_another_target_is_never_mixed() -> None:
    other = LatencyTable(Target("host", "litert", "fp32"), SAME)
    with pytest.raises(SchemaMismatch, match="precision") as caught:
        operations.merge(a_table({"k": 1.0}), other)
    assert caught.value.field == "precision"


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_change(seed: int) -> None:
    found = operations.diff(
        a_table(TRUTH, seed=seed), a_table(TRUTH, session="s2", speed=1.25, seed=100 + seed), least=0.0
    )
    assert sum(change.real for change in found.changes) <= 1
    assert found.anchor == pytest.approx(0.25, abs=0.02)


def test_real_changes_are_found_among_noise() -> None:
    changed = TRUTH | {"k3": TRUTH["k3"] * 1.10, "k7": TRUTH["k7"] * 0.92}
    found = operations.diff(a_table(TRUTH, seed=1), a_table(changed | {"new": 1.0}, speed=1.2, seed=2))
    assert {change.key for change in found.changes if change.real} == {"k3", "k7"}
    assert found.changes[0].key == "k3"
    assert found.changes[0].relative == pytest.approx(0.10, abs=0.02)
    assert found.only_after == ("new",)
    assert found.environment == {}


def test_few_rounds_prove_nothing() -> None:
    found = operations.diff(a_table({"k": 1.0}, rounds=5), a_table({"k": 2.0}, rounds=5))
    assert not any(change.real for change in found.changes)


def test_a_diff_names_what_differs_in_the_environment() -> None:
    newer = a_table({"k": 1.0}, environment=SAME | {"runtime_version": "2.4.0"})
    found = operations.diff(a_table({"k": 1.0}), newer)
    assert found.environment == {"runtime_version": ("2.3.0", "2.4.0")}
    with pytest.raises(SchemaMismatch, match="same anchor"):
        operations.diff(newer, a_table({"k": 1.0}, environment=SAME | {"anchor": "anchor/2"}))


@pytest.mark.parametrize("field", ["cpu_model", "machine"])
def test_tables_of_two_machines_are_not_before_and_after(field: str) -> None:
    """The second machine is 3.4 times as fast in all: that is a difference, and no change."""
    other = a_table(TRUTH, speed=1 / 3.4, seed=2, environment=SAME | {field: "another"})
    found = operations.diff(a_table(TRUTH, seed=1), other)
    assert found.foreign == (field,)
    assert all(change.real for change in found.changes)
    for change in found.changes:
        assert change.relative == pytest.approx(1 / 3.4 - 1, abs=0.05)
    assert operations.diff(a_table(TRUTH, seed=1), a_table(TRUTH, seed=2)).foreign == ()


@pytest.mark.parametrize(
    ("field", "value"), [("precision", "fp32"), ("threads", 2), ("batch", 4), ("runtime", "onnxruntime")]
)
def test_another_way_to_run_on_one_machine_is_a_difference_and_no_noise(
    field: str, value: object, tmp_path: Path
) -> None:
    """All rows are two to four times as slow, and the anchor three times: nothing of it is noise."""
    target = Target(**{**TARGET.to_json(), field: value})
    slower = {key: ms * (2 + n % 3) for n, (key, ms) in enumerate(TRUTH.items())}
    before, after = a_table(TRUTH, seed=1), a_table(slower, seed=2, target=target, anchor_ms=6.0)
    found = operations.diff(before, after)
    assert (found.unlike, found.foreign) == ((field,), ())
    assert all(change.real for change in found.changes)
    for change in found.changes:
        assert change.relative == pytest.approx(slower[change.key] / TRUTH[change.key] - 1, abs=0.15)
    before.save(tmp_path / "before.jsonl")
    after.save(tmp_path / "after.jsonl")
    paths = [str(tmp_path / name) for name in ("before.jsonl", "after.jsonl")]
    shown = CliRunner().invoke(app, ["table", "diff", *paths], env={"COLUMNS": "300"})
    assert "40 real differences, 0 rows within noise" in shown.stdout
    assert f"differ in {field}:" in shown.stderr


def test_rows_of_too_few_rounds_are_counted_by_themselves() -> None:
    found = operations.diff(
        a_table({"k": 1.0, "same": 1.0}, rounds=5), a_table({"k": 2.0, "same": 1.0}, rounds=5), least=0.5
    )
    assert (found.untold, [change.key for change in found.changes if not change.told]) == (1, ["k"])


def test_csv_has_a_row_for_each_key() -> None:
    table = a_table({"k1": 1.0, "k2": 3.0})
    rows = list(csv.DictReader(io.StringIO(operations.to_csv(table))))
    assert [row["key"] for row in rows] == ["k1", "k2"]
    assert float(rows[1]["latency_ms"]) == pytest.approx(table.latency_ms("k2"), rel=1e-5)
    assert float(rows[1]["ci_low_ms"]) < float(rows[1]["latency_ms"]) < float(rows[1]["ci_high_ms"])


def test_wide_rows_are_unstable_for_what_the_session_asked() -> None:
    table = a_table({"k": 1.0}, noise=0.05)
    table.notes.append(Note("s1", "begin", {"target_ci": 0.5}))
    assert conditions.unstable(table) == {}
    assert "±1.0% was asked for" in conditions.unstable(table, 0.01)["k"]


def test_a_quiet_session_is_stable_and_a_busy_one_says_why() -> None:
    table = a_table({"k": 1.0}, noise=0.002)
    assert str(conditions.qualities(table)["s1"]) == "stable"
    table.notes.append(Note("s1", "span", {"wall_s": 1.0, "others_share": 0.8, "steal_share": 0.0}))
    table.notes.append(Note("s1", "span", {"wall_s": 3.0, "others_share": 0.0, "steal_share": 0.0}))
    busy = conditions.qualities(table)["s1"]
    assert str(busy) == "noisy: other processes used 20% of the CPUs"
    drifting = a_table({"k": 1.0}, noise=0.3, rounds=60)
    assert conditions.qualities(drifting)["s1"].word == "unusable"
    assert "scatter by" in str(conditions.qualities(drifting)["s1"])


def test_a_span_is_the_difference_of_two_conditions() -> None:
    began = {"monotonic_ns": 0, "tick_ns": 10**7, "busy_ticks": 100, "idle_ticks": 50, "steal_ticks": 3}
    ended = {"monotonic_ns": 10**9, "tick_ns": 10**7, "busy_ticks": 250, "idle_ticks": 90, "steal_ticks": 13}
    facts = conditions.span(
        began | {"own_cpu_ns": 0},
        ended | {"own_cpu_ns": 9 * 10**8, "freq_khz": [None, None], "thermal_mc": {}},
    )
    assert facts == {"wall_s": 1.0, "steal_share": 0.05, "others_share": 0.3}
    assert conditions.span({}, {}) == {}


def test_tables_without_a_common_row_are_not_compared() -> None:
    with pytest.raises(
        TableError, match=r"must have a row in common, .*1 \(such as k\).*1 \(such as other\)"
    ):
        operations.diff(a_table({"k": 1.0}), a_table({"other": 1.0}))
    with pytest.raises(TableError, match=r"1 \(such as k\) in the first and none in the second"):
        operations.diff(a_table({"k": 1.0}), LatencyTable(Target("host", "litert", "int8"), SAME))


@pytest.mark.parametrize("least", [float("nan"), float("inf"), -0.1])
def test_the_least_change_is_a_size(least: float, tmp_path: Path) -> None:
    table = a_table({"k": 1.0})
    with pytest.raises(TableError, match="must be a share of 0 or more, but got"):
        operations.diff(table, table, least=least)
    table.save(tmp_path / "table.jsonl")
    files = [str(tmp_path / "table.jsonl")] * 2
    assert CliRunner().invoke(app, ["table", "diff", *files, "--least", str(least)]).exit_code == 2

"""One scale a device, over all sessions that are known: in tables, in manifests, on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hwnas import files
from hwnas.device import Target
from hwnas.tables import scales
from hwnas.tables.clock import Scale
from hwnas.tables.measurement import Round
from hwnas.tables.operations import ORIGIN
from hwnas.tables.table import LatencyTable, Reference

TARGET = Target("host", "litert", "int8")
HERE = {
    "runtime_version": "2.3.0",
    "library_sha256": "aa",
    "machine": "x86_64",
    "cpu_model": "some",
    "anchor": "1",
}


def a_session(
    name: str, light_ms: float, rounds: int = 8, environment: Mapping[str, str] = HERE
) -> LatencyTable:
    rows = [
        Round("k", "finalist", name, n, (3 * light_ms,) * 3, (light_ms,) * 4, heavy_ms=(4 * light_ms,) * 4)
        for n in range(rounds)
    ]
    return LatencyTable(TARGET, environment, rows)


def kept() -> Iterator[Path]:
    return (files.user_data() / "clocks" / "host").glob("*.json")


def test_a_slow_session_is_put_on_the_fast_scale_that_another_saw() -> None:
    slow = a_session("s2", 0.8)
    assert scales.of(TARGET, HERE, slow).light_ms == 0.8, "nothing else is known yet"
    scales.remember(a_session("s1", 0.5))
    assert scales.of(TARGET, HERE, slow).light_ms == 0.5
    scales.remember(slow)
    assert scales.of(TARGET, HERE).light_ms == 0.5, "and it does not shift the scale"
    measured = slow.measurements["k"].scaled(scales.of(TARGET, HERE, slow))
    assert measured.latency_ms == pytest.approx(1.5)


def test_sessions_of_the_fast_state_have_their_median() -> None:
    for number, light_ms in enumerate((0.50, 0.51, 0.54, 0.80, 0.81, 0.82, 0.83)):
        scales.remember(a_session(f"s{number}", light_ms))
    assert scales.of(TARGET, HERE) == Scale(0.51, 2.04)


def test_a_few_rounds_do_not_make_a_scale() -> None:
    scales.remember(a_session("s1", 0.5))
    scales.remember(a_session("s2", 0.3, rounds=2))
    assert scales.of(TARGET, HERE).light_ms == 0.5


@pytest.mark.parametrize("field", [*HERE, ORIGIN])
def test_what_is_of_another_processor_or_library_or_came_with_hwnas_counts_for_nothing(field: str) -> None:
    other = a_session("s1", 0.5, environment=HERE | {field: "other"})
    scales.remember(other)
    assert scales.of(TARGET, HERE, other, other.reference, a_session("s2", 0.8)).light_ms == 0.8


def test_the_scale_of_a_manifest_counts_where_tables_are_gone() -> None:
    reference = Reference.from_json(json.loads(json.dumps(a_session("s1", 0.5).reference.to_json())))
    assert scales.of(TARGET, HERE, reference, a_session("s2", 0.8)).light_ms == 0.5


def test_a_reference_of_an_earlier_version_is_still_read() -> None:
    earlier = {"target": TARGET.to_json(), "environment": HERE, "scale": {"light_ms": 0.5, "heavy_ms": 2.0}}
    assert Reference.from_json(earlier).scale == Scale(0.5, 2.0)


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"schema": "hwnas-clock/9"}', "not JSON"])
def test_a_damaged_memory_is_begun_anew(damage: str) -> None:
    scales.remember(a_session("s1", 0.5))
    (path,) = kept()
    path.write_text(damage)
    assert scales.of(TARGET, HERE, a_session("s2", 0.8)).light_ms == 0.8
    scales.remember(a_session("s3", 0.6))
    assert scales.of(TARGET, HERE).light_ms == 0.6


def test_without_a_place_to_remember_nothing_else_is_lost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    scales.remember(a_session("s1", 0.5))
    assert scales.of(TARGET, HERE, a_session("s1", 0.5)).light_ms == 0.5


def test_without_anchors_there_is_no_clock() -> None:
    table = LatencyTable(TARGET, HERE, [Round("k", "block", "s", 0, (1.0,))])
    scales.remember(table)
    assert list(kept()) == []
    assert scales.of(TARGET, HERE, table) == Scale()

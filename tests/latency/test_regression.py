"""Blocks that were not measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwnas import latency, spaces
from hwnas.device import Target
from hwnas.errors import LatencyModelError, SchemaMismatch
from hwnas.latency.features import FEATURES, features
from hwnas.latency.regression import FAMILIES, Regression, cross_validate
from hwnas.space import Workload
from hwnas.tables.table import LatencyTable, Round

TARGET = Target("host", "litert", "int8")


def roofline_ms(workload: Workload) -> float:
    """A device that computes or moves, whichever takes longer, and starts every operation."""
    work = dict(zip(FEATURES, features(workload), strict=True))
    macs = sum(v for name, v in work.items() if name.startswith("macs_"))
    return float(
        max(macs / 2e7, (work["read"] + work["written"] + work["weights"]) / 4e5) + 0.003 * work["ops"]
    )


def table_of(*resolutions: int) -> LatencyTable:
    rows: dict[str, Round] = {}
    for resolution in resolutions:
        for workload in spaces.load("fbnet", resolution=resolution).workloads():
            rows[workload.key()] = Round(workload.key(), "block", "s", 0, (roofline_ms(workload),))
    return LatencyTable(TARGET, {}, rows.values())


@pytest.fixture(scope="module")
def trained() -> Regression:
    return Regression.fit(table_of(160, 224))


def test_a_resolution_that_was_left_out(trained: Regression) -> None:
    space = spaces.load("fbnet", resolution=192)
    unseen = [w for w in space.workloads() if w.key() not in trained.blocks_ms]
    errors = [abs(trained.estimate_ms(w) / roofline_ms(w) - 1) for w in unseen]
    assert len(unseen) > 80
    assert np.mean(errors) < 0.08


def test_the_best_family_is_chosen_and_all_are_reported(trained: Regression) -> None:
    assert trained.errors.keys() == FAMILIES.keys()
    assert trained.errors[trained.family] == min(trained.errors.values())
    assert all(f"{error:.1%}" in trained.notes[0] for error in trained.errors.values())


def test_plain_work_is_found_where_there_is_nothing_else() -> None:
    blocks = {w.key(): features(w).sum() / 1e6 for w in spaces.load("fbnet", resolution=64).workloads()}
    errors = cross_validate(blocks)
    assert errors["work"] < 1e-6


def test_a_judged_shape_is_never_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(64)
    blocks = {key: m.latency_ms for key, m in table.of_kind("block").items()}
    channels = {}  # the first input feature that tells shapes apart: what a pointwise reads
    seen: list[set[tuple[float, ...]]] = []

    def spy(rows: np.ndarray, latency_ms: np.ndarray):
        trained_on = {tuple(row) for row in rows}
        seen.append(trained_on)

        def predict(raw: np.ndarray) -> np.ndarray:
            assert not trained_on & {tuple(row) for row in raw}
            channels["judged"] = channels.get("judged", 0) + len(raw)
            return np.ones(len(raw))

        return predict

    monkeypatch.setattr("hwnas.latency.regression.FAMILIES", {"spy": spy})
    cross_validate(blocks)
    assert channels["judged"] == len(blocks)
    assert len(seen) == 5


def test_measured_blocks_are_taken_as_they_are(trained: Regression) -> None:
    space = spaces.load("fbnet", resolution=224)
    indices = np.random.default_rng(0).integers(0, 9, (5, 22))
    exact = latency.fit(table_of(160, 224), space, "lookup").predict(space, indices)
    found = trained.predict(space, indices)
    np.testing.assert_allclose(found.mean_ms, exact.mean_ms)
    np.testing.assert_array_equal(found.std_ms, 0)
    other = spaces.load("fbnet", resolution=192)
    assert (trained.predict(other, indices).std_ms > 0).all()


def test_a_saved_regression_predicts_the_same(trained: Regression, tmp_path: Path) -> None:
    latency.save(trained, tmp_path / "latency.json")
    again = latency.load(tmp_path / "latency.json")
    space = spaces.load("fbnet", resolution=192)
    indices = np.random.default_rng(0).integers(0, 9, (3, 22))
    np.testing.assert_allclose(
        again.predict(space, indices).mean_ms, trained.predict(space, indices).mean_ms, rtol=1e-9
    )
    with pytest.raises(SchemaMismatch):
        latency.from_json(latency.to_json(trained) | {"family": "magic"})


def test_too_few_blocks_are_refused() -> None:
    workloads = spaces.load("macro").workloads()
    with pytest.raises(LatencyModelError, match="two input shapes"):
        cross_validate({w.key(): 1.0 for w in workloads[:3]})

"""Lookup and posterior models on simulated devices."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from simulated_devices import simulate, true_block_ms, true_network_ms

from hwnas import latency
from hwnas.errors import HwnasError, LatencyModelError, MissingEntry, SchemaMismatch
from hwnas.space import SearchSpace, Workload
from hwnas.tables.table import LatencyTable, Round


def slower_inside(workload: Workload) -> float:
    """Blocks cost more inside networks, and not all by the same factor."""
    return true_block_ms(workload) * (1.1 + 0.2 * (workload.in_shape[1] == 16))


def test_lookup_is_exact_where_the_device_is_additive(macro: SearchSpace) -> None:
    model = latency.fit(simulate(macro, calibration=0, heldout=20), macro, "lookup")
    assert model.evaluation["heldout"].mape < 1e-12
    indices = (1, 2, 0, 1, 0, 2, 1, 0)
    predicted = model.predict(macro, np.array([indices])).mean_ms[0]
    assert predicted == pytest.approx(true_network_ms(macro, indices, true_block_ms))
    assert model.costs(macro).of(np.array([indices]))[0] == pytest.approx(predicted)


def without(table: LatencyTable, *keys: str) -> LatencyTable:
    return LatencyTable(table.target, {}, (r for r in table.rounds if r.key not in keys))


def test_lookup_is_strict_and_names_the_nearest(macro: SearchSpace) -> None:
    gone = macro.workloads()[4].key()
    with pytest.raises(MissingEntry) as caught:
        latency.fit(without(simulate(macro, calibration=3, heldout=0), gone), macro, "lookup")
    assert caught.value.key == gone
    assert len(caught.value.nearest) == 3


@pytest.mark.slow
def test_posterior_estimates_a_missing_block_and_says_so(macro: SearchSpace) -> None:
    gone = macro.workloads()[4]
    table = simulate(macro, calibration=0, heldout=0)
    whole, poorer = latency.fit(table, macro), latency.fit(without(table, gone.key()), macro)
    assert whole.notes == ()
    assert poorer.notes[0] == f"1 of {len(macro.workloads())} blocks were not measured"
    indices = np.array([[2] * 8])
    assert gone in macro.architecture(indices[0]).workloads
    before, after = whole.predict(macro, indices), poorer.predict(macro, indices)
    assert after.mean_ms == pytest.approx(before.mean_ms, rel=0.1)
    assert after.std_ms > before.std_ms


def test_posterior_needs_some_blocks(macro: SearchSpace) -> None:
    table = simulate(macro, calibration=3, heldout=0)
    with pytest.raises(LatencyModelError, match=r"most blocks of .* must have been measured"):
        latency.fit(without(table, *(w.key() for w in macro.workloads())), macro)


def test_enough_noiseless_networks_recover_an_additive_device(macro: SearchSpace) -> None:
    table = simulate(macro, calibration=150, heldout=60, inside=slower_inside, run_ms=0.3)
    model = latency.fit(table, macro)
    raw = latency.fit(table, macro, "lookup")
    assert raw.evaluation["heldout"].mape > 0.1
    assert model.evaluation["heldout"].mape < 1e-3
    assert model.evaluation["heldout"].spearman == pytest.approx(1.0, abs=1e-3)


def test_posterior_is_better_than_the_raw_sum_from_few_networks(macro: SearchSpace) -> None:
    errors = []
    for count in (0, 5, 20, 80):
        table = simulate(macro, calibration=count, heldout=100, inside=slower_inside, run_ms=0.3, noise=0.01)
        errors.append(latency.fit(table, macro).evaluation["heldout"].mape)
    assert errors[0] > errors[1] > errors[2] > errors[3]
    assert errors[3] < 0.012


def test_intervals_cover_what_they_promise(macro: SearchSpace) -> None:
    inside = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        factors = {w: float(np.exp(0.1 * rng.standard_normal())) for w in macro.workloads()}

        def block_ms(w: Workload, factors: dict[Workload, float] = factors) -> float:
            return true_block_ms(w) * factors.get(w, 1.0)

        table = simulate(macro, calibration=40, heldout=50, inside=block_ms, noise=0.02, seed=seed)
        inside += round(50 * latency.fit(table, macro).evaluation["heldout"].coverage_90)
    assert 0.85 <= inside / 500 <= 0.95


def test_only_heldout_networks_of_the_space_are_scored(macro: SearchSpace) -> None:
    table = simulate(macro, calibration=8, heldout=5)
    other = Round("net:macro-r64-c10:0.0.0.0.0.0.0.0", "heldout", "s", 0, (1e6,))
    found = latency.fit(LatencyTable(table.target, {}, (*table.rounds, other)), macro).evaluation
    assert found["heldout"].networks == 5
    assert found["calibration"].networks == 8


def test_calibration_does_not_see_the_heldout_networks(macro: SearchSpace) -> None:
    table = simulate(macro, calibration=12, heldout=5, noise=0.02)
    blind = LatencyTable(table.target, {}, (r for r in table.rounds if r.kind != "heldout"))
    seen, unseen = latency.fit(table, macro), latency.fit(blind, macro)
    assert seen.costs(macro).fixed == unseen.costs(macro).fixed
    assert unseen.evaluation.keys() == {"calibration"}


@pytest.mark.parametrize("model", ["lookup", "posterior"])
@pytest.mark.parametrize("calibration", [0, 10])
def test_a_saved_model_predicts_the_same(
    macro: SearchSpace, model: str, calibration: int, tmp_path: Path
) -> None:
    fitted = latency.fit(simulate(macro, calibration=calibration, heldout=4, noise=0.02), macro, model)
    latency.save(fitted, tmp_path / "latency.json")
    again = latency.load(tmp_path / "latency.json")
    indices = np.array([macro.sample(np.random.default_rng(s)).indices for s in range(9)])
    first, second = fitted.predict(macro, indices), again.predict(macro, indices)
    np.testing.assert_array_equal(first.mean_ms, second.mean_ms)
    np.testing.assert_array_equal(first.std_ms, second.std_ms)
    assert again.evaluation == fitted.evaluation
    assert again.target == fitted.target
    assert isinstance(again, latency.LatencyModel)


def test_files_of_another_schema_or_with_missing_fields_are_refused(
    macro: SearchSpace, tmp_path: Path
) -> None:
    fitted = latency.fit(simulate(macro, calibration=4, heldout=0), macro)
    data = latency.to_json(fitted)
    for change in (
        {"schema": "hwnas-latency/999"},
        {"model": "magic"},
        {"variances": None},
        {"networks": [1]},
    ):
        with pytest.raises(SchemaMismatch):
            latency.from_json(data | change)
    with pytest.raises(SchemaMismatch):
        latency.from_json({k: v for k, v in data.items() if k != "prior"})
    (tmp_path / "torn.json").write_text(json.dumps(data)[:-20])
    with pytest.raises(HwnasError, match=r"torn\.json"):
        latency.load(tmp_path / "torn.json")


def test_a_posterior_is_refused_on_another_space(macro: SearchSpace) -> None:
    fitted = latency.fit(simulate(macro, calibration=4, heldout=0), macro)
    other = dataclasses.replace(macro, name="other")
    with pytest.raises(LatencyModelError, match="space that it was fitted for"):
        fitted.costs(other)


def test_unknown_models_and_odd_keys_are_refused(macro: SearchSpace) -> None:
    table = simulate(macro, calibration=4, heldout=0)
    with pytest.raises(LatencyModelError, match="lookup"):
        latency.fit(table, macro, "magic")
    for text in ("0.0", "0.0.0.0.0.0.0.9", "a.b"):
        odd = Round(f"net:{macro.name}:{text}", "calibration", "s", 0, (1.0,))
        with pytest.raises(LatencyModelError, match=r"indices of an architecture"):
            latency.fit(LatencyTable(table.target, {}, (*table.rounds, odd)), macro)
    with pytest.raises(LatencyModelError, match="within the sizes"):
        latency.fit(table, macro).predict(macro, np.array([[0, 0, 0, 0, 0, 0, 0, 3]]))

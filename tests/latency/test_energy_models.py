"""Energies in a table, fitted by the machinery of latencies, on simulated devices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from simulated_devices import TARGET, simulate, true_block_ms

from hwnas import latency
from hwnas.errors import SchemaMismatch
from hwnas.latency.fitted import FittedModel
from hwnas.space import SearchSpace, Workload
from hwnas.tables.rounds import Energy
from hwnas.tables.table import LatencyTable, Round


def hungry(workload: Workload) -> float:
    """Millijoules of a block: not in proportion to its latency."""
    return true_block_ms(workload) * (2 + workload.in_shape[0] / 32)


def counted(space: SearchSpace, share: float = 1.0, **how: float) -> LatencyTable:
    """A table of latencies and, in a share of its rows, energies."""
    times = simulate(space, calibration=12, heldout=12)
    energies = simulate(space, calibration=12, heldout=12, isolated=hungry, inside=hungry, **how)
    pairs = list(zip(times.rounds, energies.rounds, strict=True))
    known = round(share * len(pairs))
    rows = [replace(a, energy=Energy("x", b.samples_ms[0])) for a, b in pairs[:known]]
    return LatencyTable(times.target, {}, [*rows, *(a for a, _ in pairs[known:])])


def energy_of(model: FittedModel) -> FittedModel:
    assert model.energy is not None
    assert isinstance(model.energy, FittedModel)
    return model.energy


@pytest.mark.parametrize("kind", ["lookup", "regression", "posterior"])
@pytest.mark.slow
def test_energy_is_fitted_and_judged_beside_latency(kind: str, macro: SearchSpace, tmp_path: Path) -> None:
    fitted = latency.fit(counted(macro), macro, kind)
    energy = energy_of(fitted)
    assert energy.evaluation["heldout"].mape < 0.01
    arch = macro.architecture((1, 2, 0, 1, 0, 2, 1, 0))
    row = np.array([arch.indices])
    truth = sum(hungry(w) for w in arch.workloads)
    assert energy.predict(macro, row).mean_ms[0] == pytest.approx(truth, rel=0.01), "mJ"
    alone = latency.fit(simulate(macro, calibration=12, heldout=12), macro, kind)
    assert fitted.predict(macro, row).mean_ms == pytest.approx(alone.predict(macro, row).mean_ms)
    latency.save(fitted, tmp_path / "latency.json")
    again = energy_of(latency.load(tmp_path / "latency.json"))
    assert again.predict(macro, row).mean_ms == pytest.approx(energy.predict(macro, row).mean_ms)
    assert again.evaluation == energy.evaluation


def test_posteriors_do_not_care_about_units(macro: SearchSpace) -> None:
    """What was learnt for milliseconds holds for millijoules: a thousand times as much is just that."""
    few = counted(macro, noise=0.02)
    rows = [replace(i, energy=Energy("x", 1000 * i.energy.mj)) for i in few.rounds if i.energy]
    many = LatencyTable(few.target, {}, rows)
    row = np.array([[2] * 8])
    one, other = (energy_of(latency.fit(table, macro)).predict(macro, row) for table in (few, many))
    assert other.mean_ms == pytest.approx(1000 * one.mean_ms, rel=1e-3)
    assert other.std_ms == pytest.approx(1000 * one.std_ms, rel=1e-2)


def test_too_few_energies_are_none(macro: SearchSpace) -> None:
    assert latency.fit(counted(macro, 0.2), macro).energy is None
    assert latency.fit(counted(macro, 0.9), macro).energy is not None
    blocks = len(macro.workloads()) / (len(macro.workloads()) + 24)
    assert latency.fit(counted(macro, 0.9 * blocks), macro, "lookup").energy is None, "it is strict"
    assert latency.fit(simulate(macro, calibration=2, heldout=0), macro).energy is None


def test_a_damaged_model_of_energy_is_refused(macro: SearchSpace) -> None:
    told = latency.to_json(latency.fit(counted(macro), macro, "lookup"))
    with pytest.raises(SchemaMismatch, match="a latency model must be of schema"):
        latency.from_json({**told, "energy": {"schema": "odd"}})


def test_of_several_counters_the_last_one_counts() -> None:
    rows = [
        Round("a", "block", "s", n, (1.0,), (2.0, 2.0), energy=Energy(source, mj, (4.0, 4.0)))
        for n, (source, mj) in enumerate((("old", 9.0), ("new", 3.0), ("new", 3.0)))
    ]
    table = LatencyTable(TARGET, {}, [*rows, Round("b", "block", "s", 0, (1.0,), (2.0, 2.0))])
    assert list(table.energies.measurements) == ["a"]
    assert len(table.energies.rounds) == 2
    assert table.energies.measurements["a"].latency_ms == pytest.approx(3.0)
    assert table.measurements["a"].latency_ms == pytest.approx(1.0)
    assert [Round.from_json(item.to_json()) for item in table.rounds] == list(table.rounds)
    table.add(Round("b", "block", "s", 1, (1.0,), (2.0, 2.0), energy=Energy("new", 5.0, (4.0, 4.0))))
    assert set(table.energies.measurements) == {"a", "b"}, "what is derived is derived anew"

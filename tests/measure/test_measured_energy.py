"""Energy beside latency in a session: the counter is played by the fake agent, at a constant power."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fakes
import pytest

from hwnas.errors import DeviceError, UnstableMeasurement
from hwnas.measure import energy
from hwnas.tables.table import LatencyTable

WATTS = 4.0
COUNTED = replace(fakes.QUICK, energy=True)
DEEDS = {"anchor/1": "2.0 ok", "block0": "1.0 ok", "block1": "5.0 ok"}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FAKE_WATTS", str(WATTS))
    return tmp_path / "table.jsonl"


def test_energies_stand_beside_latencies_in_the_same_rows(path: Path) -> None:
    fakes.profile(path, fakes.make_items(2), deeds=DEEDS, options=COUNTED)
    table = LatencyTable.load(path)
    for key, truth_ms in (("block0", 1.0), ("block1", 5.0)):
        measured = table.energies.measurements[key]
        assert measured.latency_ms == pytest.approx(WATTS * truth_ms, rel=0.03), "in mJ"
        assert measured.interval_ms is not None
        assert measured.interval_ms[0] < measured.latency_ms < measured.interval_ms[1]
    assert table.energies.scale.light_ms == pytest.approx(WATTS * 2.0, rel=0.02)
    one = table.rounds[0].energy
    assert one is not None
    assert (one.source, len(one.anchor_mj), len(one.heavy_mj)) == ("fake", 2, 2)


def test_a_table_without_energy_is_measured_again_and_then_nothing_is_left(path: Path) -> None:
    items = fakes.make_items(2)
    fakes.profile(path, items, deeds=DEEDS)
    assert not LatencyTable.load(path).energies.rounds
    assert fakes.profile(path, items, deeds=DEEDS, options=COUNTED).asked
    assert fakes.profile(path, items, deeds=DEEDS, options=COUNTED).asked == []
    assert fakes.profile(path, items, deeds=DEEDS).asked == []
    table = LatencyTable.load(path)
    assert (len(table.rounds), len(table.energies.rounds)) == (24, 12)


def test_what_is_too_coarse_has_a_latency_and_a_reason_but_no_energy(path: Path) -> None:
    deeds = DEEDS | {"block1": "5.0 coarse"}
    fakes.profile(path, fakes.make_items(2), deeds=deeds, options=COUNTED)
    table = LatencyTable.load(path)
    assert set(table.measurements) == {"block0", "block1"}
    assert set(table.energies.measurements) == {"block0"}
    said = "an energy counter must step 50 times while samples are taken, but fake stepped 1 times in 3"
    reasons = [energy.why_refused(item) for item in table.rounds if item.key == "block1"]
    assert len(reasons) == 6
    assert all(reason.startswith(said) for reason in reasons)


def test_a_coarse_anchor_leaves_all_rows_without(path: Path) -> None:
    fakes.profile(path, fakes.make_items(1), deeds={"heavy/1": "9.0 coarse"}, options=COUNTED)
    table = LatencyTable.load(path)
    assert len(table.rounds) == 6
    assert not table.energies.rounds


def test_without_a_counter_nothing_is_exported_or_measured(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FAKE_WATTS")
    with pytest.raises(
        DeviceError, match=r"the cpu of host must have an energy counter that can be read, but"
    ):
        fakes.profile(path, fakes.make_items(1), options=COUNTED)
    assert not path.exists()
    with pytest.raises(DeviceError, match="nothing was put there"):
        energy.require_counter(fakes.TARGET, {"energy": {"cpu": {"missing": "nothing was put there"}}})
    with pytest.raises(DeviceError, match="the agent of litert there tells of none"):
        energy.require_counter(replace(fakes.TARGET, processor="gpu"), {"energy": {"cpu": {"source": "x"}}})


GOOD = {"source": "x", "uj": 5000, "elapsed_ns": 10**8, "inferences": 10, "steps": 50, "resolution_uj": 9}


def test_what_had_to_wait_for_its_cpu_is_refused() -> None:
    """The counter goes on meanwhile, for whatever else runs there."""
    good = {"energy": {**GOOD, "idle_uw": []}, "threads": 1, "samples_ns": [100, 100], "thread_ns": [95, 99]}
    assert energy.energy_of(good, [(good, good)]).mj == 0.5
    with pytest.raises(UnstableMeasurement, match="which counts all that runs there, but had it for 75% of"):
        energy.energy_of(good, [(good, good | {"thread_ns": [99, 51]})])
    assert energy.energy_of(good | {"threads": 2, "thread_ns": [20, 20]}, [(good, good)]).mj == 0.5


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (None, "must tell the energy that it was asked for"),
        ({**GOOD, "uj": -1, "idle_uw": []}, "must tell the energy that it was asked for"),
        ({**GOOD, "idle_uw": None}, "must tell the energy that it was asked for"),
        ({**GOOD, "steps": 49, "idle_uw": []}, "stepped 49 times in 100 ms"),
        ({**GOOD, "uj": 0, "idle_uw": []}, "must step 50 times"),
        (
            {**GOOD, "idle_uw": [10_000, 60_000]},
            "5 mJ were counted in 100 ms, in which x varies by 5 mJ when",
        ),
    ],
)
def test_what_cannot_be_believed_is_refused(told: object, said: str) -> None:
    good = {"energy": {**GOOD, "idle_uw": [10_000, 59_000]}}
    assert energy.energy_of(good, [(good, good)]).anchor_mj == (0.5, 0.5)
    with pytest.raises(UnstableMeasurement, match=said):
        energy.energy_of({"energy": told}, [(good, good)])

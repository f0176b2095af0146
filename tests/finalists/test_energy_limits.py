"""Energy as a limit: a counter that a thread moves, everything else real; and verdicts on readings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import powercap
import pytest
from finalists_helpers import SPACE, World, constraint, macs, networks, space
from quick_measuring import form
from typer.testing import CliRunner

from hwnas import budget, device, files, finalists, latency, measure
from hwnas.budget import Budget
from hwnas.cli import app
from hwnas.errors import DeviceError, InfeasibleBudget, LatencyModelError
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.finalists.latencies import Posteriors
from hwnas.finalists.reading import EnergyReading, Reading
from hwnas.finalists.refusal import refusal
from hwnas.latency.base import Cost
from hwnas.measure import energy
from hwnas.runs import records
from hwnas.runs.finalists import ChosenEnergy
from hwnas.search.gallery_energy import GalleryEnergy, gallery_energy
from hwnas.search.pick import pick
from hwnas.search.problem import Constraint
from hwnas.search.request import SearchRequest
from hwnas.statistics.verdict import FAIL, NOT_PROVEN, PASS, on_budget
from hwnas.tables.rounds import Energy
from hwnas.tables.table import LatencyTable

TARGET = "host/litert-int8"
STEP_S = 0.0005
OPTIONS = finalists.SearchOptions(
    measuring=form(12),  # of which six must have an energy, whatever else runs here
    gallery_points=0,
    finalists=finalists.FinalistsOptions(
        finalists=2, rounds=1, batch=1, scored=2, sessions=1, most_sessions=1
    ),
)


@pytest.fixture(scope="module")
def tables(tmp_path_factory, warm_processes):
    """The macro space at 8 pixels, measured; of 10 W, so that energies are ten times latencies."""
    folder = tmp_path_factory.mktemp("tables")
    host, options = device.load("host"), form(2, calibration_networks=4, heldout_networks=2)
    path = measure.profile(host, space(), [host.target("litert", "int8")], folder, options)
    table = LatencyTable.load(next(iter(path.values())))
    rounds = [replace(item, energy=counted(item)) for item in table.rounds]
    LatencyTable(table.target, table.environment, rounds, table.notes).save(folder / "litert-int8.jsonl")
    return folder


def counted(item):
    mj = [powercap.WATTS * ms for ms in (item.level_ms, item.anchor_level_ms, item.heavy_level_ms)]
    return Energy("rapl:package-0", mj[0], (mj[1], mj[1]), (mj[2], mj[2]))


@pytest.fixture(autouse=True)
def _busy_machine(monkeypatch):
    """Tests are quick, and do not fail by what else runs here; ``tests/measure`` looks at what is refused."""
    monkeypatch.setattr(energy, "_LEAST_BUSY", 0.0)
    monkeypatch.setattr(energy, "STEPS", 4)
    monkeypatch.setattr(energy, "_LEAST_STEPS", 1)


def search_for(tables, run, *, limit_mj, confidence=0.9, **given):
    request = SearchRequest(
        space=SPACE,
        latencies=(),
        budgets=(),
        oneshot=OneShotConfig(width=0.25, batch_size=32, recalibration_images=64, validation_images=100),
        strategy="random",
        settings={"queries": 4},
        training_steps=2,
        limits={"energy_mj": limit_mj},
        confidence=confidence,
    )
    options = replace(OPTIONS, tables=tables, **given)
    return finalists.search_for(budget.parse([f"{TARGET}=100%"]), request, run, options)


@pytest.fixture(scope="module")
def range_mj(tables):
    model = latency.fit(LatencyTable.load(tables / "litert-int8.jsonl"), space())
    return model.energy.costs(space()).range


@pytest.mark.slow
def test_the_energy_of_what_was_found_is_measured_beside_its_limit(
    tables, range_mj, tmp_path, monkeypatch, warm_processes
):
    limit_mj = 1.5 * range_mj[1]
    with powercap.moving(tmp_path / "powercap", step_s=STEP_S) as root:
        monkeypatch.setenv("HWNAS_POWERCAP", str(root))
        record = search_for(tables, tmp_path / "run", limit_mj=limit_mj)
    found = record.finalists.energy
    assert (found.name, found.asked_mj) == (TARGET, limit_mj)
    ms = record.finalists.targets[0].measured_ms
    assert found.measured_mj > 0.8 * powercap.WATTS * ms, "at least: the counter goes on while others run"
    low, high = found.interval_mj
    expected = PASS if high <= limit_mj else FAIL if low > limit_mj else NOT_PROVEN
    assert found.verdict.word == expected
    assert found.sentence.startswith(f"energy on {TARGET}: at most {limit_mj:.4g} mJ asked, predicted ")
    assert found.sentence.endswith(f"of the limit, {expected}")
    assert "measured" in found.sentence
    told = files.read_json(tmp_path / "run" / "search.json", "record")["promise"]["energy"]
    assert told == found.to_json()
    assert LatencyTable.load(tmp_path / "run" / "finalists" / "host-litert-int8.jsonl").energies.rounds


@pytest.mark.slow
def test_an_energy_that_is_far_from_its_prediction_is_a_warning(
    tables, tmp_path, monkeypatch, warm_processes
):
    """By the table it is a hundredth of what it is."""
    table, wrong = LatencyTable.load(tables / "litert-int8.jsonl"), tmp_path / "wrong"
    rounds = [replace(r, energy=replace(r.energy, mj=r.energy.mj / 100)) for r in table.rounds]
    wrong.mkdir()
    LatencyTable(table.target, table.environment, rounds, table.notes).save(wrong / "litert-int8.jsonl")
    with powercap.moving(tmp_path / "powercap", step_s=STEP_S) as root:
        monkeypatch.setenv("HWNAS_POWERCAP", str(root))
        record = search_for(wrong, tmp_path / "run", limit_mj=1e6)
    found = record.finalists.energy
    assert found.surprise in record.finalists.warnings
    assert "the search chose by a model that is wrong here" in found.surprise


def test_an_energy_near_its_prediction_is_no_surprise():
    def surprise(measured_mj, interval_mj):
        return ChosenEnergy.known(TARGET, None, 2.0, 0.1, measured_mj, interval_mj).surprise

    assert surprise(None, None) == surprise(9.0, None) == ""
    assert surprise(2.35, (2.25, 2.45)) == "", "its interval reaches into three deviations"
    assert surprise(2.45, (2.35, 2.55)).startswith(
        f"energy on {TARGET} was predicted as 2 mJ, 1.7 to 2.3 mJ with 99.7 %, but measured as 2.45 mJ: the"
    )
    assert surprise(1.0, (0.9, 1.1))


@pytest.mark.slow
def test_without_measuring_it_is_said_to_be_predicted(tables, range_mj, tmp_path, warm_processes):
    record = search_for(tables, tmp_path / "run", limit_mj=0.9 * range_mj[1], measure=False)
    found = record.finalists.energy
    assert (found.measured_mj, found.verdict) == (None, None)
    assert found.sentence.endswith("mJ, not measured")
    assert found.predicted_mj < found.asked_mj


@pytest.mark.slow
def test_a_pick_keeps_the_limit_of_its_search(tables, range_mj, tmp_path, warm_processes):
    run, limit_mj = tmp_path / "run", range_mj[0] + 0.6 * (range_mj[1] - range_mj[0])
    even = {"confidence": 0.5}  # no margin: of a table from a busy machine it is wider than the range
    search_for(tables, run, limit_mj=limit_mj, measure=False, gallery_points=4, gallery_each=3, **even)
    searched, gallery = records.search(run), records.gallery(run, "")
    energies = gallery_energy(run, searched, gallery, space())
    kept = [at for at in range(len(gallery.entries)) if energies.keeps(at, 0.5)]
    assert 0 < len(kept) < len(gallery.entries), "the gallery is of the whole range"
    assert all(energies.predicted.mean_ms[at] < limit_mj for at in kept)
    everything = Budget.read("100%", TARGET)
    record = pick(run, [everything], tmp_path / "picked", **even)
    assert record.quality == max(gallery.entries[at].quality for at in kept)
    assert records.search(tmp_path / "picked").energy == record.energy
    assert (record.energy.name, record.energy.asked_mj) == (TARGET, limit_mj)
    assert record.energy.sentence.endswith("mJ, not measured")
    done = CliRunner(env={"COLUMNS": "500"}).invoke(
        app,
        [
            "pick",
            str(run),
            "--device",
            f"{TARGET}=100%",
            "--out",
            str(tmp_path / "typed"),
            "--confidence",
            "0.5",
        ],
    )
    assert record.energy.sentence in done.output
    files.write_json(
        run / "search.json", files.read_json(run / "search.json", "") | {"limits": {"energy_mj": 1e-6}}
    )
    with pytest.raises(InfeasibleBudget, match=r"limit on energy must be kept as well, .* mJ on host/litert"):
        pick(run, [everything], tmp_path / "none", **even)
    assert not (tmp_path / "none" / "search.json").exists()


def test_what_was_measured_of_a_picked_network_has_a_verdict():
    measured = {0: {"mj": 3.0, "low_mj": 2.9, "high_mj": 3.1, "carried": True}}
    measured[1] = measured[0] | {"carried": False}
    known = GalleryEnergy(
        TARGET, 3.05, latency.Prediction(np.array([2.0, 2.0]), np.array([0.1, 0.1])), measured
    )
    assert known.needs_mj(0, 0.9) == 3.1
    assert not known.keeps(0, 0.9)
    assert known.needs_mj(1, 0.9) == pytest.approx(2.13, abs=0.01), "what carries no interval is predicted"
    assert known.of(0).verdict.word == NOT_PROVEN
    assert "energy may be up to 3.10 mJ" in known.of(0).verdict.reasons[0]


@pytest.mark.slow
def test_a_search_is_refused_before_it_begins_where_nothing_counts_any_more(
    tables, range_mj, tmp_path, monkeypatch, warm_processes
):
    monkeypatch.setenv("HWNAS_POWERCAP", str(tmp_path))
    with pytest.raises(DeviceError, match="the cpu of host must have an energy counter that can be read"):
        search_for(tables, tmp_path / "run", limit_mj=range_mj[1])
    with pytest.raises(InfeasibleBudget, match=r"a limit must be at least that of the smallest .* mJ"):
        search_for(tables, tmp_path / "other", limit_mj=0.5 * range_mj[0], measure=False)


def test_without_energies_in_the_table_it_is_said_how_to_get_them(tables, tmp_path):
    table = LatencyTable.load(tables / "litert-int8.jsonl")
    plain = LatencyTable(
        table.target, table.environment, [replace(r, energy=None) for r in table.rounds], table.notes
    )
    plain.save(tmp_path / "litert-int8.jsonl")
    with pytest.raises(LatencyModelError, match=r"`hwnas profile .* --energy` counts it where the"):
        search_for(tmp_path, tmp_path / "run", limit_mj=1.0, measure=False)


def test_the_verb_says_what_is_missing_and_measures_nothing(tmp_path, monkeypatch, warm_processes):
    monkeypatch.setenv("HWNAS_POWERCAP", str(tmp_path / "none"))
    words = ["profile", "--energy", "--space", SPACE, "--precision", "int8", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, DeviceError)
    assert "none has no intel-rapl:* that is a package of a processor" in str(done.exception)
    assert not list((tmp_path / "out").glob("*.jsonl"))


@pytest.mark.parametrize(
    ("reading", "word"),
    [
        (EnergyReading(3.0, 2.9, 3.1, True), PASS),
        (EnergyReading(3.4, 3.3, 3.6, True), NOT_PROVEN),
        (EnergyReading(4.0, 3.8, 4.2, True), FAIL),
        (EnergyReading(3.0, 2.9, 3.1, False), NOT_PROVEN),
        (None, NOT_PROVEN),
    ],
)
def test_a_limit_is_kept_only_where_the_whole_interval_is(reading, word):
    world, first = World(macs()), constraint(0.9)
    nothing = Cost(0.0, tuple(np.zeros_like(c) for c in macs().choices), "mJ")
    limit = Constraint(Budget("energy_mj", 3.5, "mJ"), nothing)
    there = Posteriors(space(), [replace(first, counts_energy=True)], 0.9, [limit])
    indices = min(networks(), key=world.ms)
    there.learn({indices: (replace(world.reading(indices, 0, 3), energy=reading),)})
    assert there.verdict(indices).word == word
    if reading is not None:
        interval = (reading.low_mj, reading.high_mj) if reading.carried else None
        assert reading.on(3.5) == on_budget(reading.mj, interval, 3.5, unit="mJ")
        assert not any("ms" in said.split() or "latency" in said for said in reading.on(3.5).reasons)
    if word == FAIL:
        said = str(refusal(there))
        assert "keeps 3.5 mJ of energy (the least that was measured is 4 mJ)" in said
        assert said.endswith(": raise the limit or shrink the space")
    again = Reading.from_json({"ms": 1.0, "low_ms": 0.9, "high_ms": 1.1, "sessions": 1})
    assert again.energy is None, "of an earlier version"

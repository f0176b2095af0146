"""A limit on energy is proven of what ships, or it is said why not; a process moves the counter."""

from __future__ import annotations

import json

import powercap
import pytest
from quick_measuring import form
from shipping_helpers import leave_one

from hwnas import device, release
from hwnas.cli._verifications import show_verifications
from hwnas.measure import energy
from hwnas.release.verification import Verification
from hwnas.report import _budgets, _record
from hwnas.runs.energy import EnergyCheck
from hwnas.runs.finalists import ChosenEnergy
from hwnas.statistics.verdict import ENERGY, FAIL, NOT_PROVEN, on_budget
from hwnas.verify import verify

pytestmark = pytest.mark.usefixtures("warm_processes")
HOST, NAME = device.load("host"), "litert-int8"
ROUNDS = form(8)


@pytest.fixture(autouse=True)
def _busy_machine(monkeypatch):
    """As in the tests of finalists: quick, and whatever else runs here."""
    monkeypatch.setattr(energy, "_LEAST_BUSY", 0.0)
    monkeypatch.setattr(energy, "STEPS", 4)
    monkeypatch.setattr(energy, "_LEAST_STEPS", 1)


@pytest.fixture
def shipped(exported_run):
    """One variant, whose budget is the one that there is."""
    leave_one(exported_run / "export", NAME)
    return exported_run / "export"


def limit(shipped, mj: float | None) -> None:
    """Promise so much, as an export of a search with a limit does."""
    path = shipped / release.MANIFEST
    asked = ChosenEnergy.known(f"host/{NAME}", mj, 2.0, 0.1, None, None)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"energy": asked.to_json()}))


def verified(shipped, root, monkeypatch, **given):
    monkeypatch.setenv("HWNAS_POWERCAP", str(root))
    return verify(shipped, HOST, None, options=ROUNDS, **given)


@pytest.mark.slow
def test_what_ships_is_counted_and_judged_by_its_interval(shipped, tmp_path, monkeypatch, capsys):
    limit(shipped, 1e-3)
    with powercap.moving(tmp_path / "powercap", step_s=0.0005) as root:
        found = verified(shipped, root, monkeypatch)
    (variant,) = found.variants
    counted = variant.energy
    assert (counted.limit_mj, counted.predicted_mj) == (1e-3, 2.0)
    assert counted.measured_mj > 0.5 * powercap.WATTS * variant.measured_ms, "watts times milliseconds"
    said = on_budget(counted.measured_mj, counted.interval_mj, 1e-3, variant.session, unit="mJ")
    assert variant.checks[ENERGY] == said
    assert said.word == FAIL
    assert found.verdict.word == FAIL
    kept = json.loads((shipped / release.MANIFEST).read_text())
    assert Verification.from_json(kept["verification"]) == found
    assert kept["energy"]["asked_mj"] == 1e-3, "the promise stays"
    show_verifications((found,))
    printed = capsys.readouterr().out
    assert f"{NAME}: energy: at most 0.001 mJ asked, predicted 2 mJ, measured " in printed
    assert "energy must be at most 0.00100 mJ, but is at least" in printed
    assert f"What ships, {NAME} on host: {counted.said}." in _budgets.headline(_record.read(shipped.parent))


@pytest.mark.slow
@pytest.mark.parametrize("is_coarse", [False, True])
def test_a_counter_that_is_missing_or_too_coarse_is_not_proven_and_takes_no_latency(
    shipped, tmp_path, monkeypatch, is_coarse
):
    limit(shipped, 1e6)
    if is_coarse:
        monkeypatch.setattr(energy, "_LEAST_STEPS", 10**9)
        with powercap.moving(tmp_path / "powercap", step_s=0.0005) as root:
            found = verified(shipped, root, monkeypatch)
    else:
        found = verified(shipped, tmp_path / "none", monkeypatch)
    (variant,) = found.variants
    assert variant.measured_ms > 0
    assert variant.energy == EnergyCheck(1e6, 2.0)
    (said,) = variant.checks[ENERGY].reasons
    why = "an energy counter must step" if is_coarse else "must have an energy counter that can be read"
    assert said.startswith(f"the limit of 1e+06 mJ on host/{NAME} cannot be proven: ")
    assert why in said
    assert variant.checks[ENERGY].word == NOT_PROVEN
    assert found.verdict.word != "PASS"


@pytest.mark.parametrize("asked", [None, "elsewhere"])
def test_where_no_limit_is_of_the_file_nothing_is_counted(shipped, tmp_path, monkeypatch, asked):
    limit(shipped, 1.0 if asked else None)
    if asked:
        path = shipped / release.MANIFEST
        manifest = json.loads(path.read_text())
        manifest["energy"]["name"] = "pixel/litert-int8"
        path.write_text(json.dumps(manifest))
    found = verified(shipped, tmp_path / "none", monkeypatch)
    assert found.variants[0].energy is None
    assert ENERGY not in found.variants[0].checks
    assert "energy" not in found.to_json()["variants"][0]


def test_the_promise_of_a_search_goes_into_the_manifest(exported_run):
    path = exported_run / "search.json"
    asked = ChosenEnergy.known(f"host/{NAME}", 3.5, 3.0, 0.1, 3.1, (3.0, 3.2))
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"picked": True, "extra": {"energy": asked.to_json()}}))
    again = release.export_run(
        exported_run, release.load_data(json.loads((exported_run / "train.json").read_text())["data"])
    )
    assert release.read_manifest(again.parent).energy == asked
    assert asked.sentence.endswith("measured 3.1 ± 0.1 mJ: 89% of the limit, PASS")

"""What agents say of energy, with counters that a thread moves in place of the kernel's (``powercap``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import powercap
import pytest
from test_agents import RUNTIMES, Models, job, run

from hwnas import files

STEPS = 400  # of a millisecond: so many that it hardly matters when one comes late


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWNAS_POWERCAP", str(tmp_path / "powercap"))
    return tmp_path / "powercap"


def watts(energy: dict[str, Any]) -> float:
    return energy["uj"] * 1e3 / energy["elapsed_ns"]


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_span_of_the_samples_is_counted_and_long_enough(runtime: str, models: Models, root: Path) -> None:
    model = models[runtime, "int8"]
    with powercap.moving(root):
        hello, counted, plain, _ = run(runtime, job(model, energy_steps=STEPS), job(model, job="plain"))
    assert hello["hello"]["energy"]["cpu"] == {"source": "rapl:package-0"}
    energy = counted["energy"]
    assert energy["source"] == "rapl:package-0"
    assert energy["inferences"] == 3 * counted["inner"]
    assert energy["steps"] >= 0.8 * STEPS, "it steps about once a millisecond"
    assert sum(counted["samples_ns"]) <= energy["elapsed_ns"]
    assert watts(energy) == pytest.approx(powercap.WATTS, rel=0.1)
    assert len(energy["idle_uw"]) == 5
    assert "energy" not in plain, "it costs nothing where nobody asks"
    assert sum(plain["samples_ns"]) < sum(counted["samples_ns"])


def test_packages_are_summed_and_nothing_in_them_is_counted_twice(models: Models, root: Path) -> None:
    with powercap.moving(root, ("package-0", "package-1")):
        _, reply, _ = run("litert", job(models["litert", "int8"], energy_steps=STEPS))
    assert reply["energy"]["source"] == "rapl:package-0+package-1"
    assert watts(reply["energy"]) == pytest.approx(2 * powercap.WATTS, rel=0.1)


def test_a_counter_that_begins_anew_is_counted_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(files.shipped("profilers")))
    import pyagent

    with powercap.moving(tmp_path / "powercap", step_s=60, range_uj=1_000_000) as root:
        counter, file = pyagent.Rapl(root), root / "intel-rapl:0" / "energy_uj"
        found = []
        for shown in (200_000, 999_000, 1_000, 1_000, 500):
            file.write_text(str(shown))
            found.append(counter.read_uj())
    assert [value - found[0] for value in found] == [0, 799_000, 801_000, 801_000, 1_800_500]
    (root / "intel-rapl:0" / "max_energy_range_uj").unlink()
    counter = pyagent.Rapl(root)
    file.write_text("1")
    with pytest.raises(pyagent.CounterError, match="began anew, and does not say at what"):
        counter.read_uj()


def test_a_coarse_counter_makes_spans_longer(models: Models, root: Path) -> None:
    with powercap.moving(root, step_s=0.02):
        _, reply, _ = run("litert", job(models["litert", "int8"], energy_steps=20))
    assert reply["energy"]["elapsed_ns"] > 0.3e9
    assert reply["energy"]["resolution_uj"] >= 0.9 * 0.02 * powercap.WATTS * 1e6


def test_what_does_not_step_has_no_steps(models: Models, root: Path) -> None:
    with powercap.moving(root, step_s=60):
        _, reply, _ = run("litert", job(models["litert", "int8"], energy_steps=STEPS))
    assert (reply["energy"]["steps"], reply["energy"]["uj"], reply["energy"]["idle_uw"]) == (0, 0, [])


def test_without_a_counter_it_is_said_what_was_looked_for(models: Models, root: Path) -> None:
    hello, reply, _ = run("litert", job(models["litert", "int8"], energy_steps=STEPS))
    said = f"{root} has no intel-rapl:* that is a package of a processor"
    assert hello["hello"]["energy"]["cpu"] == {"missing": said}
    assert reply["error"] == f"energy must be counted, but {said}"
    with powercap.moving(root):
        (root / "intel-rapl:0" / "energy_uj").unlink()
        hello, _ = run("litert")
    assert hello["hello"]["energy"]["cpu"]["missing"] == (
        f"{root / 'intel-rapl:0' / 'energy_uj'} cannot be read (No such file or directory)"
    )

"""A new device from a few whole networks."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import fakes
import pytest
from click.testing import Result
from typer.testing import CliRunner

from hwnas import device, latency, spaces
from hwnas.cli import app
from hwnas.device import Target
from hwnas.errors import HwnasError, LatencyModelError
from hwnas.measure.new_device import profile_few
from hwnas.tables.table import LatencyTable, Round
from hwnas.transport.local import LocalTransport

SPACE = "macro-r16-c4"


def few(folder: Path, count: int, *arguments: str) -> Result:
    target = ["--space", SPACE, "--runtime", "litert", "--precision", "fp32", "--few", str(count)]
    quick = ["--rounds", "3", "--max-rounds", "3", "--samples", "3"]
    runner = CliRunner(env={"XDG_DATA_HOME": str(folder)})
    return runner.invoke(app, ["profile", *target, *quick, *arguments])


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """A user's data folder that holds the table of another device, whose blocks cost as their MACs do."""
    space = spaces.load(SPACE)
    table = LatencyTable(Target("another", "litert", "fp32"), {})
    for number, workload in enumerate(space.workloads()):
        table.add(Round(workload.key(), "block", "s", number, (1e-3 + workload.macs * 1e-8,) * 3))
    table.save(tmp_path / "hwnas" / "tables" / "another" / "litert-fp32.jsonl")
    return tmp_path


@pytest.mark.slow
@pytest.mark.usefixtures("warm_processes", "hurried")
def test_a_few_networks_make_a_model_of_a_new_device(known: Path) -> None:
    """Real networks on this machine's real runtime."""
    done = few(known, 5, "--json")
    assert done.exit_code == 0, done.stderr
    (said,) = json.loads(done.stdout)["models"]
    assert said["known"] == ["another/litert-fp32"]
    assert said["evaluation"]["leave-one-out"]["networks"] == 5
    table = LatencyTable.load(Path(said["table"]))
    assert len(table.of_kind("calibration")) == 5
    assert table.of_kind("block") == {}
    model, space = latency.load(Path(said["model"])), spaces.load(SPACE)
    low, high = model.costs(space).range
    measured = [m.latency_ms for m in table.measurements.values()]
    assert 0 < low < min(measured) * 1.5
    assert high > max(measured) / 1.5
    before = Path(said["table"]).read_bytes()
    assert few(known, 5).exit_code == 0
    assert Path(said["table"]).read_bytes() == before, "what was measured is not measured again"


@pytest.mark.slow
def test_time_that_runs_out_is_said_and_the_same_goes_on(
    known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(known))
    running = sys.modules["hwnas.measure.profiling"]
    monkeypatch.setattr(running, "Exporter", lambda _: fakes.FakeExporter())
    monkeypatch.setattr(running, "connect", lambda _: LocalTransport(fakes.agents(known / "agents")))
    space, target, host = spaces.load(SPACE), Target("host", "litert", "fp32"), device.load("host")
    hurried = replace(fakes.QUICK, max_minutes=1e-9)
    for _ in range(2):
        with pytest.raises(LatencyModelError, match=r"\(max_minutes 1e-09\) ran out after 0: ") as caught:
            profile_few(host, space, target, 5, known, hurried)
        assert "exporting the models alone took up to 0.1 minutes, and would again: give more" in str(
            caught.value
        )
        assert "start again" not in str(caught.value), "that would never help"
    found = profile_few(host, space, target, 5, known, replace(hurried, max_minutes=10))
    assert found.missing == 0
    assert found.errors["leave-one-out"]["networks"] == 5


@pytest.mark.slow
def test_more_networks_than_the_space_holds_are_refused(known: Path) -> None:
    done = few(known, 7000)
    assert isinstance(done.exception, HwnasError)
    assert "networks to choose must be within" in str(done.exception)

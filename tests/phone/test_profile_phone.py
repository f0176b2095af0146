"""The whole way as a user goes it: ``hwnas profile --device`` over a test phone's daemon."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

from hwnas import device as devices
from hwnas import files, profile, spaces
from hwnas.profile import ProfileOptions
from hwnas.table import LatencyTable

HWNAS = Path(sys.executable).with_name("hwnas")


@pytest.fixture
def quick():
    return ProfileOptions(rounds=1, max_rounds=1, calibration_networks=1, heldout_networks=1, workers=2)


def test_a_small_space_is_profiled_on_a_phone(new_phone, tcp, bundle, tmp_path, quick):
    space = spaces.load("macro", resolution=8)
    device = new_phone().device()
    target = device.target("litert", "int8")
    paths = profile.run(device, space, [target], tmp_path, quick)
    table = LatencyTable.load(paths[target])
    assert set(table.of_kind("block")) == {workload.key() for workload in space.workloads()}
    assert table.environment["cpu_model"] == "Hwnas Test Phone"
    assert table.environment["device"]["ro.product.model"] == "Test Phone"
    assert device.options["serial"] not in paths[target].read_text(), "no serial number is written down"
    spans = [note.facts for note in table.notes if note.moment == "span"]
    assert spans
    for span in spans:
        assert span["phone"]["battery_percent"] == span["phone_before"]["battery_percent"] == 83
        assert "thermal_status" in span["phone"]
    assert all("throttling" in item.conditions for item in table.rounds), "the phone's conditions are kept"
    before = paths[target].read_bytes()
    profile.run(device, space, [target], tmp_path, quick)
    assert paths[target].read_bytes() == before, "asked again, it measures nothing"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--agent something --agent-path x", "must be benchmark_model"),
        ("--agent benchmark_model", "come with --agent-path"),
        ("--agent-path x", "come with --agent-path"),
        ("--agent benchmark_model --agent-path /nowhere", "/nowhere is not a file"),
    ],
)
def test_agents_that_make_no_sense_are_refused(words, message):
    done = subprocess.run([HWNAS, "profile", *words.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert message in " ".join(done.stderr.split())


@pytest.fixture
def command(monkeypatch, tmp_path, cache, bundle):
    """The command with a user's own descriptor of the test phone."""
    for name in ("CONFIG", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    (tmp_path / "CACHE").mkdir()
    (tmp_path / "CACHE" / "hwnas").symlink_to(cache)

    def run(phone, back_end, *words):
        text = (
            f'name = "testphone"\ntitle = "A phone for tests"\ntransport = "adb"\n'
            f'[options]\nfolder = "{phone.folder}"\nback_end = "{back_end}"\n'
        )
        files.write_atomic(tmp_path / "CONFIG" / "hwnas" / "devices" / "testphone.toml", text)
        done = subprocess.run([HWNAS, "profile", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.slow
def test_the_macro_space_agrees_with_the_hosts_own_agent(new_phone, back_end, command, tmp_path):
    """The same runtime, once through ADB in C, once locally in Python: within 5 % in the median."""
    phone = new_phone()
    common = "--space macro --precision int8 --rounds 5 --max-rounds 9"
    common += " --calibration-networks 4 --heldout-networks 2"
    over_adb = f"{common} --device testphone --serial {phone.serial} --out {tmp_path}/phone".split()
    command(phone, back_end, *over_adb)
    command(phone, back_end, *f"{common} --runtime litert --out {tmp_path}/host".split())
    remote = LatencyTable.load(tmp_path / "phone" / "litert-int8.jsonl")
    local = LatencyTable.load(tmp_path / "host" / "litert-int8.jsonl")
    space = spaces.load("macro")
    assert set(remote.measurements) == set(local.measurements)
    assert set(remote.of_kind("block")) == {workload.key() for workload in space.workloads()}
    assert remote.environment["library_sha256"] != ""
    off = [abs(m.latency_ms / local.latency_ms(key) - 1) for key, m in remote.measurements.items()]
    assert median(off) <= 0.05, sorted(off)


def test_the_host_keeps_its_descriptor():
    host = devices.load("host")
    assert host.with_options(serial=None) is host
    assert host.with_options(serial="x").options == {"serial": "x"}

"""The whole way as a user goes it: ``hwnas profile --device`` over a test phone's daemon."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest

from hwnas import device as devices
from hwnas import files, measure, spaces
from hwnas.cli.profile import _summary as profile_summary
from hwnas.measure import ProfileOptions
from hwnas.tables.table import LatencyTable
from hwnas.transport import _bundle

pytestmark = pytest.mark.usefixtures("warm_processes")
HWNAS = Path(sys.executable).with_name("hwnas")
WIDE = {**os.environ, "COLUMNS": "500"}


@pytest.fixture
def quick():
    return ProfileOptions(
        rounds=2, max_rounds=2, calibration_networks=1, heldout_networks=1, pool="processes:2"
    )


def test_a_small_space_is_profiled_on_a_phone(new_phone, tcp, bundle, tmp_path, quick):
    space = spaces.load("macro", resolution=8)
    device = new_phone().device(op_profile=1)
    target = device.target("litert", "int8")
    paths = measure.profile(device, space, [target], tmp_path, quick)
    table = LatencyTable.load(paths[target])
    assert set(table.of_kind("block")) == {workload.key() for workload in space.workloads()}
    assert table.environment["cpu_model"] == "Hwnas Test Phone"
    assert table.environment["device"]["ro.product.model"] == "Test Phone"
    assert device.options["serial"] not in paths[target].read_text(), "no serial number is written down"
    spans = [note.facts for note in table.notes if note.moment == "span"]
    assert len(spans) == quick.rounds, "a phone is looked at between two rounds"
    assert all(span["phone_before"]["gate"]["open"] for span in spans)
    for span in spans:
        assert span["phone"]["battery_percent"] == span["phone_before"]["battery_percent"] == 83
        assert "thermal_status" in span["phone"]
    assert all("throttling" in item.conditions for item in table.rounds), "the phone's conditions are kept"
    assert all(item.conditions["op_profile"]["operations"] for item in table.rounds)
    before = paths[target].read_bytes()
    measure.profile(device, space, [target], tmp_path, quick)
    assert paths[target].read_bytes() == before, "asked again, it measures nothing"


@pytest.mark.slow
@pytest.mark.parametrize("bytes_a_cut", [4_000, 25_000])
@pytest.mark.parametrize("back_end", ["tcp", "adb"])
def test_a_space_is_profiled_over_a_link_that_breaks_all_the_time(
    request, new_phone, brittle, back_end, bundle, tmp_path, quick, bytes_a_cut
):
    """Over an intact link first: what is on the phone then need not pass again, but for some small models."""
    request.getfixturevalue(back_end)
    space, phone = spaces.load("macro", resolution=8), new_phone()
    link = brittle(phone.port)
    device = phone.device(back_end, serial=link.address)
    target = device.target("litert", "int8")
    intact = LatencyTable.load(measure.profile(device, space, [target], tmp_path / "intact", quick)[target])
    [end] = [note.facts for note in intact.notes if note.moment == "end"]
    assert (end["losses"], end["lost_s"]) == (0, 0)
    models = sorted((phone.folder / "models").iterdir(), key=lambda path: path.stat().st_size)
    for path in models[:3]:
        path.unlink()
    link.bytes_a_cut, began = bytes_a_cut, time.monotonic()
    phone.stop()  # the connection that the adb program keeps
    phone.start()
    path = measure.profile(device, space, [target], tmp_path / "broken", quick)[target]
    lasted_s = time.monotonic() - began
    broken = LatencyTable.load(path)
    rows = [sorted((item.key, item.number) for item in table.rounds) for table in (intact, broken)]
    assert rows[0] == rows[1], "no row is lost, and none is doubled"
    assert not [item.failed for item in broken.rounds if item.failed]
    assert sorted(left.name for left in models[0].parent.iterdir()) == sorted(left.name for left in models)
    [end] = [note.facts for note in broken.notes if note.moment == "end"]
    assert 0 < end["losses"] <= link.cuts + 1
    assert back_end == "adb" or link.cuts - end["losses"] < 5, "all but those of cleaning up"
    assert 0 < end["lost_s"] < lasted_s
    said = f"the link was lost {end['losses']} times, for {end['lost_s']:.1f} s"
    command = [HWNAS, "table", "show", path]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=WIDE)
    assert said in shown.stdout
    assert said in next(iter(profile_summary(target, path)["sessions"].values()))


def test_a_link_that_carries_nothing_is_one_sentence(new_phone, brittle, tcp, tmp_path):
    phone = new_phone()
    link = brittle(phone.port, 500)
    text = (
        'name = "testphone"\ntitle = "A phone for tests"\ntransport = "adb"\n'
        f'[options]\nfolder = "{phone.folder}"\nback_end = "tcp"\nserial = "{link.address}"\n'
    )
    files.write_atomic(tmp_path / "config" / "hwnas" / "devices" / "testphone.toml", text)
    command = [HWNAS, "profile", "--device", "testphone", "--out", str(tmp_path / "out")]
    environment = {**WIDE, "XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert "was lost 12 times in a row" in said
    assert "try another cable or port" in said
    assert "Traceback" not in said
    assert not list(tmp_path.glob("out/*.jsonl"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("--agent something --agent-path x", 2, "must be benchmark_model"),
        ("--agent benchmark_model", 2, "come with --agent-path"),
        ("--agent-path x", 2, "come with --agent-path"),
        ("--agent benchmark_model --agent-path /nowhere", 1, "/nowhere is not a file"),
    ],
)
def test_agents_that_make_no_sense_are_refused(words, code, message):
    command = [HWNAS, "profile", "--device", "android", *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=WIDE)
    assert done.returncode == code
    assert message in " ".join(done.stderr.split())


@pytest.fixture
def command(monkeypatch, tmp_path, cross_archive):
    """The command with a user's own descriptor of the test phone, and the bundle with its own loader."""
    for name in ("CONFIG", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    archive = cross_archive(_bundle.ARCHITECTURES[os.uname().machine])
    (tmp_path / "CACHE" / "hwnas" / "bundles").mkdir(parents=True)
    shutil.copy(archive, tmp_path / "CACHE" / "hwnas" / "bundles")

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


ONE_PHONE = """
import sys
from pathlib import Path
from hwnas import device, files, profile, spaces

described, out, cache = map(Path, sys.argv[1:])
files.user_cache = lambda: cache
phone = device.read(described)
options = profile.ProfileOptions(rounds=3, max_rounds=3, calibration_networks=1, heldout_networks=1)
profile.run(phone, spaces.load("macro", resolution=8), [phone.target("litert", "int8")], out, options)
"""


@pytest.mark.slow
def test_two_phones_are_profiled_at_once(new_phone, back_end, bundle, tmp_path):
    """One process each; neither notices the other."""
    phones = [new_phone(), new_phone()]
    running = []
    for number, phone in enumerate(phones):
        lines = [f"{key} = {json.dumps(value)}" for key, value in phone.device(back_end).options.items()]
        descriptor = tmp_path / f"phone{number}.toml"
        descriptor.write_text(
            f'name = "phone{number}"\ntitle = "x"\ntransport = "adb"\n[options]\n' + "\n".join(lines)
        )
        words = [sys.executable, "-c", ONE_PHONE, str(descriptor), str(tmp_path / f"out{number}")]
        running.append(subprocess.Popen([*words, str(files.user_cache())], stderr=subprocess.PIPE, text=True))
    for process in running:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    tables = [LatencyTable.load(tmp_path / f"out{n}" / "litert-int8.jsonl") for n in range(2)]
    assert set(tables[0].measurements) == set(tables[1].measurements)
    spans = [[r.conditions["start_ns"] for r in table.rounds] for table in tables]
    assert max(map(min, spans)) < min(map(max, spans)), "they were measured at the same time"


@pytest.mark.slow
def test_benchmark_model_makes_a_table_of_aggregated_rows(new_phone, tcp, tmp_path, quick):
    """A stand-in that prints as the program does: the larger the model, the longer it says that it took."""
    program = tmp_path / "benchmark_model"
    program.write_text(
        "#!/bin/sh\nfor word; do case $word in --graph=*) file=${word#--graph=};; esac; done\n"
        "us=$(wc -c <$file)\n"
        "echo 'INFO: Explicitly applied GPU delegate, and the model graph will be completely executed by the "
        "delegate.'\n"
        'echo "INFO: count=50 first=$us curr=$us min=$us max=$us avg=$us std=3 p5=$us median=$us p95=$us"\n'
        'echo "INFO: Inference timings in us: Init: 5579, First inference: $us, Warmup (avg): $us, '
        'Inference (avg): $us"\n'
    )
    device = replace(new_phone().device(agent_path=str(program)), processor="gpu")
    target = device.target("litert", "fp32")
    space = spaces.load("macro", resolution=8)
    table = LatencyTable.load(measure.profile(device, space, [target], tmp_path / "out", quick)[target])
    assert set(table.of_kind("block")) == {workload.key() for workload in space.workloads()}
    assert table.target.processor == "gpu"
    assert table.environment["agent"] == "benchmark_model"
    assert all(item.conditions["aggregated"]["statistic"] == "median" for item in table.rounds)
    assert all(len(item.samples_ms) == 1 for item in table.rounds)


def test_the_host_keeps_its_descriptor():
    host = devices.load("host")
    assert host.with_options(serial=None) is host
    assert host.with_options(serial="x").options == {"serial": "x"}

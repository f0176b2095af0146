"""What goes wrong with agents, disks and processes costs one row at most, and never a finished one."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import fakes
import pytest

from hwnas.device import Target
from hwnas.errors import AgentError, DeviceError, SchemaMismatch, TableError
from hwnas.measure.engine import greet
from hwnas.measure.options import ProfileOptions
from hwnas.measure.store import TableStore
from hwnas.tables.table import LatencyTable
from hwnas.transport import Transport

HERE = Path(__file__).parent


def pairs(path: Path) -> Counter[tuple[str, int]]:
    """How often each (key, round) stands in a table."""
    return Counter((r.key, r.number) for r in LatencyTable.load(path).rounds if not r.failed)


def start(path: Path, items: int, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(HERE / "profile_and_die.py"), str(path), str(items)],
        env=os.environ | {"PYTHONPATH": str(HERE)} | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kill_and_resume(path: Path, kills: int, seed: int) -> None:
    """Kill a run again and again; what was finished before each kill must be there after it."""
    rng = random.Random(seed)
    finished: Counter[tuple[str, int]] = Counter()
    for _ in range(kills):
        process = start(path, 40, FAKE_SLEEP="0.002")
        time.sleep(rng.uniform(0.2, 1.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if path.exists() and path.stat().st_size:
            now = pairs(path)
            assert not finished - now, "a finished row was lost"
            assert set(now.values()) <= {1}, "a row is there twice"
            finished = now
    assert start(path, 40).wait() == 0


def assert_whole(path: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole" / "table.jsonl"
    fakes.profile(whole, fakes.make_items(40))
    assert pairs(path) == pairs(whole)


def test_a_killed_run_loses_and_doubles_nothing(tmp_path: Path) -> None:
    path = tmp_path / "killed" / "table.jsonl"
    kill_and_resume(path, kills=4, seed=0)
    assert_whole(path, tmp_path)


@pytest.mark.slow
def test_fifty_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    for seed in range(10):
        path = tmp_path / str(seed) / "table.jsonl"
        kill_and_resume(path, kills=5, seed=100 + seed)
        assert_whole(path, tmp_path / str(seed))


def test_a_killed_run_leaves_no_agent_behind(tmp_path: Path) -> None:
    from hwnas import files

    real = fakes.agents(tmp_path / "agents") / "litert" / "agent.py"
    pid_file = tmp_path / "pid"
    real.write_text(
        "import os, sys, time\nfrom pathlib import Path\n"
        f"sys.path.append({str(files.shipped('profilers'))!r})\n"
        "import pyagent\n"
        "pyagent._watch_lifeline()\n"
        f"Path({str(pid_file)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    code = (
        "from pathlib import Path\nfrom hwnas.transport.local import LocalTransport\n"
        f"list(LocalTransport(Path({str(tmp_path / 'agents')!r})).run('litert', [], silence_s=60))"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    wait_until(lambda: pid_file.exists() and pid_file.read_text() != "")
    process.kill()
    process.wait()
    pid = int(pid_file.read_text())
    wait_until(lambda: not is_running(pid))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("die", "out of memory, or so"),
        ("hang", "silent"),
        ("garbage", "core dumped"),
        ("nonsense", "positive number"),
        ("error", "load: no such operator"),
    ],
)
def test_what_goes_wrong_twice_is_one_failed_row(tmp_path: Path, deed: str, reason: str) -> None:
    path = tmp_path / "table.jsonl"
    options = replace(fakes.QUICK, silence_s=3.0) if deed == "hang" else fakes.QUICK
    fakes.profile(path, fakes.make_items(5), deeds={"block2": f"1.0 {deed}"}, options=options)
    table = LatencyTable.load(path)
    failed = [r for r in table.rounds if r.failed]
    assert [r.key for r in failed] == ["block2"]
    assert reason in failed[0].failed
    assert set(table.measurements) == {"block0", "block1", "block3", "block4"}
    assert all(len(m.rounds) == fakes.QUICK.rounds for m in table.measurements.values())


@pytest.mark.parametrize("deed", ["die", "garbage", "nonsense", "error"])
def test_what_goes_wrong_once_costs_nothing(tmp_path: Path, deed: str) -> None:
    path = tmp_path / "table.jsonl"
    deeds = {"block2": f"1.0 once-{deed}:{tmp_path / 'done'}"}
    fakes.profile(path, fakes.make_items(5), deeds=deeds)
    assert (tmp_path / "done").exists()
    assert not [r for r in LatencyTable.load(path).rounds if r.failed]
    assert pairs(path) == Counter((f"block{i}", n) for i in range(5) for n in range(6))


def test_an_anchor_that_fails_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="the anchor must run"):
        fakes.profile(tmp_path / "table.jsonl", fakes.make_items(2), deeds={"anchor/1": "1.0 die"})


def test_an_agent_that_cannot_start_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakes, "FAKE_AGENT", tmp_path / "broken.py")
    (tmp_path / "broken.py").write_text("import a_package_that_is_not_there\n")
    with pytest.raises(AgentError, match="a_package_that_is_not_there"):
        fakes.profile(tmp_path / "table.jsonl", fakes.make_items(2))
    assert not (tmp_path / "table.jsonl").exists()


def test_failed_rows_are_not_tried_again_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    fakes.profile(path, fakes.make_items(3), deeds={"block1": "1.0 error"})
    assert fakes.profile(path, fakes.make_items(3)).asked == []
    again = fakes.profile(path, fakes.make_items(3), options=replace(fakes.QUICK, retry_failed=True))
    assert again.asked == ["anchor/1", "heavy/1", "block1"]
    assert len(LatencyTable.load(path).measurements["block1"].rounds) == fakes.QUICK.rounds


def test_what_cannot_be_exported_is_a_failed_row(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    fakes.profile(path, fakes.make_items(3), deeds={"block0": "refused"})
    table = LatencyTable.load(path)
    assert [(r.key, r.failed) for r in table.rounds if r.failed] == [("block0", "export: no lowering")]
    assert set(table.measurements) == {"block1", "block2"}


def test_a_full_disk_loses_nothing_that_was_finished(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    fakes.profile(path, fakes.make_items(30))
    room = path.stat().st_size + 2000  # some more rows fit, but not all

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    before = pairs(path)
    process = subprocess.Popen(
        [sys.executable, str(HERE / "profile_and_die.py"), str(path), "40"],
        env=os.environ | {"PYTHONPATH": str(HERE)},
        stderr=subprocess.PIPE,
        preexec_fn=limit,
    )
    _, errors = process.communicate()
    assert process.returncode == 1
    assert b"TableError: a row must be written whole" in errors
    assert path.read_bytes().endswith(b"\n")
    full = pairs(path)
    assert not before - full
    assert sum(before.values()) < sum(full.values()) < 240
    fakes.profile(path, fakes.make_items(40))
    assert not full - pairs(path)
    assert_whole(path, tmp_path)


@pytest.mark.parametrize("cut", [1, 40])
def test_a_torn_last_line_is_measured_again(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "table.jsonl"
    fakes.profile(path, fakes.make_items(4))
    lines = path.read_bytes().splitlines(keepends=True)
    last = max(i for i, line in enumerate(lines) if b'"round"' in line)
    path.write_bytes(b"".join(lines[: last + 1])[:-cut])
    torn = pairs(path)
    assert sum(torn.values()) == 4 * 6 - 1
    fakes.profile(path, fakes.make_items(4))
    assert pairs(path) == Counter((f"block{i}", n) for i in range(4) for n in range(6))


def test_a_torn_header_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    path.write_text('{"schema": "hwnas-ta')
    fakes.profile(path, fakes.make_items(1))
    assert sum(pairs(path).values()) == 6


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    fakes.profile(path, fakes.make_items(2))
    lines = path.read_text().splitlines(keepends=True)
    lines[3] = lines[3][:50] + "\n"
    path.write_text("".join(lines))
    with pytest.raises(TableError, match="line 4 of"):
        fakes.profile(path, fakes.make_items(2))
    assert path.read_text() == "".join(lines), "a damaged table is left as it is"


def test_two_profilers_cannot_write_one_table(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    with TableStore(path, fakes.TARGET):
        process = start(path, 2)
        assert process.wait() == 1
        with pytest.raises(TableError, match="one profiler at a time"), TableStore(path, fakes.TARGET):
            pass
    assert start(path, 2).wait() == 0


def test_another_library_cannot_continue_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.jsonl"
    fakes.profile(path, fakes.make_items(2))
    before = path.read_bytes()
    monkeypatch.setenv("FAKE_LIBRARY", "bb")
    with pytest.raises(SchemaMismatch, match="library_sha256") as caught:
        fakes.profile(path, fakes.make_items(3))
    assert caught.value.field == "library_sha256"
    assert path.read_bytes() == before


def test_another_runtime_than_asked_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_RUNTIME", "tflite_runtime")
    with pytest.raises(AgentError, match="must run litert, but found 'tflite_runtime'"):
        fakes.profile(tmp_path / "table.jsonl", fakes.make_items(2))


def test_cpus_that_are_not_there_are_refused(tmp_path: Path) -> None:
    options = replace(fakes.QUICK, cpus=(0, 77))
    with pytest.raises(DeviceError, match=r"\[77\] are not: online are \[0, 1\]"):
        fakes.profile(tmp_path / "table.jsonl", fakes.make_items(2), options=options)


class Hello:
    """A transport of which only the greeting is asked."""

    def __init__(self, **facts: object) -> None:
        self.facts = facts

    def run(self, agent: str, jobs: Sequence[object], *, silence_s: float) -> list[dict[str, object]]:
        return [{"hello": {"runtime": "litert", **self.facts}}]


@pytest.mark.parametrize(
    "facts",
    [
        {"cpus_online": [0, 1]},
        {"cpus_online": [0, 1, 2, 3], "conditions": {"affinity": [1, 3]}},
        {"cpus_online": list(range(16)), "traits": {"cpu_quota": 2.5}},
    ],
)
def test_threads_must_have_a_cpu_each(facts: Mapping[str, object]) -> None:
    options = ProfileOptions()
    transport = cast(Transport, Hello(**facts))
    greet(transport, Target("host", "litert", "fp32", threads=2), options)
    with pytest.raises(DeviceError, match=r"got 3 threads for 2(\.5)? usable CPUs"):
        greet(transport, Target("host", "litert", "fp32", threads=3), options)
    with pytest.raises(DeviceError, match="got 2 threads for 1 usable"):
        greet(transport, Target("host", "litert", "fp32", threads=2), replace(options, cpus=(1,)))


def test_ctrl_c_keeps_what_was_finished(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    process = start(path, 60, FAKE_SLEEP="0.005")
    wait_until(lambda: path.exists() and path.read_bytes().count(b"\n") > 30)
    process.send_signal(signal.SIGINT)
    assert process.wait() != 0
    table = LatencyTable.load(path)
    assert [n.moment for n in table.notes if n.moment in ("begin", "end")] == ["begin", "end"]
    assert not list(tmp_path.glob(".*.models"))
    before = pairs(path)
    fakes.profile(path, fakes.make_items(60))
    assert not before - pairs(path)
    assert set(pairs(path).values()) == {1}
    assert len(pairs(path)) == 360

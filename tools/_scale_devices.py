"""Shelves: simulated phones that measure one table, and holders of leases that are killed."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import _bench

from hwnas import device as devices
from hwnas import files, measure, shelf, spaces
from hwnas.measure import ProfileOptions
from hwnas.shelf.client import Service
from hwnas.tables.table import LatencyTable
from hwnas.web import tokens

TESTS = Path(__file__).resolve().parents[1] / "tests"
SLEEP_S = 0.25  # of every model of the agent that sleeps, anchors among them
OPTIONS = ProfileOptions(rounds=4, max_rounds=4, min_round_s=0, pool="processes:2")


def phones(work: Path, counts: list[int]) -> dict[str, Any]:
    """How much faster several phones measure a table than one, and whether its rows are the same."""
    sys.path[:0] = [str(TESTS), str(TESTS / "phone")]
    from testphone import Phone, describe_played

    for name in ("config", "cache", "data"):
        setattr(files, f"user_{name}", lambda name=name: work / name)
    builder = str(TESTS.parent / "tools" / "build_agent.py")
    bundles = ["native", "--out", str(work / "cache" / "bundles")]
    subprocess.run([sys.executable, builder, *bundles], capture_output=True, check=True)
    describe_played(work / "config" / "devices")
    stand = [Phone(work / f"phone{number}").start() for number in range(max(counts))]
    try:
        for phone in stand:
            (phone.root / "speed.json").write_text(json.dumps({"sleep_s": SLEEP_S, "noise": 0.001}))
        tables = {count: _measured(work, [phone.serial for phone in stand[:count]]) for count in counts}
    finally:
        for phone in stand:
            phone.stop()
    return {"sleep_s": SLEEP_S, "units": {str(count): _row(count, tables) for count in counts}}


def _measured(work: Path, serials: list[str]) -> LatencyTable:
    """A table of one space by so many phones."""
    path = work / f"shelf{len(serials)}.toml"
    path.write_text("".join(f'[[unit]]\ndevice = "played"\nserial = "{serial}"\n' for serial in serials))
    device = devices.load("played")
    target = device.target("litert", "int8")
    out = work / f"out{len(serials)}"
    space = spaces.load("fbnet", resolution=32, num_classes=10)
    found = measure.profile(device, space, [target], out, OPTIONS, shelf=shelf.read(path))[target]
    return LatencyTable.load(found)


def _row(count: int, tables: dict[int, LatencyTable]) -> dict[str, Any]:
    one, table = tables[min(tables)], tables[count]
    seconds = {n: _seconds(each) for n, each in tables.items()}
    of_ideal = seconds[min(tables)] * min(tables) / (seconds[count] * count)
    counts = Counter((item.key, item.number) for item in table.rounds)
    alike = one.measurements.keys() == table.measurements.keys() and all(
        abs(table.measurements[key].latency_ms / found.latency_ms - 1) < 0.01
        for key, found in one.measurements.items()
    )
    row = {
        "measure_s": seconds[count],
        "of_ideal": of_ideal,
        "rounds": len(table.rounds),
        "rounds_twice": sum(number - 1 for number in counts.values()),
        "units": len({item.session for item in table.rounds}),
        "rows_that_differ": 0 if alike and len(table.rounds) == len(one.rounds) else 1,
    }
    _bench.say(f"{count} phones: {row}")
    return row


def _seconds(table: LatencyTable) -> float:
    return float(next(n.facts for n in table.notes if n.moment == "end")["seconds"]["measure"])


_HOLDER = """
import sys, time
from pathlib import Path
from hwnas import shelf
leases = shelf.opened(shelf.read(Path(sys.argv[1])))
while (lease := leases.take("pixel")) is None:
    time.sleep(0.02)
name = f"{lease.unit.id} {sys.argv[3]}"
with Path(sys.argv[2]).open("a", buffering=1) as log:
    log.write(f"begin {name} {time.time()}\\n")
    time.sleep(float(sys.argv[4]))
    log.write(f"end {name} {time.time()} {lease.is_held}\\n")
    lease.give_back()
"""


def leases(work: Path, seed: int) -> dict[str, Any]:
    """A hundred holders of four units, a third of them killed, by locks on files and by the service."""
    units = [f'[[unit]]\ndevice = "pixel"\nserial = "192.0.2.{n}:5555"\n' for n in range(4)]
    near, far, token = work / "near.toml", work / "far.toml", work / "token"
    near.write_text("".join(units))
    found = {"locks": _held(near, work / "locks.log", seed)}
    port = "18750"
    far.write_text(f'service = "http://127.0.0.1:{port}"\ntoken_file = "{token.name}"\n')
    words = ["devices", "serve", str(near), "--token-file", str(token), "--port", port, "--lease-s", "4"]
    service = subprocess.Popen([sys.executable, "-m", "hwnas", *words], stdout=subprocess.PIPE)
    try:
        _until_answers(f"http://127.0.0.1:{port}", token)
        found["service"] = _held(far, work / "service.log", seed)
    finally:
        service.kill()
        service.communicate()
    return found


def _held(file: Path, log: Path, seed: int) -> dict[str, Any]:
    """Start holders, kill some, and look into their log whether two had one unit at once."""
    chance = random.Random(seed)
    running: list[tuple[int, subprocess.Popen[bytes], float]] = []
    killed: dict[int, float] = {}
    for number in range(100):
        words = [
            sys.executable,
            "-c",
            _HOLDER,
            str(file),
            str(log),
            str(number),
            str(chance.uniform(0.2, 1.2)),
        ]
        doomed = time.monotonic() + chance.uniform(0.5, 1.5) if chance.random() < 1 / 3 else float("inf")
        running.append((number, subprocess.Popen(words), doomed))
        while len(running) >= 6:
            running = _reaped(running, killed)
    while running:
        running = _reaped(running, killed)
    time.sleep(5.0)  # a service takes back what nobody renews
    with shelf.leased(shelf.read(file), "pixel") as found:
        left = len(found)
    row = _overlaps(log, killed) | {"lost": 4 - left}
    _bench.say(f"leases of {file.name}: {row}")
    return row


def _reaped(running: list[Any], killed: dict[int, float]) -> list[Any]:
    time.sleep(0.02)
    for number, process, doomed in running:
        if time.monotonic() > doomed and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed[number] = time.time()
    return [entry for entry in running if entry[1].poll() is None]


def _overlaps(log: Path, killed: dict[int, float]) -> dict[str, Any]:
    """How often a unit was begun with before its holder ended, or was killed."""
    twice = begun = ended = 0
    holders: dict[str, int] = {}
    for line in sorted(log.read_text(encoding="utf-8").splitlines(), key=lambda line: float(line.split()[3])):
        what, unit, number, at = line.split()[:4]
        if what == "begin":
            begun += 1
            before = holders.get(unit)
            if before is not None and killed.get(before, float("inf")) > float(at):
                twice += 1
            holders[unit] = int(number)
        elif holders.get(unit) == int(number):
            ended += 1
            del holders[unit]
    return {"begun": begun, "ended": ended, "killed": len(killed), "twice": twice}


def _until_answers(address: str, token: Path) -> None:
    from hwnas.errors import HwnasError

    for _ in range(300):
        try:
            Service(address, tokens.read(token)).holdings()
        except HwnasError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the service of the shelf did not begin to answer within 30 s")

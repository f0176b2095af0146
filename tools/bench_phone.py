"""What measuring over ADB costs, and what a link that breaks does to it; on a test phone, no real one.

    python tools/bench_phone.py --cuts 100 --rounds 5
    taskset -c 1 python tools/bench_phone.py --only profile --cpus 0   # agents alone on a CPU

The test phone is this machine behind a real ADB daemon on loopback (tests/phone). So nothing here
is a phone's latency: the numbers are those of the way to it. One JSON object on standard output.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

from _bench import environment, parser, report, say, target

from hwnas import device as devices
from hwnas import measure, spaces
from hwnas.cli.profile import parse_cpus
from hwnas.device import Device
from hwnas.errors import DeviceError
from hwnas.measure import ProfileOptions
from hwnas.tables.table import LatencyTable
from hwnas.transport import _bundle, connect
from hwnas.transport._detached import LINK_S, Detached

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "phone"))
import tinymodels
from ports import free_port
from testphone import Phone, job

PARTS = ("cuts", "notice", "push", "profile")


def main() -> None:
    """Run everything and print the report."""
    found = parser(__doc__, seed=0)
    found.add_argument("--only", default=",".join(PARTS), help=f"parts, joined by commas: {PARTS}")
    found.add_argument("--back-ends", default="tcp,adb", help="those of them that are here are used")
    found.add_argument("--cuts", type=int, default=100, help="runs with random link cuts, a back end")
    found.add_argument("--freezes", type=int, default=10, help="links that fall silent, a back end")
    found.add_argument("--pushes", type=int, default=40, help="files, a back end")
    found.add_argument("--rounds", type=int, default=5, help="rounds of the profiles")
    found.add_argument("--repeats", type=int, default=1, help="profiles of each kind, interleaved")
    found.add_argument("--cpus", help="CPUs of the agents, of the host's as well; all that are allowed")
    options = found.parse_args()
    parts = options.only.split(",")
    if odd := set(parts) - set(PARTS):
        found.error(f"--only must name parts of {PARTS}, but got {sorted(odd)}")
    back_ends = [n for n in options.back_ends.split(",") if n == "tcp" or (n == "adb" and shutil.which(n))]
    os.environ["ANDROID_ADB_SERVER_PORT"] = str(free_port())
    results: dict[str, Any] = {name: {} for name in back_ends}
    try:
        for name, found in results.items():
            found |= {part: MEASURES[part](options, name) for part in parts if part in MEASURES}
        if "profile" in parts:
            results["host"] = {}
            for name, found in profiles(options, back_ends).items():
                results[name]["profile"] = found
    finally:
        if "adb" in back_ends:
            os.spawnlp(os.P_WAIT, "adb", "adb", "kill-server")
    judged = [line for name in back_ends for line in targets(name, results[name])]
    report(options, results, judged, where())


def where() -> dict[str, Any]:
    """What the numbers are true of; the bundle is that of the user's cache."""
    bundle = _bundle.find("litert", _bundle.ARCHITECTURES[platform.machine()])
    return environment(bundle=bundle.name, own_loader="ld-linux" in bundle.command[0])


def targets(name: str, found: dict[str, Any]) -> list[dict[str, Any]]:
    """What was set for a back end, and whether it is met."""
    made: list[tuple[str, float, str, float]] = []
    if cuts := found.get("cuts"):
        made += [(f"rows {what} in random link cuts", cuts[what], "==", 0) for what in ("lost", "doubled")]
    if seconds := found.get("notice"):
        made.append(("a dead link is noticed, worst, s", max(seconds["cut"]), "<=", 1.0))
        made.append(("a silent link is noticed, worst, s", max(seconds["silent"]), "<=", 1.0))
    if pushed := found.get("push"):
        made.append(("bytes pushed twice", pushed["bytes_again"], "==", 0))
    if profiled := found.get("profile"):
        made.append(("latency against the host's agent, median off", profiled["off"], "<=", 0.05))
        made.append(("rows that the host's table has and this lacks", profiled["lacking"], "==", 0))
    return [target(f"{name}: {what}", value, op, bound) for what, value, op, bound in made]


@contextmanager
def phone_at(folder: Path) -> Iterator[Phone]:
    """A running test phone."""
    phone = Phone(folder).start()
    try:
        yield phone
    finally:
        phone.stop()


def random_cuts(options: argparse.Namespace, back_end: str) -> dict[str, Any]:
    """Runs of the agent on links that break at random bytes: what arrived, against what was asked for."""
    lost = doubled = rows = 0
    failed: list[str] = []
    with (
        tempfile.TemporaryDirectory() as name,
        phone_at(Path(name) / "phone") as phone,
        connect(phone.device(back_end, patience_s=30)) as transport,
    ):
        remote = transport.push(tinymodels.write(Path(name) / "m.tflite"))
        list(transport.run("litert", [], silence_s=60))
        for number in range(options.cuts):
            rng = random.Random(options.seed + number)
            plan = [job(f"j{n}", remote, warmup_max_ns=rng.randrange(1, 20_000_000)) for n in range(12)]
            phone.cut_after(*(rng.randrange(12_000) for _ in range(4)))
            counts: Counter[str] = Counter()
            try:
                for reply in transport.run("litert", plan, silence_s=60):
                    counts[reply.get("job", "")] += "samples_ns" in reply
            except DeviceError as error:
                failed.append(f"seed {options.seed + number}: {error}")
            rows += len(plan)
            lost += sum(counts[line["job"]] == 0 for line in plan)
            doubled += sum(max(0, counts[line["job"]] - 1) for line in plan)
            if number % 20 == 19:
                say(f"{back_end}: {number + 1} runs with cuts, {transport.losses} losses of the link")
        losses = transport.losses
    counted = {"runs": options.cuts, "rows": rows, "losses": losses, "lost": lost, "doubled": doubled}
    return {**counted, "failed": failed}


def notice(options: argparse.Namespace, back_end: str) -> dict[str, list[float]]:
    """How long until a broken link is noticed: daemon killed, and daemon that says nothing any more."""
    found: dict[str, list[float]] = {"cut": [], "silent": []}
    with (
        tempfile.TemporaryDirectory() as name,
        phone_at(Path(name) / "phone") as phone,
        connect(phone.device(back_end, patience_s=30)) as transport,
    ):
        for number in range(options.freezes):
            for kind, break_it, mend in (
                ("cut", phone.stop, phone.start),
                ("silent", phone.freeze, phone.thaw),
            ):
                run = Detached(transport._link, f"{phone.folder}/runs/{kind}{number}")
                found[kind].append(_notice(transport, run, break_it, mend))
    say(f"{back_end}: notices {found} (limit of silence {LINK_S:g} s)")
    return found


def _notice(transport: Any, run: Detached, break_it: Callable[[], Any], mend: Callable[[], Any]) -> float:
    """Seconds from breaking the link until it is noticed."""
    run.start(["sh", "-c", "echo one; sleep 600"])
    lines = run.lines(silence_s=600)
    next(lines)
    time.sleep(0.3)
    noticed: list[float] = []

    class Noticed(Exception):
        """Ends the reading."""

    def recover(*_: Any, **__: Any) -> None:
        noticed.append(time.monotonic())
        raise Noticed

    original, transport._link.recover = transport._link.recover, recover
    began = time.monotonic()
    break_it()
    with suppress(Noticed):
        next(lines)
    transport._link.recover = original
    mend()
    run.remove()
    return round(noticed[0] - began, 3)


def push(options: argparse.Namespace, back_end: str) -> dict[str, Any]:
    """Small files, as models are; then the same again in a new session."""
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name, phone_at(Path(name) / "phone") as phone:
        paths = [Path(name) / f"{number}.tflite" for number in range(options.pushes)]
        for path in paths:
            path.write_bytes(rng.randbytes(rng.randrange(5_000, 60_000)))
        seconds, sent = [], []
        for _ in range(2):
            with connect(phone.device(back_end)) as transport:
                began = time.monotonic()
                for path in paths:
                    transport.push(path)
                seconds.append(time.monotonic() - began)
                sent.append(transport.sent)
    result = {
        "files": len(paths),
        "bytes": sent[0]["bytes"],
        "pushes_per_s": round(len(paths) / seconds[0], 1),
        "skips_per_s": round(len(paths) / seconds[1], 1),
        "bytes_again": sent[1]["bytes"],
    }
    say(f"{back_end}: {result}")
    return result


def profiles(options: argparse.Namespace, back_ends: list[str]) -> dict[str, Any]:
    """The macro space, int8, with the host's own agent and over each back end, interleaved.

    ``host_off_host``, two profiles of the host against each other, says how much of ``off`` is noise.
    """
    tables: dict[str, list[LatencyTable]] = {name: [] for name in ("host", *back_ends)}
    with tempfile.TemporaryDirectory() as name, phone_at(Path(name) / "phone") as phone:
        for number in range(options.repeats):
            for way, found in tables.items():
                device = devices.load("host") if way == "host" else phone.device(way)
                found.append(_profile(device, Path(name) / f"{way}{number}", options))
                say(f"{way}: {_seconds(found[-1])}")
    host = [_seconds(table) for table in tables["host"]]
    result: dict[str, Any] = {"host": {"seconds": host}}
    for way in back_ends:
        seconds = [_seconds(table) for table in tables[way]]
        off = [_off(ours, theirs) for ours, theirs in zip(tables[way], tables["host"], strict=True)]
        result[way] = {
            "seconds": seconds,
            "rows": [len(table.measurements) for table in tables[way]],
            "lacking": sum(
                len(set(theirs.measurements) - set(ours.measurements))
                for ours, theirs in zip(tables[way], tables["host"], strict=True)
            ),
            "off_each": [round(value, 4) for value in off],
            "host_off_host": [
                round(_off(again, first), 4)
                for first, again in zip(tables["host"], tables["host"][1:], strict=False)
            ],
            "measure_ratio": median(a["measure"] / b["measure"] for a, b in zip(seconds, host, strict=True)),
            "whole_ratio": median(
                sum(a.values()) / sum(b.values()) for a, b in zip(seconds, host, strict=True)
            ),
            "off": median(off),
        }
    return result


def _profile(device: Device, out: Path, options: argparse.Namespace) -> LatencyTable:
    asked = ProfileOptions(
        rounds=options.rounds,
        max_rounds=options.rounds,
        calibration_networks=4,
        heldout_networks=2,
        seed=options.seed,
        cpus=parse_cpus(options.cpus),
    )
    target = device.target("litert", "int8")
    return LatencyTable.load(measure.profile(device, spaces.load("macro"), [target], out, asked)[target])


def _seconds(table: LatencyTable) -> dict[str, float]:
    """Where the time of the last session went."""
    ends = [note.facts for note in table.notes if note.moment == "end"]
    return dict(ends[-1]["seconds"])


def _off(ours: LatencyTable, theirs: LatencyTable) -> float:
    """Median over the rows of how far the two tables are apart."""
    return median(abs(m.latency_ms / theirs.latency_ms(key) - 1) for key, m in ours.measurements.items())


MEASURES = {"cuts": random_cuts, "notice": notice, "push": push}

if __name__ == "__main__":
    main()

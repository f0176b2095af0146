"""What on a machine harms measuring, and what its user can do about it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from hwnas.children import out_of_reach
from hwnas.device import Device, Target
from hwnas.measure.engine import Engine, Job, greet
from hwnas.measure.models import Exporter
from hwnas.measure.options import ProfileOptions
from hwnas.measure.plan import ANCHOR
from hwnas.pools import HERE
from hwnas.tables import conditions
from hwnas.tables.conditions import SessionQuality
from hwnas.tables.measurement import Round
from hwnas.transport import connect

_BURN_S = 120  # a burner ends by itself if nobody ends it
_HOT_MC = 80_000


@dataclass(frozen=True)
class Finding:
    """Something that harms measuring.

    Attributes:
        what: What was found, with numbers.
        remedy: What the user can do.
    """

    what: str
    remedy: str


@dataclass(frozen=True)
class Examination:
    """What a machine is like.

    Attributes:
        quality: Of a short session in which the anchor alone was measured.
        findings: What harms.
        anchor_ms: Median latency of the anchor.
    """

    quality: SessionQuality
    findings: tuple[Finding, ...]
    anchor_ms: float


def examine(device: Device, target: Target, *, rounds: int = 40) -> Examination:
    """Measure the anchor for a few seconds, look around, and say what is wrong.

    Raises:
        DeviceError: The device or the agent cannot be used.
    """
    options = ProfileOptions(samples=15)
    with (
        tempfile.TemporaryDirectory(prefix="hwnas-") as name,
        connect(device) as transport,
        Exporter(HERE) as exporter,
    ):
        hello = greet(transport, target, options)
        path = transport.push(exporter.export_anchors(target, Path(name))[0].path)
        engine = Engine(transport, target, [path], options)
        quiet = _rounds(engine, path, rounds)
        span = conditions.span(*engine.take_spans()[0])
        lost = transport.take_losses().facts()
        findings = [*_traits(hello), *_now(span)]
        if device.transport == "local":
            findings += _busiest()
            findings += _neighbour(engine, path, quiet, hello)
    return Examination(
        quality=conditions.quality(quiet, [span, lost]),
        findings=tuple(findings),
        anchor_ms=median(sample for item in quiet for sample in item.clean_ms),
    )


def _rounds(engine: Engine, path: str, count: int) -> list[Round]:
    """The anchor measured beside itself."""
    jobs = [Job(ANCHOR.key, path, number) for number in range(count)]
    return [outcome.round(ANCHOR.key, "finalist", "doctor") for outcome in engine.run(jobs)]


def _traits(hello: Mapping[str, Any]) -> Iterator[Finding]:
    traits = hello.get("traits") or {}
    governors = {g for g in (hello.get("conditions") or {}).get("governor") or () if g}
    if governors - {"performance"}:
        yield Finding(
            f"the frequency governor is {', '.join(sorted(governors))}: the clock follows the load",
            "set it while measuring: sudo cpupower frequency-set -g performance",
        )
    if traits.get("boost"):
        yield Finding(
            "the clock boosts: it depends on temperature and on what other cores do",
            "switch boost off while measuring (no_turbo or cpufreq/boost in /sys/devices/system/cpu)",
        )
    if traits.get("hypervisor"):
        yield Finding(
            "this is a virtual machine: clocks, caches and neighbours are out of sight",
            "trust the anchors and the intervals; measure on the bare machine if there is one",
        )
    siblings = [group for group in traits.get("siblings") or () if group and len(group) > 1]
    if siblings:
        yield Finding(
            f"CPUs share cores: {sorted({tuple(group) for group in siblings})}",
            "give --cpus one CPU of each core and keep its sibling idle",
        )
    capacity = {c for c in traits.get("capacity") or () if c}
    if len(capacity) > 1:
        yield Finding(
            f"the CPUs are not alike: their capacities are {sorted(capacity)}",
            "give --cpus those that your application will run on",
        )
    if traits.get("on_battery"):
        yield Finding("the machine runs on battery: clocks are held back", "plug it in")


def _now(span: Mapping[str, Any]) -> Iterator[Finding]:
    others, steal = span.get("others_share", 0.0), span.get("steal_share", 0.0)
    if others > 0.02:
        yield Finding(f"other processes used {others:.0%} of the CPUs", "end them while measuring")
    if steal > 0.002:
        yield Finding(
            f"the hypervisor kept {steal:.1%} of the CPU time for others",
            "measure at another time, or on a machine whose CPUs are not shared",
        )
    hot = {zone: mc for zone, mc in (span.get("thermal_mc") or {}).items() if mc > _HOT_MC}
    if hot:
        zone, mc = max(hot.items(), key=lambda pair: pair[1])
        yield Finding(f"the machine is hot: {mc / 1000:.0f} °C in {zone}", "let it cool, and cool it better")


def _busiest(seconds: float = 0.5) -> Iterator[Finding]:
    """The processes that use the CPU most; only where Linux tells."""
    before = _cpu_ticks()
    time.sleep(seconds)
    shares = {
        process: (ticks - before.get(process, ticks)) / os.sysconf("SC_CLK_TCK") / seconds
        for process, ticks in _cpu_ticks().items()
    }
    for (pid, name), share in sorted(shares.items(), key=lambda pair: -pair[1])[:3]:
        if share > 0.05 and pid != os.getpid():
            yield Finding(f"{name} (process {pid}) uses {share:.0%} of a CPU", "end it while measuring")


def _cpu_ticks() -> dict[tuple[int, str], int]:
    """CPU time of every process so far, in ticks."""
    ticks: dict[tuple[int, str], int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text("utf-8", "replace").partition("(")[2].rpartition(")")
        except OSError:  # it has ended meanwhile
            continue
        fields = rest.split()
        ticks[int(path.parent.name), name] = int(fields[11]) + int(fields[12])
    return ticks


def _neighbour(
    engine: Engine, path: str, quiet: Sequence[Round], hello: Mapping[str, Any]
) -> Iterator[Finding]:
    """Whether a busy neighbour slows what is measured: CPUs may share more than they show."""
    count = len(hello.get("cpus_online") or ())
    if count < 2:
        return
    with _burning(count - 1):
        busy = _rounds(engine, path, max(5, len(quiet) // 4))
    slower = median(median(r.clean_ms) for r in busy) / median(median(r.clean_ms) for r in quiet) - 1
    if slower > 0.03:
        yield Finding(
            f"the anchor is {slower:.0%} slower while the other {count - 1} CPUs are busy: they share "
            "a core, a cache or a clock budget with it",
            "let nothing else run while measuring, also on other CPUs",
        )


@contextmanager
def _burning(count: int) -> Iterator[None]:
    """So many processes that do nothing, as fast as they can."""
    code = f"import time\nend = time.monotonic() + {_BURN_S}\nwhile time.monotonic() < end: pass"
    with out_of_reach():
        burners = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    try:
        time.sleep(0.1)  # until they have started
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()

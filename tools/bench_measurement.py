"""How repeatable measurements are, quiet and disturbed, ours and the usual practice.

    python tools/bench_measurement.py                      # all of it, about a quarter of an hour
    python tools/bench_measurement.py --repeats 2 --rounds 6 --max-rounds 6 --blocks 6 --networks 3

Prints one JSON object. FBNet blocks and networks (LiteRT, fp32 and int8) are measured again and
again, each time independently: by ours (shuffled rounds, anchors, 95 % intervals), and by the
usual practice, as benchmark programs do it by default (one warm-up, 50 runs in a row, their mean).
Both take turns in one run, and so do quiet phases and phases in which a disturber burns the other
CPUs in random bursts. The phase "exporting" shows what exporting beside measuring would cost.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from _bench import environment as where
from _bench import parser, report, say, target

from hwnas import device, spaces
from hwnas.device import Target
from hwnas.measure import ProfileOptions, plan
from hwnas.measure.engine import Engine, greet
from hwnas.measure.measurer import rounds
from hwnas.measure.models import Exporter
from hwnas.measure.plan import ANCHORS, Item
from hwnas.measure.session import environment
from hwnas.pools import HERE
from hwnas.tables import conditions
from hwnas.tables.clock import Scale
from hwnas.tables.measurement import MIN_ROUNDS
from hwnas.tables.operations import merge
from hwnas.tables.table import LatencyTable
from hwnas.transport.local import LocalTransport

USUAL_RUNS = 50


def burn(seed: int) -> None:
    """Burn one CPU in random bursts, until the parent is gone."""
    rng, parent = random.Random(seed), os.getppid()
    while os.getppid() == parent:
        end = time.monotonic() + rng.expovariate(1 / 0.3)
        while time.monotonic() < end:
            pass
        time.sleep(rng.expovariate(1 / 0.3))


@contextmanager
def disturber(seed: int) -> Iterator[None]:
    """One burner for every CPU but one."""
    count = max(1, (os.cpu_count() or 2) - 1)
    burners = [subprocess.Popen([sys.executable, __file__, "--burn", str(seed + i)]) for i in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


@contextmanager
def exporting(items: Sequence[Item], target: Target, folder: Path) -> Iterator[None]:
    """A process that exports models all the while."""
    over = threading.Event()

    def work() -> None:
        with Exporter(HERE) as exporter:
            while not over.is_set():
                exporter.export(items[-3:], target, folder, lambda _: None)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def choose(blocks: int, networks: int, resolution: int, seed: int) -> list[Item]:
    """Random FBNet workloads, and networks of the plan."""
    space = spaces.load("fbnet", resolution=resolution)
    options = ProfileOptions(calibration_networks=networks, heldout_networks=0, seed=seed)
    items = plan.items([space], options)
    every = [item for item in items if item.kind == "block"]
    picked = np.random.default_rng(seed).permutation(len(every))[:blocks]
    return [every[i] for i in sorted(picked)] + [item for item in items if item.kind != "block"]


@dataclass
class Bench:
    """One target: its engine, and the models on the device."""

    target: Target
    engine: Engine
    paths: Mapping[str, str]
    transport: LocalTransport
    found: Mapping[str, Any]

    def ours(self, options: ProfileOptions) -> LatencyTable:
        """One session of ours."""
        table = LatencyTable(self.target, self.found)
        for item in rounds(self.engine, table, self.paths, options):
            if item.failed:
                raise SystemExit(f"{item.key} failed: {item.failed}")
        return table

    def usual(self) -> dict[str, float]:
        """One warm-up, 50 runs in a row, their mean, in ms."""
        plain = {"threads": 1, "cpus": None, "keep": False, "seed": 0, "samples": USUAL_RUNS}
        plain |= {"min_sample_ns": 0, "warmup_min_ns": 0, "warmup_max_ns": 0}
        jobs = [{"job": key, "model": path} | plain for key, path in self.paths.items()]
        replies = self.transport.run(self.target.runtime, jobs, silence_s=60)
        return {r["job"]: mean(r["samples_ns"][:USUAL_RUNS]) / 1e6 for r in replies if "job" in r}


def differences(values: Sequence[Mapping[str, float]], keys: Sequence[str]) -> list[float]:
    """|difference| over mean of each key, between each two successive measurements."""
    pairs = zip(values[::2], values[1::2], strict=False)
    return [2 * abs(a[key] - b[key]) / (a[key] + b[key]) for a, b in pairs for key in keys]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and tail."""
    return {"median": float(np.median(values)), "p95": float(np.quantile(values, 0.95)), "n": len(values)}


def coverage(
    sessions: Sequence[LatencyTable], others: Sequence[LatencyTable], keys: Sequence[str], scale: Scale
) -> list[bool]:
    """Whether each interval holds the long-run value: what all other sessions give together.

    That value is only known as well as so few sessions tell it: its own interval is added in
    quadrature, as for any two independent estimates.
    """
    held = []
    for session in sessions:
        truths = merge(*(other for other in others if other is not session)).measurements
        for key in keys:
            own, truth = session.measurements[key].scaled(scale), truths[key].scaled(scale)
            if own.interval_ms is None or truth.interval_ms is None:
                raise SystemExit(f"an interval needs {MIN_ROUNDS} rounds, but got fewer: give --rounds more")
            away = truth.latency_ms - own.latency_ms
            reach = own.interval_ms[1] - own.latency_ms if away > 0 else own.latency_ms - own.interval_ms[0]
            doubt = (truth.interval_ms[1] - truth.interval_ms[0]) / 2
            held.append(abs(away) <= math.hypot(reach, doubt))
    return held


def judge(
    tables: Sequence[LatencyTable],
    others: Sequence[LatencyTable],
    usual: Sequence[Mapping[str, float]],
    kinds: Mapping[str, list[str]],
) -> dict[str, Any]:
    """Repeatability of both methods, and coverage of our intervals, for one target and phase.

    Args:
        tables: The sessions of the phase.
        others: All sessions of the target: the scale is that of the device.
        usual: What the usual practice gave in the phase.
        kinds: Keys by kind.
    """
    scale = merge(*others).scale
    alone = [{key: m.latency_ms for key, m in table.measurements.items()} for table in tables]
    joined = [{k: m.scaled(scale).latency_ms for k, m in t.measurements.items()} for t in tables]
    result: dict[str, Any] = {}
    for kind, keys in kinds.items():
        found = [t.measurements[key].scaled(scale) for t in tables for key in keys]
        result[kind] = {
            "ours": spread(differences(joined, keys)),
            "ours_each_session_on_its_own_scale": spread(differences(alone, keys)),
            "usual": spread(differences(usual, keys)),
            "coverage": mean(coverage(tables, others, keys, scale)),
            "rounds": mean(len(m.rounds) for m in found),
            "rounds_in_the_fast_state": mean(len(m.fast) for m in found),
            "relative_interval": median(m.relative_interval or math.inf for m in found),
        }
    result["scale"] = scale.to_json()
    result["clocks"] = [asdict(clock) for table in tables for clock in table.clocks.values()]
    result["qualities"] = [str(found) for table in tables for found in conditions.qualities(table).values()]
    result["differences"] = {
        key: {"ours": [t[key] for t in joined], "usual": [u[key] for u in usual]}
        for keys in kinds.values()
        for key in keys
    }
    return result


def targets_of(results: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What was promised, against what came out; the worst of the targets counts."""
    found = []

    def add(name: str, value: float | None, op: str, bound: float) -> None:
        if value is not None:
            found.append(target(name, value, op, bound))

    def worst(phase: str, kind: str, method: str, statistic: str) -> float | None:
        values = [r[phase][kind][method][statistic] for r in results.values() if phase in r]
        return max(values) if values else None

    for kind, middle, tail in (("networks", 0.01, 0.03), ("blocks", 0.02, 0.06)):
        add(f"quiet: median difference of {kind}", worst("quiet", kind, "ours", "median"), "<=", middle)
        add(f"quiet: 95th percentile of {kind}", worst("quiet", kind, "ours", "p95"), "<=", tail)
    add(
        "disturbed: median difference of networks",
        worst("disturbed", "networks", "ours", "median"),
        "<=",
        0.02,
    )
    ratios = [
        r["disturbed"]["networks"]["usual"]["median"]
        / max(1e-9, r["disturbed"]["networks"]["ours"]["median"])
        for r in results.values()
        if "disturbed" in r
    ]
    add("disturbed: error of the usual practice over ours (networks)", min(ratios, default=None), ">=", 4.0)
    held = [r[phase][kind] for r in results.values() for phase in r for kind in ("networks", "blocks")]
    share = sum(h["coverage"] * h["ours"]["n"] for h in held) / sum(h["ours"]["n"] for h in held)
    add("coverage of the 95 % intervals", share, ">=", 0.90)
    add("coverage of the 95 % intervals, not too wide", share, "<=", 0.99)
    return found


def run(args: argparse.Namespace) -> None:
    """Measure all, in turns, and judge."""
    host = device.load("host")
    items = choose(args.blocks, args.networks, args.resolution, args.seed)
    kinds = {
        "blocks": [item.key for item in items if item.kind == "block"],
        "networks": [item.key for item in items if item.kind != "block"],
    }
    measured: dict[tuple[str, str], tuple[list[LatencyTable], list[dict[str, float]]]] = {}
    with tempfile.TemporaryDirectory() as name, LocalTransport() as transport, Exporter() as exporter:
        benches = []
        for precision in args.precision.split(","):
            target = host.target("litert", precision)
            folder = Path(name) / precision
            folder.mkdir()
            exported = exporter.export([*ANCHORS, *items], target, folder, lambda _: None)
            paths = {key: transport.push(item.path) for key, item in exported.items()}
            options = ProfileOptions()
            engine = Engine(transport, target, [paths.pop(anchor.key) for anchor in ANCHORS], options)
            found = environment(greet(transport, target, options), transport.describe())
            benches.append(Bench(target, engine, paths, transport, found))
        for repeat in range(args.repeats):
            for phase in args.phases.split(","):
                contexts = {
                    "quiet": nullcontext(),
                    "disturbed": disturber(args.seed + repeat),
                    "exporting": exporting(items, benches[0].target, Path(name)),
                }
                with contexts[phase]:
                    for bench in benches:
                        say(f"repeat {repeat + 1} of {args.repeats}, {phase}, {bench.target}")
                        seed = args.seed + 1000 * (repeat + 1)
                        options = ProfileOptions(
                            rounds=args.rounds, max_rounds=args.max_rounds, samples=args.samples, seed=seed
                        )
                        tables, usual = measured.setdefault((bench.target.slug, phase), ([], []))
                        usual.append(bench.usual())
                        tables.append(bench.ours(options))
    results: dict[str, dict[str, Any]] = {}
    for (target, phase), (tables, usual) in measured.items():
        others = [table for (slug, _), (found, _) in measured.items() if slug == target for table in found]
        results.setdefault(target, {})[phase] = judge(tables, others, usual, kinds)
    config = vars(args) | {"options": asdict(options)}
    report(config, results, targets_of(results), where(**dict(benches[0].found)))


def main() -> None:
    """Read the options and print the result."""
    found = parser(__doc__, seed=0)
    found.add_argument("--repeats", type=int, default=6, help="independent measurements; even, 2 at least")
    found.add_argument("--phases", default="quiet,disturbed", help="any of quiet, disturbed, exporting")
    found.add_argument("--precision", default="fp32,int8")
    found.add_argument("--blocks", type=int, default=30)
    found.add_argument("--networks", type=int, default=10)
    found.add_argument("--resolution", type=int, default=224)
    found.add_argument("--rounds", type=int, default=ProfileOptions().rounds)
    found.add_argument("--max-rounds", type=int, default=ProfileOptions().max_rounds)
    found.add_argument("--samples", type=int, default=ProfileOptions().samples)
    found.add_argument("--burn", type=int, help=argparse.SUPPRESS)
    args = found.parse_args()
    if args.burn is not None:
        burn(args.burn)
        return
    if args.repeats < 2 or args.repeats % 2:
        found.error(f"--repeats must be even and at least 2, but got {args.repeats}")
    run(args)


if __name__ == "__main__":
    main()

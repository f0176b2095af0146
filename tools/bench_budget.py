"""Is the budget kept? Twelve searches on this CPU, each judged by a measurement of its own.

    python tools/bench_budget.py --tables DIR --rows rows.jsonl > budget.json
    python tools/bench_budget.py --tables DIR --only 0 1 --steps 20      # a quick look

The runs are an orthogonal array of strength 2 (12 runs, four factors of two levels and one of
three): two spaces, two runtimes, two precisions, two strategies, budgets at 30, 50 and 70 % of
the range. Every level of every factor is used equally often, and so is every pair of levels of
two factors. One supernet a space is trained first; every search starts from it. *Within*: the
architecture that the promise kept, exported anew and measured in two sessions of its own after
all is decided, needs no more than the budget, with the tolerance of that measurement's own 95 %
interval. That measurement chose nothing, so it is no winner's. Slack is what it leaves.

Beside that, one architecture a space is measured with random and with trained weights,
interleaved: latency must not depend on them. Tables are those of ``--tables`` (``<device>/`` and
``<runtime>-<precision>.jsonl`` in it), else one's own, else those shipped; ``--profile`` measures
what is missing in ``--tables`` first, which takes some minutes a table.

With ``--disturb`` it is six searches of the first space instead (two precisions, three budgets,
evolution), each in quiet and beside a disturber that burns every CPU in bursts while it searches and
measures; what they kept is checked in quiet.

One JSON object on standard output, progress on standard error. With ``--rows`` finished runs
are kept in a file, and a bench that was cut off goes on from there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import _disturbed
import numpy as np
from _bench import Rows, environment, made_folder, parser, report, say, target

from hwnas import data, device, export, finalists, latency, measure, spaces
from hwnas.budget import parse
from hwnas.data import Dataset
from hwnas.device import Target
from hwnas.errors import HwnasError, TableError
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.evaluators.supernet.oneshot import OneShot
from hwnas.evaluators.supernet.warm_up import warm_up
from hwnas.measure import Measurer, ProfileOptions
from hwnas.search.request import SearchRequest
from hwnas.space import Architecture, SearchSpace
from hwnas.tables.operations import require_same
from hwnas.tables.table import LatencyTable
from hwnas.train import TrainConfig, fit, new_network

RUNTIMES, PRECISIONS, BUDGETS = ("litert", "onnxruntime"), ("int8", "fp32"), (30, 50, 70)
STRATEGIES = ("proxylessnas", "evolution")
ARRAY = (  # space, runtime, precision, strategy, budget
    (0, 0, 0, 0, 0),
    (0, 0, 1, 1, 0),
    (1, 1, 0, 0, 0),
    (1, 1, 1, 1, 0),
    (0, 0, 0, 1, 1),
    (0, 1, 1, 0, 1),
    (1, 0, 1, 0, 1),
    (1, 1, 0, 1, 1),
    (0, 1, 0, 0, 2),
    (0, 1, 1, 1, 2),
    (1, 0, 0, 1, 2),
    (1, 0, 1, 0, 2),
)
CHECK_SESSIONS = 2


@dataclass(frozen=True)
class Run:
    """One search."""

    space: str
    runtime: str
    precision: str
    strategy: str
    budget: str
    phase: str = ""

    @property
    def name(self) -> str:
        """Identifier."""
        parts = (self.space, self.runtime, self.precision, self.strategy, self.budget, self.phase)
        return "/".join(part for part in parts if part)


class World:
    """What runs of one space share: images, and a supernet that was trained once."""

    def __init__(self, name: str, options: argparse.Namespace, folder: Path) -> None:
        space = spaces.load(name)
        self.dataset: Dataset = data.load(options.data, resolution=space.input_shape[1], seed=options.seed)
        self.space: SearchSpace = spaces.load(name, num_classes=self.dataset.num_classes)
        resolution, width = max(8, space.input_shape[1] // options.shrink), options.width
        self.config = OneShotConfig(
            width=width, resolution=resolution, seed=options.seed, validation_images=options.images
        )
        self.supernet = folder / f"{self.space.name}.safetensors"
        if not self.supernet.exists():
            oneshot, began = OneShot(self.space, self.dataset, self.config), time.monotonic()
            warm_up(oneshot, options.warmup_steps)
            oneshot.save(self.supernet)
            say(f"supernet of {self.space.name}: {time.monotonic() - began:.0f} s")


def main() -> None:
    """Search, measure, print."""
    options = _options()
    began = time.monotonic()
    every = list(_disturbed_runs(options) if options.disturb else _runs(options))
    runs = [run for number, run in enumerate(every) if number in (options.only or range(len(every)))]
    done = Rows(options.rows)
    with tempfile.TemporaryDirectory() as name:
        folder = options.work or Path(name)
        if options.profile:
            _profile(runs, options)
        worlds: dict[str, World] = {}

        def world(space: str) -> World:
            if space not in worlds:
                worlds[space] = World(space, options, folder)
            return worlds[space]

        for run in runs:
            if run.name not in done:
                done.add(run.name, _search(run, world(run.space), folder, options))
        for space in options.spaces if not (options.no_weights or options.disturb) else ():
            key = f"weights/{space}"
            if key not in done:
                done.add(key, _weights(world(space), options))
    rows = [done[run.name] for run in runs]
    weights = [row for key, row in done.found.items() if key.startswith("weights/")]
    results = {
        "runs": rows,
        "weights": weights,
        "summary": _phases(rows) if options.disturb else _summary(rows),
        "seconds": time.monotonic() - began,
    }
    report(
        options,
        results,
        _disturbed.targets(_phases(rows)) if options.disturb else _targets(rows, weights),
        _environment(),
    )


def _runs(options: argparse.Namespace) -> Iterator[Run]:
    for space, runtime, precision, strategy, budget in ARRAY:
        yield Run(
            options.spaces[space],
            RUNTIMES[runtime],
            PRECISIONS[precision],
            STRATEGIES[strategy],
            f"{BUDGETS[budget]}%",
        )


def _disturbed_runs(options: argparse.Namespace) -> Iterator[Run]:
    """Quiet and disturbed in turns."""
    for precision in _disturbed.PRECISIONS:
        for budget in _disturbed.BUDGETS:
            run = Run(options.spaces[0], RUNTIMES[0], precision, STRATEGIES[1], budget)
            yield from (replace(run, phase=phase) for phase in _disturbed.PHASES)


def _phases(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {p: _disturbed.summary([row for row in rows if row["phase"] == p]) for p in _disturbed.PHASES}


def _beside(run: Run, options: argparse.Namespace) -> AbstractContextManager[None]:
    return _disturbed.disturber(options.seed) if run.phase == "disturbed" else nullcontext()


def _search(run: Run, world: World, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One search with its promise, and the measurement that judges it."""
    began = time.monotonic()
    budgets = parse([f"host/{run.runtime}-{run.precision}={run.budget}"])
    settings = {
        "proxylessnas": {"warmup_steps": options.warmup_steps, "steps": options.steps},
        "evolution": {"queries": options.queries},
    }[run.strategy]
    request = SearchRequest(
        space=world.space.name,
        latencies=(),
        budgets=(),
        data=options.data,
        strategy=run.strategy,
        seed=options.seed,
        oneshot=world.config,
        settings=settings,
        supernet=world.supernet,
    )
    wanted = finalists.SearchOptions(tables=options.tables, gallery_points=0, measuring=_measuring(options))
    to, warnings = folder / run.name.replace("/", "_"), list[str]()
    row: dict[str, Any] = {"run": run.name, **vars(run), "warnings": warnings}
    try:
        with _beside(run, options):
            found = finalists.search_for(budgets, request, to, wanted, tell=say, warn=warnings.append)
    except HwnasError as error:
        row |= {"refused": str(error), "seconds": time.monotonic() - began}
        say(json.dumps(row))
        return row
    record = found.to_json() if found else {}
    (kept,) = record["promise"]["targets"]
    arch = world.space.architecture(record["best"])
    searched = time.monotonic()
    check = _check(arch, budgets[0].target, options)
    row |= {
        "indices": record["best"],
        "accuracy": record["accuracy"],
        "rank": record["promise"]["rank"],
        "verdict": record["promise"]["verdict"],
        "said": [*record["promise"]["warnings"], *record["promise"]["reasons"]],
        "promise": {k: v for k, v in kept.items() if k != "name"},
        "check": check,
        "within": check["interval_ms"][0] <= kept["asked_ms"],
        "within_strictly": check["ms"] <= kept["asked_ms"],
        "slack": 1 - check["ms"] / kept["asked_ms"],
        "predicted_error": kept["predicted_ms"] / check["ms"] - 1,
        "steps": _steps(record),
        "networks_measured": record["promise"]["networks_measured"],
        "seconds": {
            "search": sum(record["seconds"].values()),
            "promise": record["promise"]["seconds"],
            "check": time.monotonic() - searched,
            "all": time.monotonic() - began,
        },
    }
    say(f"{run.name}: {kept['sentence']}; checked {check['ms']:.3f}, slack {row['slack']:.1%}")
    return row


def _steps(record: dict[str, Any]) -> list[dict[str, Any]]:
    """What the promise did, and what a repair cost: in time and in estimated accuracy."""
    rank = record["promise"]["rank"]
    return [
        {
            "purpose": step["purpose"],
            "networks": len(step["entries"]),
            "kept": sum(entry["kept"] for entry in step["entries"]),
            "accuracy": [entry["accuracy"][rank] for entry in step["entries"]],
            "accuracy_change": [entry["accuracy_change"] for entry in step["entries"]],
            "seconds": step["seconds"],
        }
        for step in record["promise"]["steps"]
    ]


def _check(arch: Architecture, target: Target, options: argparse.Namespace) -> dict[str, Any]:
    """A measurement that chose nothing, on the scale of the table: agents and sessions are new."""
    source = latency.find_table(target, arch.space, options.tables)
    found = []
    for _ in range(CHECK_SESSIONS):
        with Measurer(device.load("host"), _measuring(options)) as measurer:
            own = measurer.measure(target, measurer.export(target, [arch]))
            try:
                require_same(source.table.target, source.table.environment, target, own.environment)
                scale = source.table.scale
            except HwnasError:  # a shipped table of another processor: the promise had its own scale too
                scale = own.scale
            found.append((own, scale))
    merged = LatencyTable(target, found[0][0].environment, [r for table, _ in found for r in table.rounds])
    pooled = merged.measurements[arch.key()].scaled(found[0][1])
    sessions = [table.measurements[arch.key()].scaled(scale).latency_ms for table, scale in found]
    return {
        "ms": pooled.latency_ms,
        "interval_ms": list(pooled.interval_ms or pooled.ci_ms),
        "sessions_ms": sessions,
    }


def _weights(world: World, options: argparse.Namespace) -> dict[str, Any]:
    """One architecture with random and with trained weights, in the same session."""
    rng = np.random.default_rng(options.seed)
    arch = world.space.sample(rng)
    model = new_network(arch, options.seed)
    config = TrainConfig(epochs=1, batch_size=32, learning_rate=0.05, seed=options.seed)
    fit(model, world.dataset, config)
    random = export.random_module(arch.blocks, options.seed, arch.reads)
    images = world.dataset.normalize(world.dataset.sample("train", 64, options.seed).images)
    ratios = {}
    with Measurer(device.load("host"), _measuring(options)) as measurer:
        for runtime in RUNTIMES:
            for precision in PRECISIONS:
                models = {
                    name: export.lower(
                        module,
                        arch.space.input_shape,
                        runtime,
                        precision,
                        calibration=images,
                        check=False,
                    ).model
                    for name, module in (("random", random), ("trained", model))
                }
                tables = [
                    measurer.measure(Target("host", runtime, precision), models)
                    for _ in range(options.weight_sessions)
                ]
                ratios[f"{runtime}-{precision}"] = [
                    t.measurements["trained"].latency_ms / t.measurements["random"].latency_ms for t in tables
                ]
    say(f"trained over random weights on {arch.space.name}: {ratios}")
    return {"space": arch.space.name, "indices": list(arch.indices), "trained_over_random": ratios}


def _measuring(options: argparse.Namespace) -> ProfileOptions:
    """As many rounds for all, so that the bench ends in time."""
    return ProfileOptions(rounds=options.rounds, max_rounds=options.rounds, min_round_s=options.min_round_s)


def _profile(runs: list[Run], options: argparse.Namespace) -> None:
    """Measure the tables that are missing, into ``--tables``."""
    host, folder = device.load("host"), options.tables / "host"
    for run in runs:
        dataset = data.load(options.data, resolution=spaces.load(run.space).input_shape[1])
        space, wanted = (
            spaces.load(run.space, num_classes=dataset.num_classes),
            host.target(run.runtime, run.precision),
        )
        try:
            found = latency.find_table(wanted, space, options.tables)
            if found.own:
                continue
        except TableError:
            pass
        say(f"profiling {space.name} on {wanted}")
        measure.profile(host, space, [wanted], folder)


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    good = [row for row in rows if "refused" not in row]
    if not good:
        return {"runs": len(rows), "refused": len(rows)}
    repairs = [step for row in good for step in row["steps"] if step["purpose"] == "repair"]
    changes = [c for step in repairs for c in step["accuracy_change"] if c is not None]
    return {
        "runs": len(rows),
        "refused": len(rows) - len(good),
        "within": sum(row["within"] for row in good),
        "within_strictly": sum(row["within_strictly"] for row in good),
        "mean_slack": statistics.fmean(row["slack"] for row in good),
        "largest_slack": max(row["slack"] for row in good),
        "runs_with_repairs": sum(any(s["purpose"] == "repair" for s in row["steps"]) for row in good),
        "repairs": sum(step["networks"] for step in repairs),
        "repair_seconds": sum(sum(step["seconds"].values()) for step in repairs),
        "repair_accuracy_change": statistics.fmean(changes) if changes else None,
        "promise_seconds": statistics.fmean(row["seconds"]["promise"] for row in good),
        "networks_measured": statistics.fmean(row["networks_measured"] for row in good),
        "prediction_error": statistics.fmean(abs(row["predicted_error"]) for row in good),
    }


def _targets(rows: list[dict[str, Any]], weights: list[dict[str, Any]]) -> list[dict[str, Any]]:
    summary = _summary(rows)
    found = [
        target("runs within the budget", summary.get("within"), ">=", len(ARRAY)),
        target("mean slack over the budget", summary.get("mean_slack"), "<=", 0.05),
    ]
    ratios = [r for row in weights for pair in row["trained_over_random"].values() for r in pair]
    if ratios:
        off = statistics.median(abs(ratio - 1) for ratio in ratios)
        found.append(target("trained over random weights: median distance from 1", off, "<=", 0.01))
    return found


def _environment() -> dict[str, Any]:
    with Measurer(device.load("host")) as measurer:
        about = {r: measurer.environment(Target("host", r, "fp32")) for r in RUNTIMES}
    runtimes = {r: e.get("runtime_version") for r, e in about.items()}
    return environment(cpu_model=about["litert"].get("cpu_model"), runtimes=runtimes)


def _options() -> argparse.Namespace:
    found = parser(__doc__, seed=0, rows="runs")
    found.add_argument("--tables", type=Path, help="folder of latency tables; one's own by default")
    found.add_argument("--profile", action="store_true", help="measure missing tables first")
    found.add_argument("--spaces", nargs=2, default=["macro-r32", "fbnet-r96"])
    found.add_argument("--data", default="digits", help="or CIFAR-10 as a folder of parquet")
    found.add_argument("--work", type=made_folder, help="folder to keep runs and supernets in")
    found.add_argument("--only", type=int, nargs="+", help="numbers of the runs, from 0")
    found.add_argument("--no-weights", action="store_true", help="leave out random against trained weights")
    found.add_argument("--warmup-steps", type=int, default=300, help="of each supernet")
    found.add_argument("--steps", type=int, default=60, help="search steps of proxylessnas")
    found.add_argument("--queries", type=int, default=24, help="of evolution")
    found.add_argument("--width", type=float, default=0.25, help="of the proxy")
    found.add_argument("--shrink", type=int, default=3, help="image side over that of the proxy")
    found.add_argument("--images", type=int, default=500, help="validation images that a score is of")
    found.add_argument("--rounds", type=int, default=9, help="of every measurement")
    found.add_argument("--min-round-s", type=float, default=1.0, help="shortest time of a round")
    found.add_argument("--disturb", action="store_true", help="six searches, in quiet and disturbed")
    found.add_argument("--weight-sessions", type=int, default=1, help="of random against trained weights")
    options = found.parse_args()
    if options.profile and options.tables is None:
        found.error("--profile needs --tables, the folder to write to")
    return options


if __name__ == "__main__":
    main()

"""Where one-shot searches land, and what they find: the macro space on CIFAR-10, MACs as latency.

    python tools/bench_landing.py                              # hours on 2 cores
    python tools/bench_landing.py --warmup-images 20000 --steps 30 --seeds 0 --budgets 0.5

Prints one JSON object. For every seed one supernet is warmed up; each strategy starts from a
copy of it. *Landing*: expected, arg-max and returned latency over the budget. *Found*: the
benchmark's true accuracy of the returned network, its percentile among feasible networks, and
how far it is above random feasible networks of equal cost. The controls beside: the strategy on
cross-entropy alone with the same constrained decoding, and random search over the same
supernet for as long as the strategy took. With ``--paper-losses`` the papers' own losses, in
two units of latency, show where fixed coefficients land.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _macro import config_of, environment, load, macs_costs, parser, say, target, train

from hwnas.data import Dataset
from hwnas.latency.base import AdditiveCosts
from hwnas.search.base import Constraint, SearchTask, relative_budget
from hwnas.search.fbnet import FBNet
from hwnas.search.oneshot import OneShot
from hwnas.search.oneshot_loop import OneShotStrategy
from hwnas.search.proxylessnas import ProxylessNAS
from hwnas.search.random import Random
from hwnas.search.tabular import Benchmark
from hwnas.space import SearchSpace

BAND = 0.025
"""Networks within this share of a cost count as of equal cost."""

STRATEGIES: dict[str, OneShotStrategy] = {
    "fbnet": FBNet(gate_learning_rate=0.05),
    "proxylessnas": ProxylessNAS(gate_learning_rate=0.05),
    "proxylessnas-reinforce": ProxylessNAS(gate_learning_rate=0.05, form="reinforce"),
}
PAPER_LOSSES = {"fbnet": ("fbnet",), "proxylessnas": ("proxyless-linear", "proxyless-log")}


def main() -> None:
    """Measure, then print."""
    options = _options()
    space, dataset, benchmark = load(options)
    truth = Truth(space, benchmark)
    rows = [row for seed in options.seeds for row in _seed(space, dataset, truth, seed, options)]
    report = {
        "config": {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()},
        "environment": environment(options),
        "results": {"runs": rows, "summary": _summary(rows)},
        "targets": _targets(rows),
    }
    print(json.dumps(report, allow_nan=False))


def _options() -> argparse.Namespace:
    found = parser(__doc__ or "")
    found.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="one warm-up each")
    found.add_argument(
        "--budgets", type=float, nargs="+", default=[0.3, 0.5, 0.7], help="shares of the range"
    )
    found.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=list(STRATEGIES))
    found.add_argument("--warmup-images", type=int, default=300_000)
    found.add_argument("--steps", type=int, default=400, help="search steps")
    found.add_argument("--finalists", type=int, default=12)
    found.add_argument("--no-controls", action="store_true")
    found.add_argument("--paper-losses", action="store_true")
    return found.parse_args()


class Truth:
    """True accuracies of all distinct networks, and their cost."""

    def __init__(self, space: SearchSpace, benchmark: Benchmark) -> None:
        self.benchmark = benchmark
        self.costs: AdditiveCosts = macs_costs(space)
        self.cost = self.costs.of(benchmark.networks)
        self.accuracy = np.array([runs.mean() for runs in benchmark.runs.values()])

    def of(self, indices: tuple[int, ...], limit: float) -> dict[str, float]:
        """How a network compares with the feasible ones, and with those of equal cost."""
        accuracy = self.benchmark.accuracy(indices)
        cost = float(self.costs.of(np.array([indices]))[0])
        feasible = self.accuracy[self.cost <= limit]
        equal = self.accuracy[(np.abs(self.cost / cost - 1) <= BAND) & (self.cost <= limit)]
        return {
            "true_accuracy": accuracy,
            "percentile": float((feasible <= accuracy).mean()),
            "regret": float(feasible.max() - accuracy),
            "above_equal_cost": float(accuracy - equal.mean()),
        }


def _seed(
    space: SearchSpace, dataset: Dataset, truth: Truth, seed: int, options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """All runs that start from the warm-up of one seed."""
    oneshot = OneShot(space, dataset, config_of(options, seed))
    steps = options.warmup_images // options.batch_size
    seconds = train(oneshot, steps, f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "warm.safetensors"
        oneshot.save(path)
        for share in options.budgets:
            constraint = Constraint("macs", truth.costs, relative_budget(truth.costs, share))
            for name in options.strategies:
                for loss, unit in _losses(name, options):
                    oneshot.resume(path)
                    row = _run(name, loss, unit, oneshot, constraint, truth, steps, seed, options)
                    row |= {"seed": seed, "share": share, "warmup_s": seconds}
                    say(json.dumps(row))
                    yield row
                    if not options.no_controls and loss == "hold":
                        yield _random(oneshot, constraint, truth, row, seed)


def _losses(name: str, options: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """Losses to run, each with what a million MACs count as in ms."""
    yield "hold", 1.0
    if not options.no_controls:
        yield "none", 1.0
    if options.paper_losses:
        for loss in PAPER_LOSSES.get(name, ()):
            yield loss, 1.0
            yield loss, 1e-3


def _run(
    name: str,
    loss: str,
    unit: float,
    oneshot: OneShot,
    constraint: Constraint,
    truth: Truth,
    warmup_steps: int,
    seed: int,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """One search; costs, and with them the budget, are counted in the unit."""
    costs = AdditiveCosts(unit * truth.costs.fixed_ms, tuple(unit * c for c in truth.costs.choices_ms))
    scaled = Constraint("macs", costs, unit * constraint.budget_ms)
    strategy = dataclasses.replace(
        STRATEGIES[name],
        warmup_steps=warmup_steps,
        steps=options.steps,
        finalists=options.finalists,
        loss=loss,
    )
    task = SearchTask(oneshot.space, (scaled,), oneshot)
    began = time.monotonic()
    found = strategy.search(task, np.random.default_rng(seed))
    limit = scaled.limit_ms
    decoded = tuple(found.extra["decoded"]["indices"])
    return {
        "strategy": name,
        "loss": loss,
        "unit": unit,
        "seconds": time.monotonic() - began,
        "expected": found.extra["expected_ms"][0] / limit,
        "argmax": found.extra["argmax"]["latencies_ms"][0] / limit,
        "decoded": found.extra["decoded"]["latencies_ms"][0] / limit,
        "returned": float(task.latencies_ms(np.array([found.best.indices]))[0, 0] / limit),
        "entropy": found.trace[-1]["entropy"],
        "multiplier": found.trace[-1]["multiplier"],
        "alarms": found.extra["alarms"],
        "indices": list(found.best.indices),
        "truth": truth.of(found.best.indices, constraint.limit_ms),
        "decoded_truth": truth.of(decoded, constraint.limit_ms),
    }


def _random(
    oneshot: OneShot, constraint: Constraint, truth: Truth, row: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Random search over the supernet that the strategy left, for as long as the strategy took."""
    task = SearchTask(oneshot.space, (constraint,), oneshot)
    began = time.monotonic()
    Random(queries=3).search(task, np.random.default_rng(1000 + seed))
    queries = max(1, round(3 * row["seconds"] / (time.monotonic() - began)))
    found = Random(queries=queries).search(task, np.random.default_rng(seed))
    cost = float(constraint.costs.of(np.array([found.best.indices]))[0])
    return {
        "strategy": "random",
        "beside": row["strategy"],
        "loss": "hold",
        "seed": seed,
        "share": row["share"],
        "queries": queries,
        "returned": cost / constraint.limit_ms,
        "indices": list(found.best.indices),
        "truth": truth.of(found.best.indices, constraint.limit_ms),
    }


def _summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians over seeds and budgets, one line a strategy and loss."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(
            (row["strategy"], row.get("beside", ""), row["loss"], str(row.get("unit", ""))), []
        ).append(row)
    found = []
    for key, group in groups.items():
        line: dict[str, Any] = {
            "strategy": key[0],
            "beside": key[1],
            "loss": key[2],
            "unit": key[3],
            "runs": len(group),
        }
        for name in ("expected", "argmax", "decoded", "returned"):
            if name in group[0]:
                line[name] = statistics.median(row[name] for row in group)
        for name in ("true_accuracy", "percentile", "regret", "above_equal_cost"):
            line[name] = statistics.fmean(row["truth"][name] for row in group)
        found.append(line)
    return found


def _targets(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for name in STRATEGIES:
        runs = [r for r in rows if r["strategy"] == name and r["loss"] == "hold"]
        if not runs:
            continue
        off = max(abs(r["expected"] - 1) for r in runs)
        found.append(target(f"{name}: largest miss of the expected latency", off, "<=", 0.02))
        within = statistics.fmean(r["argmax"] <= 1 for r in runs)
        found.append(target(f"{name}: share of runs with the arg-max within the budget", within, ">=", 1.0))
        kept = statistics.fmean(r["returned"] <= 1 for r in runs)
        found.append(
            target(f"{name}: share of runs with the returned network within the budget", kept, ">=", 1.0)
        )
        slack = statistics.median(1 - r["returned"] for r in runs)
        found.append(target(f"{name}: median slack of the returned network", slack, "<=", 0.05))
        gain = statistics.fmean(r["truth"]["above_equal_cost"] for r in runs)
        bound = 0.012 if name == "proxylessnas" else 0.010
        found.append(target(f"{name}: accuracy above random networks of equal cost", gain, ">=", bound))
        if name == "proxylessnas":
            regret = statistics.fmean(r["truth"]["regret"] for r in runs)
            found.append(target(f"{name}: mean regret", regret, "<=", 0.0025))
        for loss, label in (("none", "cross-entropy alone"), ("random", "random search")):
            others = [
                r
                for r in rows
                if (r["strategy"] == name and r["loss"] == loss)
                or (loss == "random" and r.get("beside") == name)
            ]
            if others:
                value = statistics.fmean(r["truth"]["true_accuracy"] for r in runs)
                bound = statistics.fmean(r["truth"]["true_accuracy"] for r in others)
                found.append(target(f"{name}: accuracy against {label}", value, ">=", bound))
    return found


if __name__ == "__main__":
    main()

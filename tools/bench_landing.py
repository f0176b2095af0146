"""Where one-shot searches land, and what they find: the macro space on CIFAR-10, MACs as latency.

    python tools/bench_landing.py                              # hours on 2 cores
    python tools/bench_landing.py --warmup-images 20000 --steps 30 --seeds 0 --budgets 0.5
    python tools/bench_landing.py --macs 60 --seconds 200      # every strategy for as many CPU seconds

Prints one JSON object. For every seed one supernet is warmed up; each strategy starts from a
copy of it. *Landing*: expected, arg-max and returned latency over the budget. *Found*: the
benchmark's true accuracy of the returned network, its percentile among feasible networks, and
how far it is above random feasible networks of equal cost. The controls beside: the strategy on
cross-entropy alone with the same constrained decoding (one search a seed, as it knows no
budget), and random search over the same warm supernet for as many CPU seconds as the strategy
took. Sampling strategies ask that supernet as often as random search may beside the cheapest
one-shot strategy. Petridish grows from a cold supernet in as many steps as a single path would take
in the time of warm-up and search. Nobody looks at the sharpness of the loss. With ``--seconds`` each
strategy takes as many search steps as fit, by what its steps were measured to take. With
``--paper-losses`` the papers' own losses, in two units of latency, show where fixed coefficients land.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _bench import Rows, report, target
from _macro import environment, load, macs_costs, parser, trained

from hwnas.budget import Budget
from hwnas.data import Dataset
from hwnas.evaluators.supernet.oneshot import OneShot
from hwnas.evaluators.tabular import Benchmark
from hwnas.latency.base import Cost
from hwnas.search import strategy as strategy_of
from hwnas.search.base import SearchResult
from hwnas.search.oneshot.darts import DARTS
from hwnas.search.oneshot.enas import ENAS
from hwnas.search.oneshot.fbnet import FBNet
from hwnas.search.oneshot.gates import Gates
from hwnas.search.oneshot.gdas import GDAS
from hwnas.search.oneshot.loop import OneShotStrategy
from hwnas.search.oneshot.petridish import Petridish
from hwnas.search.oneshot.proxylessnas import ProxylessNAS
from hwnas.search.oneshot.snas import SNAS
from hwnas.search.problem import Constraint, Problem, relative_budget
from hwnas.search.sampling.random import Random
from hwnas.search.session import Session
from hwnas.space import SearchSpace

_TIMED = 13
"""Search steps that are timed."""
BAND = 0.025
"""Networks within this share of a cost count as of equal cost."""

STRATEGIES: dict[str, OneShotStrategy] = {
    "fbnet": FBNet(gate_learning_rate=0.05),
    "proxylessnas": ProxylessNAS(gate_learning_rate=0.05),
    "proxylessnas-reinforce": ProxylessNAS(gate_learning_rate=0.05, form="reinforce"),
    "darts": DARTS(gate_learning_rate=0.05),
    "darts-second": DARTS(gate_learning_rate=0.05, order=2),
    "snas": SNAS(gate_learning_rate=0.05),
    "gdas": GDAS(gate_learning_rate=0.05),
    "enas": ENAS(),
}
SAMPLERS = ["random", "evolution", "mnasnet", "nsga2", "surrogate"]
CONTROLLED = tuple(name for name in STRATEGIES if name != "enas")
"""Those that can search on cross-entropy alone: a controller only draws what keeps the budgets."""
PAPER_LOSSES = {"fbnet": ("fbnet",), "proxylessnas": ("proxyless-linear", "proxyless-log")}


def main() -> None:
    """Measure, then print."""
    options = _options()
    space, dataset, benchmark = load(options)
    truth = Truth(space, benchmark)
    done = Rows(options.rows)
    rows = [row for seed in options.seeds for row in _seed(space, dataset, truth, seed, options, done)]
    report(options, {"runs": rows, "summary": _summary(rows)}, _targets(rows), environment(options))


def _options() -> argparse.Namespace:
    found = parser(__doc__, [0, 1, 2], rows="runs")
    found.add_argument(
        "--budgets", type=float, nargs="+", default=[0.3, 0.5, 0.7], help="shares of the range"
    )
    found.add_argument("--macs", type=float, nargs="+", help="millions of MACs, instead of shares")
    found.add_argument("--seconds", type=float, help="of one CPU, of each search, instead of --steps")
    found.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=list(STRATEGIES))
    found.add_argument("--warmup-images", type=int, default=300_000)
    found.add_argument("--steps", type=int, default=400, help="search steps")
    found.add_argument("--finalists", type=int, default=12)
    found.add_argument("--no-controls", action="store_true", help="no search on cross-entropy alone")
    found.add_argument("--paper-losses", action="store_true")
    found.add_argument("--petridish", action="store_true", help="grow networks from a cold supernet too")
    found.add_argument(
        "--samplers", nargs="*", default=SAMPLERS, choices=SAMPLERS, help="over the warm supernet"
    )
    return found.parse_args()


class Truth:
    """True accuracies of all distinct networks, and their cost."""

    def __init__(self, space: SearchSpace, benchmark: Benchmark) -> None:
        self.benchmark = benchmark
        self.costs: Cost = macs_costs(space)
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
    space: SearchSpace, dataset: Dataset, truth: Truth, seed: int, options: argparse.Namespace, rows: Rows
) -> Iterator[dict[str, Any]]:
    """All runs that start from the warm-up of one seed."""
    steps = options.warmup_images // options.batch_size
    oneshot, _ = trained(space, dataset, options, seed, steps)
    limits = {share: relative_budget(truth.costs, share) for share in options.budgets}
    if options.macs:
        low, high = truth.costs.range
        limits = {(macs - low) / (high - low): macs for macs in options.macs}
    constraints = {share: Constraint(Budget("macs", limit), truth.costs) for share, limit in limits.items()}
    with tempfile.TemporaryDirectory() as folder:
        warm = Path(folder) / "warm.safetensors"
        oneshot.save(warm)
        bench = _Bench(oneshot, warm, truth, seed, steps, options, rows)
        for name in options.strategies:
            if not options.no_controls and name in CONTROLLED:
                key = f"seed {seed}, {name}, none"
                yield from rows.get(key, lambda name=name: bench.without_latency(name, constraints))["runs"]
            for share, constraint in constraints.items():
                for loss, unit in _losses(name, options):
                    key = f"seed {seed}, budget {share}, {name}, {loss}, unit {unit}"
                    yield rows.get(
                        key, lambda a=(name, loss, unit), c=constraint, s=share: bench.one_shot(*a, c, s)
                    )
        for share, constraint in constraints.items():
            if options.petridish:
                key = f"seed {seed}, budget {share}, petridish"
                yield rows.get(key, lambda c=constraint, s=share: bench.grown(dataset, c, s))
            cost = {
                name: rows.found[f"seed {seed}, budget {share}, {name}, hold, unit 1.0"]["seconds"]
                for name in options.strategies
            }
            for name in options.samplers:
                key = f"seed {seed}, budget {share}, {name}"
                yield from rows.get(
                    key, lambda n=name, c=constraint, s=share, b=cost: bench.sampled(n, c, s, b)
                )["runs"]


def _losses(name: str, options: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """Losses to run under a budget, each with what a million MACs count as in ms."""
    yield "hold", 1.0
    if options.paper_losses:
        for loss in PAPER_LOSSES.get(name, ()):
            yield loss, 1.0
            yield loss, 1e-3


@dataclass(frozen=True)
class _Bench:
    """Runs that start from one warm supernet, each described by one row or several."""

    oneshot: OneShot
    warm: Path
    truth: Truth
    seed: int
    warmup_steps: int
    options: argparse.Namespace
    rows: Rows

    def one_shot(
        self, name: str, loss: str, unit: float, constraint: Constraint, share: float
    ) -> dict[str, Any]:
        """One search; costs, and with them the budget, are counted in the unit."""
        costs = self.truth.costs
        costs = Cost(unit * costs.fixed, tuple(unit * c for c in costs.choices))
        scaled = Constraint(Budget("macs", unit * constraint.budget.limit), costs)
        found, seconds = self._searched(name, loss, scaled)
        described = self._described(found.extra, found.best.indices, constraint)
        trace = [record["expected_share"] for record in found.trace]
        return {
            **self._labels(name, loss, share),
            "unit": unit,
            "seconds": seconds,
            "entropy": found.trace[-1]["entropy"],
            "multiplier": found.trace[-1]["multiplier"],
            "alarms": found.extra["alarms"],
            "expected_in_last_tenth": [min(trace[-len(trace) // 10 :]), max(trace[-len(trace) // 10 :])],
            **described,
            "expected": found.extra["expected_ms"][0] / scaled.usable,
        }

    def without_latency(self, name: str, constraints: dict[float, Constraint]) -> dict[str, Any]:
        """One search on cross-entropy alone, whose gates are decoded and ranked under each budget."""
        first = next(iter(constraints.values()))
        found, seconds = self._searched(name, "none", first)
        gates, strategy = Gates(self.oneshot.space), self._strategy(name, "none")
        for parameter, values in zip(gates.logits, found.extra["logits"], strict=True):
            parameter.data = torch.tensor(values)
        rows = []
        for share, constraint in constraints.items():
            problem, rng = Problem(self.oneshot.space, (constraint,)), np.random.default_rng(self.seed)
            finalists = gates.finalists(problem, strategy.finalists, strategy.least_use, rng)
            best = max(finalists, key=lambda indices: self.oneshot(problem.space.architecture(indices)))
            extra = {**found.extra, "decoded": {"indices": gates.decode(problem).indices}}
            row = {**self._labels(name, "none", share), "unit": 1.0, "seconds": seconds}
            rows.append(row | self._described(extra, best, constraint))
        return {"runs": rows}

    def sampled(
        self, name: str, constraint: Constraint, share: float, seconds: dict[str, float]
    ) -> dict[str, Any]:
        """A sampling strategy over the warm supernet, at the cost of one-shot searches.

        Random search is one search that is read when it has cost as much as each of them.
        """
        self.oneshot.resume(self.warm)
        problem = Problem(self.oneshot.space, (constraint,))
        began = time.process_time()
        Random(queries=5).search(problem, self.oneshot, np.random.default_rng(1000 + self.seed), Session())
        pace = (time.process_time() - began) / 5
        queries = {beside: max(1, round(cost / pace)) for beside, cost in seconds.items()}
        cheapest = min(queries, key=lambda beside: queries[beside])
        beside = queries if name == "random" else {cheapest: queries[cheapest]}
        kind = strategy_of(name)(queries=max(beside.values()))
        found = kind.search(problem, self.oneshot, np.random.default_rng(self.seed), Session())
        rows = []
        for other, count in beside.items():
            best = tuple(found.trace[min(count, len(found.trace)) - 1]["best"])
            row = {**self._labels(name, "hold", share), "beside": other, "queries": count}
            rows.append(row | self._returned(best, constraint))
        return {"runs": rows}

    def grown(self, dataset: Dataset, constraint: Constraint, share: float) -> dict[str, Any]:
        """Petridish from nothing, in as many steps as a single path would take in the same time."""
        fresh = OneShot(self.oneshot.space, dataset, self.oneshot.config)
        found = self.options.seconds or self.options.steps * self._pace("fbnet")
        single = self.warmup_steps + round(found / self._pace("gdas") * 2)  # its step is two single paths
        strategy = Petridish(
            warmup_steps=round(0.4 * single),
            child_steps=max(1, round(0.04 * single)),
            candidate_steps=max(1, round(0.007 * single)),
        )
        began = time.process_time()
        problem = Problem(fresh.space, (constraint,))
        result = strategy.search(problem, fresh, np.random.default_rng(self.seed), Session())
        row = {**self._labels("petridish", "hold", share), "unit": 1.0}
        return {
            **row,
            "seconds": time.process_time() - began,
            **self._returned(result.best.indices, constraint),
        }

    def _strategy(self, name: str, loss: str, steps: int | None = None) -> OneShotStrategy:
        known, options = STRATEGIES[name], self.options
        if steps is None:
            steps = options.steps
            if options.seconds:
                steps = max(1, round(options.seconds / self._pace(name)))
        return dataclasses.replace(
            known,
            warmup_steps=self.warmup_steps,
            steps=steps,
            finalists=options.finalists,
            curvatures=0,
            loss=loss if name in CONTROLLED else known.loss,
        )

    def _pace(self, name: str) -> float:
        """CPU seconds of a search step."""
        return float(self.rows.get(f"pace of {name}", lambda: {"seconds": self._timed(name)})["seconds"])

    def _timed(self, name: str) -> float:
        self.oneshot.resume(self.warm)
        low, high = self.truth.costs.range
        problem = Problem(
            self.oneshot.space, (Constraint(Budget("macs", (low + high) / 2), self.truth.costs),)
        )
        at = list[float]()

        def seen(record: Mapping[str, Any]) -> None:
            if record.get("phase") == "search":
                at.append(time.process_time())

        strategy = dataclasses.replace(self._strategy(name, "hold", _TIMED), finalists=1)
        strategy.search(problem, self.oneshot, np.random.default_rng(self.seed), Session(tell=seen))
        return float(np.median(np.diff(at)))

    def _searched(self, name: str, loss: str, constraint: Constraint) -> tuple[SearchResult, float]:
        self.oneshot.resume(self.warm)
        problem = Problem(self.oneshot.space, (constraint,))
        began = time.process_time()
        found = self._strategy(name, loss).search(
            problem, self.oneshot, np.random.default_rng(self.seed), Session()
        )
        return found, time.process_time() - began

    def _labels(self, name: str, loss: str, share: float) -> dict[str, Any]:
        return {"strategy": name, "loss": loss, "seed": self.seed, "share": share}

    def _described(
        self, extra: Mapping[str, Any], best: tuple[int, ...], constraint: Constraint
    ) -> dict[str, Any]:
        """Where gates are, what they decode to and what was returned, over the budget."""
        decoded = tuple(extra["decoded"]["indices"])
        return {
            "expected": self._expected(extra["logits"]) / constraint.usable,
            "argmax": self._used(tuple(extra["argmax"]["indices"]), constraint),
            "decoded": self._used(decoded, constraint),
            "decoded_truth": self.truth.of(decoded, constraint.usable),
            **self._returned(best, constraint),
        }

    def _returned(self, best: tuple[int, ...], constraint: Constraint) -> dict[str, Any]:
        return {
            "returned": self._used(best, constraint),
            "indices": list(best),
            "truth": self.truth.of(best, constraint.usable),
        }

    def _expected(self, logits: Sequence[Sequence[float]]) -> float:
        costs = self.truth.costs
        parts = (c @ np.exp(p - np.logaddexp.reduce(p)) for p, c in zip(logits, costs.choices, strict=True))
        return float(costs.fixed + sum(parts))

    def _used(self, indices: tuple[int, ...], constraint: Constraint) -> float:
        return float(self.truth.costs.of(np.array([indices]))[0] / constraint.usable)


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
        controls = {
            "cross-entropy alone": lambda r, name=name: r["strategy"] == name and r["loss"] == "none",
            "random search": lambda r, name=name: r["strategy"] == "random" and r["beside"] == name,
        }
        for label, belongs in controls.items():
            others = [r for r in rows if belongs(r)]
            if others:
                value = statistics.fmean(r["truth"]["true_accuracy"] for r in runs)
                bound = statistics.fmean(r["truth"]["true_accuracy"] for r in others)
                found.append(target(f"{name}: accuracy against {label}", value, ">=", bound))
    return found


if __name__ == "__main__":
    main()

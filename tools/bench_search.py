"""Sampling strategies on NAS-Bench-Macro: regret by queries, and where reinforcement lands.

    python tools/bench_search.py ../shared/data/nas_bench_macro/nas-bench-macro_cifar10.json
    python tools/bench_search.py FILE --seeds 5 --budgets 60 --queries 25 50 --rl-seeds 2

Each query answers one random of the three trainings of the network that is asked for. Regret is
the oracle's ``mean_acc`` under the budget minus that of the returned network, in points. The
benchmark's 6,561 keys are 3,969 distinct networks; strategies never ask for one twice, except
where their last fifth of queries re-measures the leaders ("+remeasure"). Costs are MACs in
millions unless ``--costs`` gives another additive table: a file of ``hwnas fit``, or JSON with
``fixed_ms`` and ``choices_ms``. One JSON object on standard output, progress on standard error.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from _bench import Rows, environment, parser, report, say, target

from hwnas import files, spaces
from hwnas.budget import Budget
from hwnas.evaluators import tabular
from hwnas.evaluators.tabular import Benchmark, Tabular
from hwnas.latency import from_json
from hwnas.latency.base import Cost
from hwnas.search.problem import Constraint, Problem
from hwnas.search.sampling.bananas import Bananas
from hwnas.search.sampling.chamnet import ChamNet
from hwnas.search.sampling.evolution import Evolution
from hwnas.search.sampling.local import Local
from hwnas.search.sampling.loop import SamplingStrategy
from hwnas.search.sampling.mnasnet import REWARDS, MnasNet, reward
from hwnas.search.sampling.nao import NAO
from hwnas.search.sampling.nsga2 import NSGA2
from hwnas.search.sampling.pnas import PNAS
from hwnas.search.sampling.qlearning import QLearning
from hwnas.search.sampling.random import Random
from hwnas.search.sampling.reinforce import Reinforce
from hwnas.search.sampling.renas import RENAS
from hwnas.search.sampling.surrogate import Surrogate
from hwnas.search.sampling.tpe import TPE
from hwnas.search.session import Session
from hwnas.spaces.canonical import Canonical

REMEASURED = 0.2
UNTRAINED = 1e-30  # changes no weight: what a policy finds by what it may draw, before it has learnt anything
VARIANTS: dict[str, tuple[type[SamplingStrategy], dict[str, Any]]] = {
    "random": (Random, {}),
    "random+remeasure": (Random, {"remeasure": REMEASURED}),
    "evolution": (Evolution, {}),
    "evolution+remeasure": (Evolution, {"remeasure": REMEASURED}),
    "local": (Local, {}),
    "nao": (NAO, {}),
    "nsga2": (NSGA2, {}),
    "pnas": (PNAS, {}),
    "qlearning": (QLearning, {}),
    "qlearning+shaped": (QLearning, {"shaped": True}),
    "reinforce": (Reinforce, {}),
    "reinforce-untrained": (Reinforce, {"learning_rate": UNTRAINED}),
    "renas": (RENAS, {}),
    "renas-untrained": (RENAS, {"learning_rate": UNTRAINED}),
    "tpe": (TPE, {}),
    "bananas": (Bananas, {}),
    "chamnet": (ChamNet, {}),
    "surrogate": (Surrogate, {}),
    "surrogate+remeasure": (Surrogate, {"remeasure": REMEASURED}),
}
TARGETS = {  # variant: queries to regret, in points
    "surrogate+remeasure": {25: 0.13, 50: 0.05, 100: 0.03},
    "evolution": {50: 0.25, 100: 0.13},
    "evolution+remeasure": {50: 0.25, 100: 0.13},
}
TARGET_BUDGET, NEAR, LANDED = 60.0, 0.05, 0.70


@dataclass(frozen=True)
class Job:
    """One search. With ``queries`` of several numbers, its course is read at each of them."""

    variant: str
    budget: float
    seed: int
    queries: tuple[int, ...]
    file: Path
    costs: Path | None


def main() -> None:
    """Run all searches, then print the report."""
    options = _options()
    began = time.monotonic()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # for the workers, which share the cores: read when numpy is loaded
    jobs = list(_jobs(options))
    done = Rows(options.rows)
    todo = [job for job in jobs if str(job) not in done]
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as executor:
        for number, (job, found) in enumerate(zip(todo, executor.map(run, todo), strict=True), start=1):
            done.add(str(job), found)
            if number % max(1, len(todo) // 50) == 0:
                say(f"{number}/{len(todo)} {time.monotonic() - began:.0f} s")
    rows = [row for job in jobs for row in done[str(job)]]
    regrets = [row for row in rows if "regret" in row]
    landings = [row for row in rows if "argmax_used" in row]
    results = {
        "networks": len(_world(options.file, options.costs)[0].runs),
        "feasible": {str(b): _feasible(options, b) for b in options.budgets},
        "regret": _regrets(regrets),
        "landing": _landings(landings),
        "reward_optimum": [_optimum(options, kind) for kind in REWARDS] if landings else [],
        "seconds": round(time.monotonic() - began, 1),
    }
    report(options, results, _targets(results), environment("numpy", "scipy", "optuna", "torch"))


def run(job: Job) -> list[dict[str, Any]]:
    """One search, in a worker process."""
    benchmark, costs = _world(job.file, job.costs)
    chance = np.random.default_rng([job.seed, round(job.budget * 1000), *job.variant.encode()])
    answers, search = chance.spawn(2)
    problem = Problem(benchmark.space, (Constraint(Budget("costs", job.budget), costs),))
    evaluator = benchmark.evaluator(answers)
    began = time.monotonic()
    if job.variant in REWARDS:
        return [_landing(job, problem, evaluator, search)]
    kind, settings = VARIANTS[job.variant]
    result = kind(queries=max(job.queries), **settings).search(problem, evaluator, search, Session())
    seconds = time.monotonic() - began
    canonical, oracle = Canonical(benchmark.space), benchmark.oracle(problem.feasible)
    scored = len(result.trials)  # fewer than the queries where one more could not change the pick
    return [
        {
            "variant": job.variant,
            "budget": job.budget,
            "seed": job.seed,
            "queries": queries,
            "regret": 100
            * (oracle - benchmark.accuracy(tuple(result.trace[min(queries, scored) - 1]["best"]))),
            "distinct": len({canonical.key(t.indices) for t in result.trials[:queries]}),
            "seconds": seconds * queries / max(job.queries),
        }
        for queries in job.queries
    ]


def _landing(job: Job, problem: Problem, evaluator: Tabular, rng: np.random.Generator) -> dict[str, Any]:
    began, benchmark = time.monotonic(), evaluator.benchmark
    strategy = MnasNet(queries=job.queries[0], reward=job.variant)
    result = strategy.search(problem, evaluator, rng, Session())
    oracle, argmax, decoded = (
        benchmark.oracle(problem.feasible),
        result.extra["argmax"],
        result.extra["decoded"],
    )
    return {
        "reward": job.variant,
        "budget": job.budget,
        "seed": job.seed,
        "queries": job.queries[0],
        "scored": len(result.trials),
        "argmax_used": argmax["budget_used"],
        "expected_used": result.trace[-1]["expected_ms"] / job.budget,
        "entropy": result.trace[-1]["entropy"],
        "decoded_regret": 100 * (oracle - benchmark.accuracy(tuple(decoded["indices"]))),
        "best_regret": 100 * (oracle - benchmark.accuracy(result.best.indices)),
        "seconds": time.monotonic() - began,
    }


def _jobs(options: argparse.Namespace) -> Iterator[Job]:
    """Seed by seed, so that all variants are interleaved."""
    queries = tuple(sorted(options.queries))
    seeds = range(options.first_seed, options.first_seed + max(options.seeds, options.rl_seeds))
    for seed, budget in itertools.product(seeds, options.budgets):
        for variant in options.variants if seed - options.first_seed < options.seeds else ():
            for end in [(q,) for q in queries] if _depends_on_queries(variant) else [queries]:
                yield Job(variant, budget, seed, end, options.file, options.costs)
        if budget == options.rl_budget and seed - options.first_seed < options.rl_seeds:
            for kind in REWARDS:
                yield Job(kind, budget, seed, (options.rl_queries,), options.file, options.costs)


def _depends_on_queries(variant: str) -> bool:
    """Whether a search differs from the beginning of a longer one: each number of queries is a run then."""
    kind, settings = VARIANTS[variant]
    return "remeasure" in settings or not kind.is_anytime


@cache
def _world(file: Path, costs: Path | None) -> tuple[Benchmark, Cost]:
    """The benchmark and the additive table, once a process."""
    space = spaces.load("macro")
    if costs is None:
        fixed, choices = space.macs_table()
        return tabular.load(file, space), Cost(fixed / 1e6, tuple(c / 1e6 for c in choices))
    data = files.read_json(costs, "an additive table")
    if "choices_ms" in data:
        table = Cost(float(data["fixed_ms"]), tuple(np.array(c, float) for c in data["choices_ms"]))
    else:
        table = from_json(data).costs(space)
    return tabular.load(file, space), table


def _problem(options: argparse.Namespace, budget: float) -> tuple[Benchmark, Problem]:
    benchmark, costs = _world(options.file, options.costs)
    return benchmark, Problem(benchmark.space, (Constraint(Budget("costs", budget), costs),))


def _feasible(options: argparse.Namespace, budget: float) -> dict[str, float]:
    """How many distinct networks keep a budget, the best and the mean accuracy of them."""
    benchmark, problem = _problem(options, budget)
    networks = benchmark.networks
    means = np.array([runs.mean() for runs in benchmark.runs.values()])[problem.feasible(networks)]
    return {"networks": len(means), "oracle": 100 * means.max(), "mean": 100 * float(means.mean())}


def _optimum(options: argparse.Namespace, kind: str) -> dict[str, Any]:
    """What a reward asks for: its best network in the whole table, without any search."""
    benchmark, problem = _problem(options, options.rl_budget)
    networks = benchmark.networks
    used = problem.costs(networks)[:, 0] / options.rl_budget
    weight = MnasNet(reward=kind).used_weight
    rewards = [
        reward(kind, float(runs.mean()), float(share), weight)
        for runs, share in zip(benchmark.runs.values(), used, strict=True)
    ]
    best = int(np.argmax(rewards))
    return {
        "reward": kind,
        "weight": weight,
        "network": "".join(map(str, networks[best])),
        "used": float(used[best]),
        "accuracy": 100 * benchmark.accuracy(tuple(networks[best])),
    }


def _grouped(
    rows: list[dict[str, Any]], *names: str
) -> Iterator[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Rows that agree in ``names``: what they agree in, and the other columns."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in names)].append(row)
    for key, members in groups.items():
        columns = {n: np.array([m[n] for m in members]) for n in members[0] if n not in names}
        yield dict(zip(names, key, strict=True)), columns


def _regrets(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            **key,
            "regret": float(of["regret"].mean()),
            "standard_error": float(
                of["regret"].std(ddof=min(1, len(of["regret"]) - 1)) / len(of["regret"]) ** 0.5
            ),
            "median": float(np.median(of["regret"])),
            "seeds": len(of["regret"]),
            "distinct": float(of["distinct"].mean()),
            "seconds": float(of["seconds"].mean()),
        }
        for key, of in _grouped(rows, "budget", "variant", "queries")
    ]


def _landings(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            **key,
            "seeds": len(of["argmax_used"]),
            "argmax_used": float(of["argmax_used"].mean()),
            "argmax_used_sd": float(of["argmax_used"].std()),
            "within_5_percent": float((np.abs(of["argmax_used"] - 1) <= NEAR).mean()),
            "within_budget": float((of["argmax_used"] <= 1).mean()),
            **{n: float(of[n].mean()) for n in ("expected_used", "entropy", "scored", "seconds")},
            **{n: float(of[n].mean()) for n in ("decoded_regret", "best_regret")},
        }
        for key, of in _grouped(rows, "budget", "reward", "queries")
    ]


def _targets(results: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for row in results["regret"]:
        bound = TARGETS.get(row["variant"], {}).get(row["queries"])
        if bound is not None and (row["budget"] == TARGET_BUDGET or row["variant"].startswith("surrogate")):
            name = f"regret of {row['variant']} at {row['queries']} queries, budget {row['budget']:g}"
            found.append(target(name, row["regret"], "<=", bound))
    found += [
        target(
            f"arg-max of the absolute reward within 5 % of {row['budget']:g}, {row['queries']} queries",
            row["within_5_percent"],
            ">=",
            LANDED,
        )
        for row in results["landing"]
        if row["reward"] == "absolute"
    ]
    return found


def _options() -> argparse.Namespace:
    found = parser(__doc__, rows="searches")
    found.add_argument("file", type=Path, help="nas-bench-macro_cifar10.json")
    found.add_argument("--costs", type=Path, help="another additive table than MACs in millions")
    found.add_argument("--budgets", type=float, nargs="+", default=[60.0, 40.0, 80.0])
    found.add_argument("--queries", type=int, nargs="+", default=[25, 50, 100, 200])
    found.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    found.add_argument("--seeds", type=int, default=100)
    found.add_argument("--first-seed", type=int, default=0)
    found.add_argument("--rl-budget", type=float, default=TARGET_BUDGET)
    found.add_argument("--rl-queries", type=int, default=500)
    found.add_argument("--rl-seeds", type=int, default=30)
    found.add_argument("--processes", type=int, default=2)
    return found.parse_args()


if __name__ == "__main__":
    main()

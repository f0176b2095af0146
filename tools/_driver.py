"""What hwnas itself takes on this machine: to ask, to hand out, to write down."""

from __future__ import annotations

import os
import pickle
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from _played import Waits
from _scaling import Cluster, Cost, Duration

from hwnas import files, search
from hwnas.budget import Budget
from hwnas.latency.base import IntArray
from hwnas.pools import PoolSpec, opened, unordered
from hwnas.search.base import scored
from hwnas.search.objective import objective
from hwnas.search.problem import Constraint, Problem
from hwnas.search.sampling.surrogate import Surrogate
from hwnas.search.session import Session
from hwnas.space import SearchSpace

_INSTANT = Duration(1e-9, 0.0)
_AROUND = 50  # queries that the seconds of one are the mean of


def problem_of(space: SearchSpace) -> Problem:
    """Half the range of multiply-adds as the budget: latencies are sums over blocks as well."""
    costs = objective("macs", space).costs
    return Problem(space, (Constraint(Budget("macs", sum(costs.range) / 2, costs.unit), costs),))


def asked(name: str, problem: Problem, queries: list[int], seed: int) -> dict[str, Any]:
    """A whole search with scores for nothing: seconds of the driver around some queries, and more."""
    moments = [time.perf_counter()]
    evaluator = Waits(Cluster(1, _INSTANT), seed)
    strategy = search.made(name, {"queries": max(queries)})
    with tempfile.TemporaryDirectory() as folder:
        history = Path(folder) / "history.jsonl"
        session = Session(history=history, tell=lambda _: moments.append(time.perf_counter()))
        result = strategy.search(problem, evaluator, np.random.default_rng(seed), session)
        again = time.perf_counter()
        strategy.search(problem, evaluator, np.random.default_rng(seed), Session(history=history))
        resumed_s, size = time.perf_counter() - again, history.stat().st_size
    steps = np.diff(moments)
    began = time.perf_counter()
    result.pareto()
    return {
        "seconds": {str(n): float(steps[max(0, n - _AROUND) : n].mean()) for n in queries},
        "all_s": moments[-1] - moments[0],
        "resumed_s": resumed_s,
        "front_s": time.perf_counter() - began,
        "history_bytes_a_trial": size / max(queries),
    }


def modelled(problem: Problem, told: list[int], workers: int, seed: int) -> dict[str, Any]:
    """Seconds of the surrogate for a query after so many, with its fit at each tenth more."""
    seconds = {}
    for count in told:
        model, rows = _told(problem, count, seed)
        began = time.perf_counter()
        model.tell(_trial(problem, rows[0]))  # fits
        fitted = time.perf_counter()
        model.pending = [tuple(map(int, row)) for row in rows[2 : 1 + workers]]
        model.tell(_trial(problem, rows[1]))
        model.best()
        model.ask()
        seconds[str(count)] = time.perf_counter() - fitted + (fitted - began) / (0.1 * count)
    return {"seconds": seconds, "matrices": _matrices(problem, min(500, max(told)), seed)}


def _matrices(problem: Problem, count: int, seed: int) -> float:
    """How many matrices of queries by queries the surrogate has in memory at most, when it fits."""
    model, rows = _told(problem, count, seed)
    tracemalloc.start()
    model.tell(_trial(problem, rows[0]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / (8 * count**2)


def _told(problem: Problem, count: int, seed: int) -> tuple[Any, IntArray]:
    """A surrogate that knows all but the last of so many scores, and what may be told next."""
    settings = Surrogate(queries=count + 1)
    model: Any = settings.sampler(problem, np.random.default_rng(seed))
    model.started = settings.initial
    rows = model.archive.feasible.sample(count + 2000, np.random.default_rng(seed + 1))
    for row in rows[: count - 1]:
        trial = _trial(problem, row)
        model.archive.claim(trial.indices)
        model.archive.add(trial)
    return model, rows[count - 1 :]


def _trial(problem: Problem, row: IntArray) -> Any:
    arch = problem.blocks.architecture(row)
    return scored(problem, arch, 0.5 + 0.3 * float(np.sin(sum(arch.indices))))


def cost_of(found: dict[str, Any], *, cubic: bool) -> Cost:
    """Seconds of a query by its number: least squares of relative errors where it was measured.

    Args:
        found: Of ``asked`` or ``modelled``.
        cubic: Whether it grows with the square and the cube, instead of by a straight line.
    """
    from scipy.optimize import nnls

    powers = (0, 2, 3) if cubic else (0, 1)
    counts = np.array([float(n) for n in found["seconds"]])
    seconds = np.array(list(found["seconds"].values()))
    terms = np.stack([counts**power for power in powers], axis=1) / seconds[:, None]
    factors, _ = nnls(terms / terms.max(axis=0), np.ones(len(counts)))
    factors = factors / terms.max(axis=0)
    return lambda n: float(sum(f * n**power for f, power in zip(factors, powers, strict=True)))


def pooled(spec: str, problem: Problem, network_bytes: int, tasks: int, seed: int) -> dict[str, float]:
    """Seconds of a task of a pool whose function does nothing, and of one that answers with a network."""
    arch = problem.blocks.architecture(problem.blocks.sample(np.random.default_rng(seed)).indices)
    found = {"pickled_bytes": float(len(pickle.dumps(arch)))}
    with opened(PoolSpec.read(spec)) as pool:
        list(unordered(pool, _nothing, [arch] * 4))
        for name, function, count in (("task_s", _nothing, tasks), ("network_s", _Bytes(network_bytes), 40)):
            list(unordered(pool, function, [arch] * 4))
            began = time.perf_counter()
            list(unordered(pool, function, [arch] * count))
            found[name] = (time.perf_counter() - began) / count
    return found


def _nothing(_: object) -> float:
    return 0.5


class _Bytes:
    """Answers with as much as a network has."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __call__(self, _: object) -> bytes:
        return bytes(self._count)


def written(network_bytes: int) -> dict[str, float]:
    """Seconds to keep a network as a file, and a line of a history."""
    content, line = os.urandom(network_bytes), "x" * 170 + "\n"
    with tempfile.TemporaryDirectory() as folder:
        network, history = Path(folder) / "network", Path(folder) / "history.jsonl"
        history.touch()
        return {
            "network_s": _mean_s(lambda: files.write_atomic(network, content), 5),
            "line_s": _mean_s(lambda: files.append_whole(history, line), 200),
        }


def looked_up(problem: Problem, seed: int) -> dict[str, float]:
    """Seconds to draw, and to look up, an architecture: thousands at once."""
    from hwnas.search.feasible import FeasibleSampler

    rng, count = np.random.default_rng(seed), 10_000
    sampler = FeasibleSampler(problem)
    rows = sampler.sample(count, rng)
    return {
        "drawn_s": _mean_s(lambda: sampler.sample(count, rng), 3) / count,
        "looked_up_s": _mean_s(lambda: problem.costs(rows), 3) / count,
    }


def loaded(path: Path) -> dict[str, float]:
    """Seconds to read a table, and to derive what it says."""
    from hwnas.tables.table import LatencyTable

    return {
        "read_s": _mean_s(lambda: LatencyTable.load(path), 2),
        "derived_s": _mean_s(lambda: LatencyTable.load(path).measurements, 2),
    }


def network_bytes(space: SearchSpace, seed: int) -> int:
    """Of the weights of a random network in fp32, in the mean of twenty."""
    rng = np.random.default_rng(seed)
    return 4 * round(fmean(sum(w.block.params() for w in space.sample(rng).workloads) for _ in range(20)))


def _mean_s(work: Callable[[], object], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times

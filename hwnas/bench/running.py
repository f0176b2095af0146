"""Runs the searches of a bench that are missing, then says what all of them come to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.bench import record, results
from hwnas.bench.asked import BenchAsked, BenchJob
from hwnas.bench.entrants import Entrant
from hwnas.bench.ground import Ground, ground, identity
from hwnas.bench.record import BenchFound, Course
from hwnas.bench.results import StrategyBench
from hwnas.errors import NothingFeasible
from hwnas.pools import PoolSpec, opened, unordered
from hwnas.runs import outputs
from hwnas.runs.folder import BenchFolder
from hwnas.search.base import SearchResult
from hwnas.search.session import Session
from hwnas.spaces.canonical import Canonical

Tell = Callable[[int, int], None]
"""Told how many of how many searches are done."""

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def bench(
    asked: BenchAsked, folder: Path, *, pool: str = "processes:1", tell: Tell = lambda done, count: None
) -> StrategyBench:
    """Compare strategies; goes on where it was cut off, and runs only what is missing.

    Args:
        asked: What is compared.
        folder: Where searches are kept; that of the same bench, or a new one.
        pool: Who searches: ``processes:N`` of this machine, or ``ray[://HOST:PORT]``, whose machines read
            the sources under the same paths.
        tell: Told of each search that is done.

    Raises:
        HwnasError: A file cannot be used, no network keeps a budget, or the folder is of another bench.
    """
    spec = PoolSpec.read(pool)
    on = ground(asked.sources)
    limits = asked.limits(on)
    for _, limit in limits:
        on.problem(limit)
    with outputs.claimed(folder, "a bench"):
        path = BenchFolder(folder).jobs
        known = record.opened(path, identity(asked.sources))
        todo = list(asked.jobs([limit for _, limit in limits], record.keyed(known)))
        with _one_thread(), opened(spec) as workers:
            for done, found in enumerate(unordered(workers, search, todo), start=1):
                record.append(path, found)
                tell(done, len(todo))
        courses = record.opened(path, identity(asked.sources)) if todo else known
    return results.of(asked, on, record.keyed(courses))


def search(job: BenchJob) -> Course:
    """One search, which is a function of its job but for the time that it takes."""
    on, entrant = ground(job.sources), Entrant(job.entrant)
    chance = np.random.default_rng([job.seed, round(job.budget * 1000), *job.entrant.encode()])
    answers, own = chance.spawn(2)
    evaluator, strategy = on.benchmark.evaluator(answers), entrant.made(max(job.queries))
    seconds: list[float] = []
    began = time.monotonic()

    def told(_: Mapping[str, Any], /) -> None:
        seconds.append(time.monotonic() - began)

    try:
        result = strategy.search(on.problem(job.budget), evaluator, own, Session(tell=told))
    except NothingFeasible:
        scored, spent = len(seconds), time.monotonic() - began
        found = tuple(BenchFound(q, None, min(q, scored), min(q, scored), spent) for q in job.queries)
    else:
        found = tuple(_found(result, on, queries, seconds) for queries in job.queries)
    return Course(job.entrant, job.budget, job.seed, found)


def _found(result: SearchResult, on: Ground, queries: int, seconds: list[float]) -> BenchFound:
    """What the search had found by then; all of it where it was to end there."""
    scored = min(queries, len(result.trials))
    best = result.trace[scored - 1].get("best")
    asked = Canonical(on.space)(np.array([trial.indices for trial in result.trials[:scored]]))
    return BenchFound(
        queries,
        None if best is None else tuple(map(int, best)),
        scored,
        len(np.unique(asked, axis=0)),
        round(seconds[scored - 1], 6),
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes that are started in here have one thread each: they share the cores."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

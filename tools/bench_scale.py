"""How much is lost beyond one machine: to waiting, to Ray, to workers that die, on shelves, under torchrun.

Phases (``--phases``):

- ``async``: workers that get the next network when they are free, against batches whose slowest all wait for.
  Scores take .1 to 1.5 s, drawn once for each network; they sleep, so that eight workers fit on two cores.
- ``ray``: the same tasks of 5 s by as many workers as there are CPUs; what Ray adds to them.
- ``kills``: a thousand short tasks, by processes and by Ray, while workers are killed at random.
- ``phones``: one to eight simulated phones (the tests' ADB daemon, an agent that sleeps) measure one table.
- ``leases``: a hundred holders of four units, by locks and by the service, a third of them killed with -9.
- ``ddp``: one network trained by two processes of torchrun and by one.

Nothing of it is a phone's time.
"""

from __future__ import annotations

import os
import random
import signal
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import _bench
import numpy as np
from _bench_ddp import ddp
from _scale_devices import leases, phones

from hwnas import spaces
from hwnas.budget import Budget
from hwnas.evaluators.base import Traits
from hwnas.latency.base import Cost
from hwnas.pools import PoolSpec, WorkerPool, opened, unordered
from hwnas.search.problem import Constraint, Problem
from hwnas.search.sampling.random import Random
from hwnas.search.session import Session
from hwnas.space import Architecture, SearchSpace

PHASES = ("async", "ray", "kills", "phones", "leases", "ddp")


@dataclass(frozen=True)
class Slept:
    """An evaluator whose scores take as long as the network says; they cost no CPU."""

    @property
    def traits(self) -> Traits:
        """It may be sent."""
        return Traits("slept", is_sendable=True)

    def identity(self) -> None:
        """Nothing is kept."""

    def __call__(self, arch: Architecture) -> float:
        """Sleep; the score says nothing."""
        time.sleep(seconds_of(arch.indices))
        return 0.5


def seconds_of(indices: tuple[int, ...]) -> float:
    """How long a network takes: .1 to 1.5 s, few of them long."""
    return float(0.1 + 1.4 * (zlib.crc32(bytes(indices)) / 2**32) ** 2)


def searched(
    space: SearchSpace, workers: int, queries: int, *, together: bool, seed: int
) -> dict[str, float]:
    """Utilisation of the workers in one search: what they slept over what they could have."""
    fixed, tables = space.macs_table()
    costs = Cost(fixed / 1e6, tuple(table / 1e6 for table in tables))
    problem = Problem(space, (Constraint(Budget("macs", costs.range[1]), costs),))
    strategy = Random(queries=queries, parallel=workers if together else 1)
    marks: list[float] = []
    session = Session(workers=PoolSpec(count=workers), tell=lambda _: marks.append(time.monotonic()))
    result = strategy.search(problem, Slept(), np.random.default_rng(seed), session)
    begin, end = marks[workers - 1], marks[-1]  # processes start with the first ones
    slept = sum(
        max(0.0, told - max(begin, told - seconds_of(trial.indices)))
        for trial, told in zip(result.trials, marks, strict=True)
    )
    return {"wall_s": end - begin, "utilisation": slept / (workers * (end - begin))}


def waiting(options: Any) -> dict[str, Any]:
    """Asynchronous against batches, interleaved."""
    space = spaces.load("macro-r8-c10")
    found: dict[str, Any] = {}
    for workers in (2, 8):
        rows = [
            {"workers": workers, "together": together, "seed": seed}
            | searched(space, workers, 60 * workers, together=together, seed=seed)
            for seed in range(options.repeats)
            for together in (False, True)
        ]
        found[str(workers)] = {
            name: float(np.mean([row["utilisation"] for row in rows if row["together"] == together]))
            for name, together in (("asynchronous", False), ("batched", True))
        } | {"rows": rows}
        _bench.say(f"async, {workers} workers: {found[str(workers)]}")
    return found


def slept(seconds: float) -> float:
    """A task that costs no CPU."""
    time.sleep(seconds)
    return seconds


def overhead(options: Any) -> dict[str, Any]:
    """What Ray adds to tasks of five seconds, beside what processes of this machine add."""
    count, tasks = os.cpu_count() or 1, 6
    found: dict[str, Any] = {"task_s": 5.0, "tasks": tasks * count, "workers": count}
    for name, spec in (("processes", PoolSpec(count=count)), ("ray", PoolSpec("ray"))):
        began = time.monotonic()
        with opened(spec) as pool:
            list(unordered(pool, slept, [0.01] * 2 * count))
            started = time.monotonic()
            list(unordered(pool, slept, [5.0] * tasks * count))
            ended = time.monotonic()
        found[name] = {"start_s": started - began, "overhead": (ended - started) / (5.0 * tasks) - 1}
        _bench.say(f"{name}: {found[name]}")
    return found


def by_whom(number: int) -> tuple[int, int]:
    """A short task, and the process that did it."""
    time.sleep(0.02)
    return number, os.getpid()


def killed(pool: WorkerPool, tasks: int, kills: int, seed: int) -> dict[str, Any]:
    """Answers of many tasks while workers are killed at random."""
    chance = random.Random(seed)
    at = set(chance.sample(range(tasks), kills))
    answers, done = [], 0
    began = time.monotonic()
    for answer, pid in unordered(pool, by_whom, range(tasks)):
        answers.append(answer)
        if len(answers) in at:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            done += 1
    lost = len(set(range(tasks)) - set(answers))
    return {
        "kills": done,
        "lost": lost,
        "twice": len(answers) - len(set(answers)),
        "wall_s": time.monotonic() - began,
    }


def kills(options: Any) -> dict[str, Any]:
    """A thousand tasks each."""
    found = {}
    for name, spec in (("processes", PoolSpec(count=4)), ("ray", PoolSpec("ray"))):
        with opened(spec) as pool:
            found[name] = killed(pool, 1000, 30, options.seed)
        _bench.say(f"kills, {name}: {found[name]}")
    return found


def targets(results: dict[str, Any]) -> list[dict[str, Any]]:
    """What the phases must show; of a phase that was left out, nothing."""
    found = []
    for workers, row in results.get("async", {}).items():
        found.append(_bench.target(f"utilisation of {workers} workers", row["asynchronous"], ">=", 0.95))
    if row := results.get("ray"):
        found.append(_bench.target("overhead of Ray at 5 s", row["ray"]["overhead"], "<=", 0.05))
    for name, row in results.get("kills", {}).items():
        found.append(_bench.target(f"tasks lost by {name}", row["lost"], "==", 0))
        found.append(_bench.target(f"tasks counted twice by {name}", row["twice"], "==", 0))
    if row := results.get("phones"):
        for count, one in row["units"].items():
            if count != "1":
                found.append(
                    _bench.target(f"speed-up of {count} phones over ideal", one["of_ideal"], ">=", 0.9)
                )
                found.append(
                    _bench.target(f"rows of {count} phones that differ", one["rows_that_differ"], "==", 0)
                )
    for name, row in results.get("leases", {}).items():
        found.append(_bench.target(f"units leased twice, by {name}", row["twice"], "==", 0))
        found.append(_bench.target(f"units lost, by {name}", row["lost"], "==", 0))
    if row := results.get("ddp"):
        found.append(
            _bench.target("losses of two processes, float64", row["difference_in_float64"], "<=", 1e-6)
        )
    return found


def main() -> None:
    """Run the phases that are asked for."""
    parser = _bench.parser(__doc__, seed=0, rows="phases")
    parser.add_argument("--phases", type=_bench.names, default=list(PHASES), help=", ".join(PHASES))
    parser.add_argument("--repeats", type=int, default=3, help="searches of each kind in the first phase")
    parser.add_argument("--units", type=int, nargs="+", default=[1, 2, 4, 8], help="numbers of phones")
    parser.add_argument(
        "--work", type=_bench.made_folder, help="folder of phones; a temporary one by default"
    )
    options = parser.parse_args()
    rows = _bench.Rows(options.rows)
    with TemporaryDirectory(prefix="hwnas-") as folder:
        work = options.work or _bench.made_folder(folder)
        ways: dict[str, Callable[[], Any]] = {
            "async": lambda: waiting(options),
            "ray": lambda: overhead(options),
            "kills": lambda: kills(options),
            "phones": lambda: phones(work, options.units),
            "leases": lambda: leases(work, options.seed),
            "ddp": lambda: ddp(seed=options.seed),
        }
        results = {name: rows.get(name, ways[name]) for name in PHASES if name in options.phases}
    _bench.report(
        options, results, targets(results), _bench.environment("ray", "torch", "filelock", "fastapi")
    )


if __name__ == "__main__":
    main()

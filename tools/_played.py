"""Units and workers that only wait: what the real drivers of hwnas come to with many of them.

Their seconds are made up; those of the drivers, which are real, are this machine's.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _scaling import Cluster, Shelf

from hwnas.device import Target
from hwnas.evaluators.base import Traits
from hwnas.evaluators.scoring import Scoring
from hwnas.measure.models import Exporter, ModelFile
from hwnas.measure.options import ProfileOptions, silent
from hwnas.measure.plan import Item
from hwnas.measure.spread import SpreadSession
from hwnas.measure.store import TableStore
from hwnas.measure.units import ReadyUnit
from hwnas.search.history import History
from hwnas.search.problem import Problem
from hwnas.search.sampling.course import SamplingCourse
from hwnas.search.sampling.loop import SamplingStrategy
from hwnas.search.session import Session
from hwnas.shelf import Unit
from hwnas.space import Architecture
from hwnas.tables.table import LatencyTable
from hwnas.transport.base import Losses

TARGET = Target("host", "litert", "fp32")
_REPLIES = 3  # a row, and the two anchors before it


class PlayedUnit:
    """A transport without a device: an agent's replies come after the time that they are to take."""

    cache = None

    def __init__(self, shelf: Shelf, noise: float, seed: int) -> None:
        self._shelf, self._noise, self._rng = shelf, noise, random.Random(seed)

    def take_losses(self) -> Losses:
        """None are lost."""
        return Losses()

    def describe(self) -> Mapping[str, Any]:
        """All are alike."""
        return {"model": "played"}

    def push(self, local: Path) -> str:
        """It is there already."""
        return str(local)

    def run(
        self, agent: str, jobs: Sequence[Mapping[str, Any]], *, silence_s: float
    ) -> Iterator[dict[str, Any]]:
        """Wait, and answer."""
        reply_s = self._shelf.row_s.mean_s / _REPLIES
        time.sleep(max(0.0, self._shelf.start_s - 2 * reply_s if jobs else self._shelf.start_s))
        who = {"runtime": "litert", "runtime_version": "1", "library_sha256": "a", "cpu_model": "played"}
        yield {"hello": {**who, "processors": ["cpu"], "cpus_online": [0], "conditions": {}}}
        for job in jobs:
            time.sleep(reply_s)
            base = 1e6 * (1 + zlib.crc32(job["model"].encode()) % 10)
            samples = [base * (1 + self._rng.gauss(0, self._noise)) for _ in range(job["samples"])]
            yield {"job": job["job"], "inner": 1, "samples_ns": samples}
        yield {"bye": {"conditions": {}}}


class PlayedExporter(Exporter):
    """Makes files that nobody reads."""

    def export(
        self, items: Sequence[Item], target: Target, folder: Path, done: Callable[[int], None]
    ) -> dict[str, ModelFile]:
        """One a key."""
        return {
            item.key: ModelFile(folder / f"{number}", hashlib.sha256(item.key.encode()).hexdigest())
            for number, item in enumerate(items)
        }


@dataclass(frozen=True)
class _Lease:
    unit: Unit
    is_held: bool = True

    def give_back(self) -> None:
        """Nobody else wants it."""


def ready(shelf: Shelf, noise: float = 0.003) -> list[ReadyUnit]:
    """So many units that only wait."""
    return [
        ReadyUnit(_Lease(Unit("host", str(number))), PlayedUnit(shelf, noise, number))
        for number in range(shelf.units)
    ]


def table(
    shelf: Shelf, rows: int, options: ProfileOptions, noise: float = 0.003
) -> tuple[float, LatencyTable]:
    """Seconds that the real session takes to fill a table by units that only wait, and the table."""
    items = [Item(f"block{number}", "block", (), (3, 8, 8)) for number in range(rows)]
    with tempfile.TemporaryDirectory() as folder, TableStore(Path(folder) / "t.jsonl", TARGET) as store:
        session = SpreadSession(ready(shelf, noise), PlayedExporter(1), store, TARGET, options, silent)
        began = time.monotonic()
        session.run(items)
        assert store.table is not None
        return time.monotonic() - began, store.table


class PlayedPool:
    """Threads as workers: ``hwnas.pools.Pool``."""

    is_elsewhere = True
    has_files = True

    def __init__(self, size: int) -> None:
        self.size = size
        self._executor = ThreadPoolExecutor(size)
        self._busy: dict[Future[Any], int] = {}

    def submit(self, number: int, function: Callable[[Any], Any], item: Any) -> None:
        """As of ``Pool``."""
        self._busy[self._executor.submit(function, item)] = number

    def next(self) -> tuple[int, Any]:
        """As of ``Pool``."""
        done, _ = wait(self._busy, return_when=FIRST_COMPLETED)
        first = done.pop()
        return self._busy.pop(first), first.result()

    def abandon(self) -> None:
        """As of ``Pool``; nothing is left in the end."""
        self._executor.shutdown()


class Waits:
    """An evaluator that takes as long as one of a cluster, and knows nothing."""

    traits = Traits("played", is_sendable=True)

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self._duration, self._rng = cluster.evaluation, np.random.default_rng(seed)

    def identity(self) -> dict[str, Any]:
        """Nothing to compare."""
        return {}

    def __call__(self, arch: Architecture) -> float:
        """Wait; the score follows from the architecture."""
        time.sleep(self._rng.lognormal(self._duration.middle, self._duration.shape))
        return 0.5 + sum(arch.indices) / 1000


def search(strategy: SamplingStrategy, problem: Problem, cluster: Cluster, seed: int) -> float:
    """Seconds that the real course of a search takes with workers that only wait."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        history = History.open(Path(folder) / "history.jsonl", {})
        pool = PlayedPool(cluster.workers)
        scoring = Scoring(Waits(cluster, seed), pool)
        course = SamplingCourse(
            strategy, problem, strategy.sampler(problem, rng), scoring, history, Session()
        )
        began = time.monotonic()
        course.run()
        took = time.monotonic() - began
        pool.abandon()
    return took

"""What a bench is run on: a table of trained networks, and what each of them costs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hwnas import files, latency, spaces
from hwnas.budget import Budget
from hwnas.errors import DataError
from hwnas.evaluators import tabular
from hwnas.evaluators.tabular import Benchmark
from hwnas.latency.base import Cost, FloatArray, IntArray
from hwnas.search.problem import Constraint, Problem, relative_budget
from hwnas.space import SearchSpace
from hwnas.spaces.canonical import Canonical

MACS = "M MACs"
"""Unit of costs where no latency model is given."""

_MOST = 10**6  # networks that a table may have


@dataclass(frozen=True)
class Sources:
    """Where it is read from.

    Attributes:
        file: The table; a file or folder.
        space: Name of the space; None takes the table's own.
        costs: Latency model; None counts multiply-adds.
        dataset: Which trainings of the table; None where there are no others.
    """

    file: Path
    space: str | None
    costs: Path | None = None
    dataset: str | None = None


@dataclass(frozen=True)
class Ground:
    """A table that has every network of its space, and what they cost.

    Attributes:
        benchmark: The table.
        costs: Of its networks.
    """

    benchmark: Benchmark
    costs: Cost

    @property
    def space(self) -> SearchSpace:
        """What is searched."""
        return self.benchmark.space

    @cached_property
    def networks(self) -> IntArray:
        """Every network once, shape (networks, choices)."""
        return self.benchmark.networks

    @cached_property
    def accuracies(self) -> FloatArray:
        """Mean over the trainings of each of them, in percent."""
        return 100 * np.array([runs.mean() for runs in self.benchmark.runs.values()])

    def limit(self, value: float, is_share: bool) -> float:
        """A budget in the unit of the costs."""
        return relative_budget(self.costs, value / 100) if is_share else value

    def problem(self, limit: float) -> Problem:
        """The search under a budget.

        Raises:
            InfeasibleBudget: No network keeps it.
        """
        named = Budget("costs", limit, self.costs.unit)
        return Problem(self.space, (Constraint(named, self.costs),))

    def accuracy(self, indices: tuple[int, ...]) -> float:
        """Mean accuracy of a network in percent."""
        return 100 * self.benchmark.accuracy(indices)

    def largest(self, feasible: np.ndarray) -> int:
        """Number of the feasible network with the most multiply-adds; of several, of the least indices."""
        fixed, choices = self.space.macs_table()
        macs = Cost(float(fixed), choices, MACS).of(self.networks)
        order = np.lexsort((*self.networks.T[::-1], -macs))
        return int(order[feasible[order]][0])


@lru_cache(maxsize=2)
def ground(sources: Sources) -> Ground:
    """Read it; once a process.

    Raises:
        HwnasError: A file cannot be used, or is no table of the whole space.
    """
    space = None if sources.space is None else spaces.load(sources.space)
    benchmark = tabular.load(sources.file, space, sources.dataset)
    _require_whole(benchmark, sources.file)
    return Ground(benchmark, _costs(benchmark.space, sources.costs))


def identity(sources: Sources) -> dict[str, Any]:
    """What must be equal for searches to stand beside each other; plain JSON."""
    of_costs = MACS if sources.costs is None else f"ms by a model of SHA-256 {files.sha256(sources.costs)}"
    space = ground(sources).space
    return {
        "benchmark_sha256": _sha256(sources.file),
        **({} if sources.dataset is None else {"dataset": sources.dataset}),
        "space": space.name,
        "space_fingerprint": space.fingerprint,
        "costs": of_costs,
    }


def _sha256(path: Path) -> str:
    """Hex digest of a file, or of names and digests of all files of a folder."""
    if not path.is_dir():
        return files.sha256(path)
    found = hashlib.sha256()
    for each in sorted(path.iterdir()):
        if each.is_file():
            found.update(f"{each.name} {files.sha256(each)}\n".encode())
    return found.hexdigest()


def _costs(space: SearchSpace, path: Path | None) -> Cost:
    if path is not None:
        return latency.load(path, space.typed_name).costs(space)
    fixed, choices = space.macs_table()
    return Cost(fixed / 1e6, tuple(costs / 1e6 for costs in choices), MACS)


def _require_whole(benchmark: Benchmark, path: Path) -> None:
    """Refuse a table that lacks a network, or has one that was never trained: a search may ask for any."""
    space = benchmark.space
    what = f"a tabular benchmark must have every network of {space.name}, each with accuracies in percent"
    remedy = "give the benchmark of this space, or its own --space"
    count = space.num_architectures
    if count > _MOST:
        raise DataError(f"{what}, but {count:.2g} networks are more than a table holds: {remedy}")
    every = np.unique(Canonical(space)(np.array(list(np.ndindex(*space.sizes)))), axis=0)
    if len(benchmark.runs) < len(every):
        raise DataError(f"{what}, but {path} has {len(benchmark.runs):,} of {len(every):,}: {remedy}")
    for indices, runs in benchmark.runs.items():
        if runs.ndim != 1 or not len(runs) or runs.min() < 0 or runs.max() > 1:
            name = "".join(map(str, indices))
            raise DataError(f"{what}, but test_acc of {name} in {path} is not: {remedy}")

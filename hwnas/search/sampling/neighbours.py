"""Architectures close to others: one change away, within the budgets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnas.latency.base import IntArray
from hwnas.search.problem import Problem
from hwnas.search.sampling.archive import Archive

TRIES = 100
"""Mutations that are tried before one is repaired."""


def mutated(problem: Problem, indices: tuple[int, ...], rng: np.random.Generator) -> tuple[int, ...]:
    """Another candidate for one random choice."""
    sizes = np.array(problem.space.sizes)
    place = int(rng.choice(np.flatnonzero(sizes > 1)))
    other = int(rng.integers(sizes[place] - 1))
    other += other >= indices[place]
    return (*indices[:place], other, *indices[place + 1 :])


@dataclass(frozen=True)
class Births:
    """Children that keep every budget and were not asked before.

    Attributes:
        archive: Which networks are new.
        rng: The only source of randomness.
    """

    archive: Archive
    rng: np.random.Generator

    def child(self, parent: tuple[int, ...]) -> tuple[int, ...] | None:
        """Claim one mutation of the parent, or two that make up for each other; None where nothing is left.

        A good parent spends nearly all of its budget. One mutation alone could then only make
        it cheaper, so one that breaks the budget gets a second that may pay for it.
        """
        problem = self.archive.problem
        for _ in range(TRIES):
            child = mutated(problem, parent, self.rng)
            if not _keeps_budgets(problem, child):
                child = mutated(problem, child, self.rng)
            if _keeps_budgets(problem, child) and self.archive.claim(child):
                return child
        child = parent
        for _ in range(TRIES):
            child = mutated(problem, child, self.rng)
            repaired = as_tuple(self.archive.feasible.repair(np.array(child)))
            if self.archive.claim(repaired):
                return repaired
        return self.archive.fresh(self.rng)


def neighbours(problem: Problem, indices: tuple[int, ...]) -> IntArray:
    """Every feasible architecture that differs in one choice, shape (n, choices)."""
    rows = every_change(problem.space.sizes, indices)
    found = rows[(rows != np.array(indices)).any(axis=1)]
    return np.asarray(found[problem.feasible(found)])


def every_change(sizes: tuple[int, ...], indices: tuple[int, ...]) -> IntArray:
    """An architecture with each candidate put in, its own as well, shape (candidates, choices)."""
    places = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.tile(np.array(indices, dtype=np.int64), (len(places), 1))
    rows[np.arange(len(places)), places] = np.concatenate([np.arange(size) for size in sizes])
    return rows


def around(problem: Problem, centres: IntArray, rng: np.random.Generator) -> IntArray:
    """Feasible architectures one change away from any of several, or two where one breaks a budget."""
    near = []
    for place, size in enumerate(problem.space.sizes):
        for candidate in range(size):
            changed = centres.copy()
            changed[:, place] = candidate
            near.append(changed)
    rows = np.concatenate(near)
    broken = np.flatnonzero(~problem.feasible(rows))
    places = rng.integers(len(problem.space.sizes), size=len(broken))
    rows[broken, places] = rng.integers(np.array(problem.space.sizes)[places])
    return np.asarray(rows[problem.feasible(rows)])


def as_tuple(indices: IntArray) -> tuple[int, ...]:
    """One architecture, as trials have it."""
    return tuple(int(i) for i in indices)


def _keeps_budgets(problem: Problem, indices: tuple[int, ...]) -> bool:
    return bool(problem.feasible(np.array([indices]))[0])

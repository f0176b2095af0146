"""PNAS (arXiv:1712.00559): from simple networks to complex ones, with a model that ranks expansions.

The paper grows cells block by block: all cells of one block are trained; then, level by level, the cells of
the last level get another block in every possible way, a model of accuracy ranks them, the best K are
trained and the model is fitted further. A chain of choices has no cells to grow. What grows here is how
many of its choices differ from the plainest network, which is the cheapest one where that keeps all
budgets: every architecture on the way is complete and can be scored. They may differ in any places and not
in order of depth, since what comes first would spend the budget. Further departures:

* Every level has an equal share of the queries instead of K = 256, and several choices grow at once where
  there are more of them than levels.
* Of a level's expansions a random sample is ranked. In the first level nothing is known yet, so that it is
  the sample itself that is scored.
* An expansion that breaks a budget gives up what relieves it most, down to the plainest candidate. Without
  that a network that spends its budget on few choices could not grow at all.
* Complete are networks that differ in as many choices as the budgets let any of many random ones differ.
  Where fewer expansions are left than queries, networks of the last level grow on.

Growing is greedy: candidates that are only worth something together are not found, and under a tight budget
the dear ones that look best early on leave nothing for more of the cheap ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hwnas.latency.base import IntArray
from hwnas.search.problem import Problem
from hwnas.search.sampling.loop import Sampler, SamplingStrategy, require
from hwnas.search.sampling.neighbours import as_tuple

if TYPE_CHECKING:
    from hwnas.search.sampling.recurrent import RecurrentEnsemble

EXPANSIONS = 500
"""Expansions of a level that are drawn and ranked."""

TYPICAL = 1000
"""Feasible architectures that say how many choices may differ from the plainest one."""


@dataclass(frozen=True, kw_only=True)
class PNAS(SamplingStrategy):
    """Progressive search; how far it grows at a query depends on the number of queries.

    Attributes:
        levels: Steps from the plainest network to complete ones; the paper's five.
        models: Recurrent predictors that are averaged; the paper's five.
    """

    name: ClassVar[str] = "pnas"

    levels: int = 5
    models: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.levels >= 1, f"levels must be at least 1, but got {self.levels}")
        require(self.models >= 1, f"models must be at least 1, but got {self.models}")

    def settings(self) -> dict[str, Any]:
        """With the number of queries, on which the course depends: none is gone on from with more of them."""
        return {"queries": self.queries, **super().settings()}

    def sampler(self, problem: Problem, rng: np.random.Generator) -> Sampler:
        """The plainest network, from which nothing has grown."""
        return _Growing(problem, rng, self)


class _Growing(Sampler):
    def __init__(self, problem: Problem, rng: np.random.Generator, settings: PNAS) -> None:
        from hwnas.search.sampling.recurrent import RecurrentEnsemble

        super().__init__(problem, rng)
        self.settings = settings
        self.ensemble: RecurrentEnsemble = RecurrentEnsemble(problem.space.sizes, settings.models, rng)
        self.plainest = self.archive.feasible.feasible
        self.beam = self.plainest[None]
        self.level = 0
        self.asked = 0
        self.queue: deque[tuple[int, ...]] = deque()

    def ask(self) -> tuple[int, ...] | None:
        """The next of the level's best expansions; a random network where nothing grows any more."""
        while not self.queue and self.level < self._levels:
            self._grow()
        if not self.queue:
            self._grow_on()
        self.asked += 1
        if not self.queue:
            return self.archive.fresh(self.rng)
        found = self.queue.popleft()
        self.archive.claim(found)
        return found

    def state(self) -> Mapping[str, float]:
        """The level that is being scored."""
        return {"level": float(self.level)}

    @cached_property
    def _most(self) -> int:
        """In how many choices a feasible architecture differs from the plainest one, at most."""
        drawn = self.archive.feasible.sample(TYPICAL, self.rng)
        return max(1, int((drawn != self.plainest).sum(axis=1).max()))

    @property
    def _levels(self) -> int:
        return min(self.settings.levels, self._most)

    def _grow(self) -> None:
        """Go on to the next level: queue the best expansions of the beam, which are the next beam."""
        before, self.level = self._size(self.level), self.level + 1
        self._queue(self._size(self.level) - before, -(-self._left // (self._levels - self.level + 1)))

    def _grow_on(self) -> None:
        """Let the networks of the last level grow, for what is left of the queries."""
        self._queue(1, self._left)

    @property
    def _left(self) -> int:
        """Queries that are not asked yet, the present one included."""
        return max(1, self.settings.explored - self.asked)

    def _size(self, level: int) -> int:
        """In how many choices networks of a level differ from the plainest one, at most."""
        return round(self._most * level / self._levels)

    def _queue(self, more: int, count: int) -> None:
        """Rank expansions of the beam; where there are any, the best are the new beam."""
        rows = self._expanded(more)
        scored = self.archive.scored()
        if len(rows) and len(scored):
            canonical = self.archive.canonical
            known = np.array([self.archive.score(as_tuple(row)) for row in scored])
            self.ensemble.fit(canonical(scored), known)
            rows = rows[np.argsort(-self.ensemble.predict(canonical(rows)), kind="stable")]
        best = rows[:count]
        self.queue.extend(map(as_tuple, best))
        self.beam = best if len(best) else self.beam

    def _expanded(self, more: int) -> IntArray:
        """New feasible networks that differ from the plainest one in more choices, in random order."""
        sizes = np.array(self.archive.problem.space.sizes)
        rows = self.beam[self.rng.integers(len(self.beam), size=EXPANSIONS)]
        plain = (rows == self.plainest) & (sizes > 1)
        order = np.argsort(self.rng.random(rows.shape) + ~plain, axis=1)  # plain places first
        chosen = np.zeros_like(plain)
        np.put_along_axis(chosen, order[:, :more], True, axis=1)
        others = (self.plainest + self.rng.integers(1, np.maximum(sizes, 2), size=rows.shape)) % sizes
        grown = np.where(chosen & plain, others, rows)
        broken = np.flatnonzero(~self.archive.problem.feasible(grown))
        for number in broken:
            grown[number] = self.archive.feasible.repair(grown[number])
        new = self.archive.new(grown)
        _, first = np.unique(self.archive.canonical(new), axis=0, return_index=True)
        return np.asarray(new[np.sort(first)])

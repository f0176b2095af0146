"""Hyperband (arXiv:1603.06560): successive halving in brackets that begin on different rungs.

Nobody knows whether short trainings rank networks well. The first bracket begins with many networks on the
lowest rung, the last one with few that are all trained to their end, and all cost about as much; then it
begins anew, until the queries are used up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import ClassVar

import numpy as np

from hwnas.search.problem import Problem
from hwnas.search.sampling.loop import Sampler
from hwnas.search.sampling.rungs import Climbing, Promoting


@dataclass(frozen=True, kw_only=True)
class Hyperband(Promoting):
    """Random networks within the budgets, halved bracket by bracket."""

    name: ClassVar[str] = "hyperband"

    def sampler(self, problem: Problem, rng: np.random.Generator) -> Sampler:
        """The first bracket."""
        return _Brackets(problem, rng, self)

    def sizes(self, bracket: int) -> list[tuple[int, int]]:
        """Rungs of a bracket with how many networks stand there; algorithm 1 of the paper."""
        most = self.rungs - 1
        left = most - bracket % self.rungs
        begun = ceil(self.rungs / (left + 1) * self.reduction**left)
        return [(most - left + step, begun // self.reduction**step) for step in range(left + 1)]


class _Brackets(Climbing):
    def __init__(self, problem: Problem, rng: np.random.Generator, settings: Hyperband) -> None:
        super().__init__(problem, rng, settings)
        self.brackets = settings
        self.plan = self._planned()

    def ask(self) -> tuple[int, ...] | None:
        """The next of the bracket; with ``parallel`` those that no score is missing for."""
        return self.last() or next(self.plan, None)

    def _claimed(self, rung: int) -> tuple[int, ...] | None:
        """A new network that begins on a rung."""
        return self.placed(self.archive.fresh(self.rng), rung) if self.affords(rung) else None

    def _planned(self) -> Iterator[tuple[int, ...] | None]:
        bracket, is_empty = 0, False
        while not is_empty:
            own: list[tuple[int, ...]] = []
            for number, (rung, count) in enumerate(self.brackets.sizes(bracket)):
                if not number:
                    for _ in range(count):
                        if (fresh := self._claimed(rung)) is not None:
                            own.append(fresh)
                            yield fresh
                    is_empty = not own
                    continue
                below = self.scores[rung - 1]
                while any(indices not in below for indices in own):
                    yield None  # scores are missing
                best, own = sorted(own, key=below.__getitem__, reverse=True)[:count], []
                for indices in best:
                    if self.affords(rung) and self.asked[indices] < rung:  # the last one may have gone ahead
                        own.append(indices)
                        yield self.placed(indices, rung)
            bracket += 1

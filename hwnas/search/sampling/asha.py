"""ASHA (arXiv:1810.05934): asynchronous successive halving, which never waits for a rung to be full.

Whenever there is something to do, the best network that is among the first of its rung's share and has not
climbed does so; else a random one is begun on the lowest rung. So processes never stand still, at the price
of some that climb too early.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwnas.search.problem import Problem
from hwnas.search.sampling.loop import Sampler
from hwnas.search.sampling.rungs import Climbing, Promoting


@dataclass(frozen=True, kw_only=True)
class ASHA(Promoting):
    """Random networks within the budgets, of which the best are trained for longer."""

    name: ClassVar[str] = "asha"

    def sampler(self, problem: Problem, rng: np.random.Generator) -> Sampler:
        """Empty rungs."""
        return _Rungs(problem, rng, self)


class _Rungs(Climbing):
    def ask(self) -> tuple[int, ...] | None:
        """What may climb, from the top; else a new one."""
        if (only := self.last()) is not None:
            return only
        for rung in reversed(range(self.settings.rungs - 1)):
            if not self.affords(rung + 1):
                continue
            share = len(self.scores[rung]) // self.settings.reduction
            for indices in self.leaders(rung, share):
                if self.asked[indices] == rung:
                    return self.placed(indices, rung + 1)
        return self.placed(self.archive.fresh(self.rng), 0) if self.affords(0) else None

"""Random search: feasible architectures drawn uniformly. The baseline of every strategy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwnas.search.problem import Problem
from hwnas.search.sampling.loop import Sampler, SamplingStrategy


class RandomSampler(Sampler):
    """Uniform over the feasible architectures, each distinct network once."""

    def ask(self) -> tuple[int, ...] | None:
        """A network that was not asked before; None where there seems to be none left."""
        return self.archive.fresh(self.rng)


@dataclass(frozen=True, kw_only=True)
class Random(SamplingStrategy):
    """Random search."""

    name: ClassVar[str] = "random"
    is_anytime: ClassVar[bool] = True

    def sampler(self, problem: Problem, rng: np.random.Generator) -> Sampler:
        """A sampler that has not been told anything."""
        return RandomSampler(problem, rng)

"""Regularised evolution (arXiv:1802.01548): the oldest dies, the best of a sample has a child.

Every individual keeps the budgets: the first ones are drawn among the feasible architectures,
and a child that breaks a budget is not born.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwnas.runs.trial import Trial
from hwnas.search.problem import Problem
from hwnas.search.sampling.loop import Sampler, SamplingStrategy, require
from hwnas.search.sampling.neighbours import Births


@dataclass(frozen=True, kw_only=True)
class Evolution(SamplingStrategy):
    """Regularised ("aging") evolution.

    Attributes:
        population: Individuals alive. The paper's 100 are for thousands of queries; the
            default is for a hundred.
        tournament: Individuals of which the best becomes the parent. The paper's quarter of the
            population explores longer than a hundred queries last; with all of them ageing
            alone keeps the search from getting stuck.
    """

    name: ClassVar[str] = "evolution"
    is_anytime: ClassVar[bool] = True

    population: int = 10
    tournament: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.population >= 1, f"population must be at least 1, but got {self.population}")
        require(
            1 <= self.tournament <= self.population,
            f"tournament must be in 1..population, but got {self.tournament} of {self.population}",
        )

    def sampler(self, problem: Problem, rng: np.random.Generator) -> Sampler:
        """A population without individuals."""
        return _Population(problem, rng, self)


class _Population(Sampler):
    def __init__(self, problem: Problem, rng: np.random.Generator, settings: Evolution) -> None:
        super().__init__(problem, rng)
        self.tournament = settings.tournament
        self.alive: deque[Trial] = deque(maxlen=settings.population)  # drops the oldest by itself
        self.founders = settings.population
        self.births = Births(self.archive, rng)

    def ask(self) -> tuple[int, ...] | None:
        """A random founder, later a mutated child of the best of a random few."""
        if self.founders > 0 or not self.alive:
            self.founders -= 1
            return self.archive.fresh(self.rng)
        drawn = self.rng.choice(len(self.alive), min(self.tournament, len(self.alive)), replace=False)
        parent = max((self.alive[i] for i in drawn), key=lambda trial: trial.quality)
        return self.births.child(parent.indices)

    def tell(self, trial: Trial) -> None:
        """The child joins; a network that is scored again does not."""
        if self.archive.score(trial.indices) is None:
            self.alive.append(trial)
        super().tell(trial)

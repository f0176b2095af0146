"""NSGA-II (Deb et al., 2002) through optuna: accuracy, every latency and every other objective."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hwnas.search.problem import Problem
from hwnas.search.sampling.loop import Sampler, SamplingStrategy, require
from hwnas.search.sampling.study import Study

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class NSGA2(SamplingStrategy):
    """Multi-objective evolution with crossover; the result's Pareto front is what it is for.

    Attributes:
        population: Individuals of a generation.
    """

    name: ClassVar[str] = "nsga2"
    is_anytime: ClassVar[bool] = True

    population: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.population >= 2, f"population must be at least 2, but got {self.population}")

    def sampler(self, problem: Problem, rng: np.random.Generator) -> Sampler:
        """An empty study.

        Raises:
            HwnasError: optuna is not installed.
        """
        return Study(problem, rng, self._optimizer, first=self.population, every=True)

    def _optimizer(self, seed: int) -> optuna.samplers.BaseSampler:
        import optuna

        return optuna.samplers.NSGAIISampler(population_size=self.population, seed=seed)

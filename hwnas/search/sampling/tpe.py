"""Tree-structured Parzen estimators (Bergstra et al., 2011) through optuna, on accuracy alone."""

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
class TPE(SamplingStrategy):
    """optuna's own default, for comparison: ``surrogate`` needs far fewer queries.

    Attributes:
        startup: Random architectures before the estimators are asked.
    """

    name: ClassVar[str] = "tpe"
    is_anytime: ClassVar[bool] = True

    startup: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.startup >= 1, f"startup must be at least 1, but got {self.startup}")

    def sampler(self, problem: Problem, rng: np.random.Generator) -> Sampler:
        """An empty study.

        Raises:
            HwnasError: optuna is not installed.
        """
        return Study(problem, rng, self._optimizer, first=self.startup, every=False)

    def _optimizer(self, seed: int) -> optuna.samplers.BaseSampler:
        import optuna

        return optuna.samplers.TPESampler(n_startup_trials=self.startup, seed=seed)

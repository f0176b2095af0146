"""SPOS (arXiv:1904.00420): train on uniform single paths first, then search with any sampler."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import ClassVar

import numpy as np

from hwnas.errors import SpaceError
from hwnas.evaluators.base import Evaluator, shared_weights
from hwnas.evaluators.supernet.warm_up import warm_up
from hwnas.search import strategy
from hwnas.search.base import Needs, SearchResult
from hwnas.search.feasible import FeasibleSampler
from hwnas.search.problem import Problem
from hwnas.search.sampling.loop import SamplingStrategy
from hwnas.search.session import Session
from hwnas.search.settings import TRAINING_STEPS, SamplingSettings


@dataclass(frozen=True, kw_only=True)
class SPOS:
    """Single-path one-shot search.

    Attributes:
        training_steps: Weight updates on single paths, uniform ones in shallow spaces
            (``paths.py``); those that the supernet has had already count.
        sampler: Name of the sampling strategy that asks the trained supernet; the paper's is
            "evolution".
        queries: Architectures that are scored, each with batch norm recalibrated.
    """

    name: ClassVar[str] = "spos"
    needs: ClassVar[Needs] = Needs(shared_weights=True)

    training_steps: int = TRAINING_STEPS
    sampler: str = "evolution"
    queries: int = SamplingSettings.queries

    def __post_init__(self) -> None:
        if self.training_steps < 1:
            raise SpaceError(f"training_steps must be at least 1, but got {self.training_steps}")
        self._sampling()

    def _sampling(self) -> SamplingStrategy:
        kind = strategy(self.sampler)
        if not issubclass(kind, SamplingStrategy):
            raise SpaceError(f"the sampler of spos must be a sampling strategy, but got {self.sampler!r}")
        return kind(queries=self.queries)

    def search(
        self, problem: Problem, evaluator: Evaluator, rng: np.random.Generator, session: Session
    ) -> SearchResult:
        """Train, then find the best architecture that keeps every budget of the problem.

        Raises:
            InfeasibleBudget: No architecture keeps them all.
            SpaceError: The evaluator has no supernet.
            SchemaMismatch: Checkpoint or history is of another search.
            TrainingError: The loss became NaN.
        """
        self.needs.require(evaluator)
        _ = FeasibleSampler(problem).feasible  # refuses budgets that do not go together
        oneshot = shared_weights(evaluator)
        warm_up(oneshot, self.training_steps, on_step=session.tell, checkpoint=session.checkpoint)
        found = self._sampling().search(problem, oneshot, rng, session)
        return replace(found, strategy=self.name, config={**found.config, **asdict(self)})

"""SPOS (arXiv:1904.00420): train on uniform single paths first, then search with any sampler."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hwnas import search
from hwnas.errors import SpaceError
from hwnas.evaluators.base import shared_weights
from hwnas.evaluators.supernet.warm_up import warm_up
from hwnas.search.base import SearchResult, SearchTask
from hwnas.search.feasible import FeasibleSampler
from hwnas.search.sampling.loop import SamplingStrategy


@dataclass(frozen=True, kw_only=True)
class SPOS:
    """Single-path one-shot search.

    Attributes:
        training_steps: Weight updates on single paths, uniform ones in shallow spaces
            (``paths.py``); those that the supernet has had already count.
        sampler: Name of the sampling strategy that asks the trained supernet; the paper's is
            "evolution".
        queries: Architectures that are scored, each with batch norm recalibrated.
        checkpoint: Weights, written now and then; continued if they are there.
        history: JSONL file of the scores; continued if it is there.
        live: Called after every step and every score.
    """

    name: ClassVar[str] = "spos"

    training_steps: int = 600
    sampler: str = "evolution"
    queries: int = 100
    checkpoint: Path | None = None
    history: Path | None = None
    live: Callable[[Mapping[str, Any]], None] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.training_steps < 1:
            raise SpaceError(f"training_steps must be at least 1, but got {self.training_steps}")
        self._sampling()

    def _sampling(self) -> SamplingStrategy:
        kind = search.strategy(self.sampler)
        if not issubclass(kind, SamplingStrategy):
            raise SpaceError(f"the sampler of spos must be a sampling strategy, but got {self.sampler!r}")
        return kind(queries=self.queries, history=self.history, live=self.live)

    def search(self, task: SearchTask, rng: np.random.Generator) -> SearchResult:
        """Train, then find the best architecture that keeps every budget of the task.

        Raises:
            InfeasibleBudget: No architecture keeps them all.
            SpaceError: The task's ``evaluate`` is not a ``OneShot``.
            SchemaMismatch: Checkpoint or history is of another search.
            TrainingError: The loss became NaN.
        """
        _ = FeasibleSampler(task).feasible  # refuses budgets that do not go together
        oneshot = shared_weights(task.evaluate)
        warm_up(oneshot, self.training_steps, on_step=self.live, checkpoint=self.checkpoint)
        found = self._sampling().search(task, rng)
        aside = {"checkpoint", "history", "live"}
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in aside}
        return dataclasses.replace(found, strategy=self.name, config={**found.config, **own})

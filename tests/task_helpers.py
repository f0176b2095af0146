"""A problem with what scores it, for tests of strategies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwnas.evaluators.base import Evaluator, Traits
from hwnas.latency.base import FloatArray
from hwnas.search.base import SearchResult, Strategy
from hwnas.search.problem import Problem
from hwnas.search.session import Session
from hwnas.space import Architecture, SearchSpace
from hwnas.testing.strategies import KnownScores


@dataclass(frozen=True)
class Scores:
    """A function as an evaluator: it scores in this process only, and nothing else compares to it."""

    function: Callable[[Architecture], float]
    space: SearchSpace | None = field(default=None, kw_only=True)

    def at(self, _share: float) -> Scores:
        return self

    def block_errors(self) -> tuple[FloatArray, ...]:
        return KnownScores(self.space).block_errors()

    @property
    def traits(self) -> Traits:
        return Traits("known")

    def __call__(self, arch: Architecture) -> float:
        return self.function(arch)

    def identity(self) -> None:
        return None


@dataclass(frozen=True)
class Task(Problem):
    """A problem and its evaluator, or a function that says accuracies."""

    evaluate: Evaluator | Callable[[Architecture], float]


def searched(strategy: Strategy, task: Task, rng: np.random.Generator, **session: Any) -> SearchResult:
    """What a strategy finds; files, processes and who is told are those of a session."""
    evaluator = task.evaluate if hasattr(task.evaluate, "traits") else Scores(task.evaluate, space=task.space)
    return strategy.search(task, evaluator, rng, Session(**session))


def begun(strategy: Any, task: Task, seed: int) -> Any:
    """The state of a one-shot strategy before its first step."""
    return strategy._start(task, task.evaluate, seed, Session())

"""What every search shares: the task, the budget, the result.

A latency budget is a *constraint*: additive costs and what they may sum to. There may be
several (one a target); an architecture is feasible where it keeps all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from hwnas.errors import InfeasibleBudget, SpaceError
from hwnas.latency.base import AdditiveCosts, FloatArray, IntArray
from hwnas.space import Architecture, SearchSpace

Evaluate = Callable[[Architecture], float]


@dataclass(frozen=True)
class Constraint:
    """A budget on one target.

    Attributes:
        name: What the budget is for, for example ``host/litert-int8``.
        costs: Additive latency of the space's candidates.
        budget_ms: What was asked for.
        margin_ms: Kept free below the budget, for what the model may be wrong by.
    """

    name: str
    costs: AdditiveCosts
    budget_ms: float
    margin_ms: float = 0.0

    def __post_init__(self) -> None:
        fastest, slowest = self.costs.range_ms
        if not np.isfinite(self.budget_ms) or self.limit_ms < fastest:
            margin = f" with a margin of {self.margin_ms:.4g} ms" if self.margin_ms else ""
            raise InfeasibleBudget(
                f"budget_ms must be at least that of the fastest architecture, but got "
                f"{self.budget_ms:.4g} ms < {fastest:.4g} ms ({self.name}{margin}): "
                f"raise the budget (the slowest needs {slowest:.4g} ms) or shrink the space",
                budget_ms=self.budget_ms,
                fastest_ms=fastest + self.margin_ms,
            )

    @property
    def limit_ms(self) -> float:
        """What the predicted latency must not exceed."""
        return self.budget_ms - self.margin_ms


@dataclass(frozen=True)
class SearchTask:
    """A space, budgets and, for sampling strategies, how to score an architecture.

    Attributes:
        space: What is searched.
        constraints: At least one budget.
        evaluate: Accuracy in [0, 1] of an architecture; higher is better. One-shot strategies
            need a ``OneShot`` here: they train its supernet.
    """

    space: SearchSpace
    constraints: tuple[Constraint, ...]
    evaluate: Evaluate

    def __post_init__(self) -> None:
        if not self.constraints:
            raise SpaceError("a search must have at least one budget, but got none")
        for constraint in self.constraints:
            sizes = tuple(len(c) for c in constraint.costs.choices_ms)
            if sizes != self.space.sizes:
                raise SpaceError(
                    f"the costs of {constraint.name} must fit the space {self.space.name}, "
                    f"but have sizes {sizes} instead of {self.space.sizes}"
                )

    def latencies_ms(self, indices: IntArray) -> FloatArray:
        """Predicted latency: indices (n, choices) to (n, constraints)."""
        return np.stack([c.costs.of(indices) for c in self.constraints], axis=1)

    def feasible(self, indices: IntArray) -> np.ndarray:
        """Which architectures keep every budget: indices (n, choices) to (n,) of bool."""
        limits = np.array([c.limit_ms for c in self.constraints])
        return np.asarray((self.latencies_ms(indices) <= limits).all(axis=1))

    def trial(self, indices: Sequence[int]) -> Trial:
        """Score one architecture.

        Raises:
            SpaceError: The score is not an accuracy.
        """
        arch = self.space.architecture(indices)
        accuracy = float(self.evaluate(arch))
        if not 0 <= accuracy <= 1:
            raise SpaceError(f"an accuracy must be in [0, 1], but got {accuracy}: divide percents by 100")
        latencies_ms = self.latencies_ms(as_array([arch]))[0]
        return Trial(arch.indices, accuracy, tuple(float(v) for v in latencies_ms))


@dataclass(frozen=True)
class Trial:
    """One architecture that was scored.

    Attributes:
        indices: The architecture.
        accuracy: What ``evaluate`` said.
        latencies_ms: Predicted latency, one a constraint.
    """

    indices: tuple[int, ...]
    accuracy: float
    latencies_ms: tuple[float, ...]


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        strategy: Name of the strategy.
        best: The architecture to use; keeps every budget.
        accuracy: The score that ``best`` was chosen by (an estimate, not a test accuracy).
        trials: Everything that was scored, in order.
        config: Settings and seed: what it takes to repeat the search.
        trace: The course of the search, one mapping a step, for plots and logs.
        extra: What only this strategy has to say.
    """

    strategy: str
    best: Architecture
    accuracy: float
    trials: tuple[Trial, ...]
    config: Mapping[str, Any]
    trace: tuple[Mapping[str, Any], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def pareto(self) -> tuple[Trial, ...]:
        """Trials that no other beats in accuracy and in the latency of the first constraint."""
        front: list[Trial] = []
        for trial in sorted(self.trials, key=lambda t: (t.latencies_ms[0], -t.accuracy)):
            if not front or trial.accuracy > front[-1].accuracy:
                front.append(trial)
        return tuple(front)


class Strategy(Protocol):
    """A way to search."""

    name: str

    def search(self, task: SearchTask, rng: np.random.Generator) -> SearchResult:
        """Find the best architecture that keeps every budget of the task.

        Raises:
            InfeasibleBudget: No architecture keeps them all.
        """


def relative_budget(costs: AdditiveCosts, share: float) -> float:
    """The budget at a share of the range between fastest (0) and slowest (1)."""
    low, high = costs.range_ms
    return low + share * (high - low)


def as_array(architectures: Sequence[Architecture]) -> IntArray:
    """Indices of shape (n, choices)."""
    return np.array([a.indices for a in architectures], dtype=np.int64)

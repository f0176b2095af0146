"""What every search shares: the task, the budget, the result.

A latency budget is a *constraint*: additive costs and what they may sum to. There may be
several (one a target, and others on MACs, parameters or bytes); an architecture is feasible
where it keeps all of them. What is only to be *small* is an objective: it has no limit, but the
Pareto front tells what it costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, Protocol

import numpy as np

from hwnas.errors import InfeasibleBudget, SpaceError
from hwnas.latency.base import AdditiveCosts, FloatArray, IntArray
from hwnas.search.objective import Objective
from hwnas.space import Architecture, SearchSpace
from hwnas.spaces.canonical import Canonical
from hwnas.statistics.bounds import at_least, at_most

Evaluate = Callable[[Architecture], float]


@dataclass(frozen=True)
class Constraint:
    """A budget on one target, or on an objective.

    Attributes:
        name: What the budget is for, for example ``host/litert-int8``.
        costs: Additive latency of the space's candidates.
        budget_ms: What was asked for.
        margin_ms: Kept free below the budget, for what the model may be wrong by.
        unit: What the costs count, where that is not milliseconds.
        sure_ms: The smallest budget that measuring is expected to confirm, where that is known: what is
            predicted of the fastest architecture may be too little.
        measured: Whether it will be measured. Then a refusal names ``sure_ms`` as the smallest budget.
    """

    name: str
    costs: AdditiveCosts
    budget_ms: float
    margin_ms: float = 0.0
    unit: str = "ms"
    sure_ms: float | None = None
    measured: bool = False

    def __post_init__(self) -> None:
        fastest, slowest = (ms + self.margin_ms for ms in self.costs.range_ms)
        if np.isfinite(self.budget_ms) and self.limit_ms >= self.costs.range_ms[0]:
            return
        what, least, most = (
            ("budget_ms", "fastest", "slowest") if self.unit == "ms" else ("a limit", "smallest", "largest")
        )
        predicted = ""
        if self.sure_ms is not None and self.measured:
            predicted = f"; predicted {at_least(fastest)} ms, and what measuring may find beyond that"
            fastest = max(fastest, self.sure_ms)
        elif self.sure_ms is not None:
            predicted = (
                f"; that is predicted and not measured: {at_least(max(fastest, self.sure_ms))} ms "
                "should be kept when it is measured"
            )
        got = f"{at_most(self.budget_ms)} {self.unit}"
        if np.isfinite(self.budget_ms):
            got += f" < {at_least(fastest)} {self.unit}"
        margin = f", with a margin of {self.margin_ms:.3g} {self.unit}" if self.margin_ms else ""
        raise InfeasibleBudget(
            f"{what} must be at least that of the {least} architecture, but got {got} ({self.name}{margin}"
            f"{predicted}): "
            f"raise the budget (the {most} needs {at_least(slowest)} {self.unit}) or shrink the space",
            budget_ms=self.budget_ms,
            fastest_ms=fastest,
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
        objectives: What is to be small beside the latencies.
    """

    space: SearchSpace
    constraints: tuple[Constraint, ...]
    evaluate: Evaluate
    objectives: tuple[Objective, ...] = ()

    def __post_init__(self) -> None:
        if not self.constraints:
            raise SpaceError("a search must have at least one budget, but got none")
        parts: tuple[Constraint | Objective, ...] = (*self.constraints, *self.objectives)
        for part in parts:
            sizes = tuple(len(c) for c in part.costs.choices_ms)
            if sizes != self.space.sizes:
                raise SpaceError(
                    f"the costs of {part.name} must fit the space {self.space.name}, "
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
        return self.described(arch.indices, accuracy)

    def described(self, indices: Sequence[int], accuracy: float) -> Trial:
        """An architecture of a known score, with all that is predicted of it."""
        row = np.array([indices], dtype=np.int64)
        objectives = tuple(float(o.costs.of(row)[0]) for o in self.objectives)
        return Trial(
            tuple(map(int, indices)), accuracy, tuple(self.latencies_ms(row)[0].tolist()), objectives
        )


@dataclass(frozen=True)
class Trial:
    """One architecture that was scored.

    Attributes:
        indices: The architecture.
        accuracy: What ``evaluate`` said.
        latencies_ms: Predicted latency, one a constraint.
        objectives: The task's other objectives.
    """

    indices: tuple[int, ...]
    accuracy: float
    latencies_ms: tuple[float, ...]
    objectives: tuple[float, ...] = ()


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
        """Scored networks that no other beats in everything: accuracy, latencies, objectives.

        A network that was scored several times counts once, by its mean: the luckiest score of
        a leader is not a point of the front. The fastest one comes first.
        """
        networks: dict[tuple[int, ...], list[Trial]] = {}
        canonical = Canonical(self.best.space)
        for trial in self.trials:
            networks.setdefault(canonical.key(trial.indices), []).append(trial)
        means = [replace(ts[0], accuracy=fmean(t.accuracy for t in ts)) for ts in networks.values()]
        means.sort(key=lambda t: (t.latencies_ms, t.objectives, -t.accuracy))
        costs = np.array([(*t.latencies_ms, *t.objectives, -t.accuracy) for t in means])
        return tuple(
            trial
            for number, (trial, own) in enumerate(zip(means, costs, strict=True))
            if not _beaten(own, costs) and not (costs[:number] == own).all(axis=1).any()
        )


def _beaten(own: FloatArray, costs: FloatArray) -> bool:
    """Whether another row is nowhere worse and somewhere better."""
    return bool(((costs <= own).all(axis=1) & (costs < own).any(axis=1)).any())


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

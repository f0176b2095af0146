"""What a search is to solve: a space, budgets, and what is to be small.

A latency budget is a *constraint*: additive costs and what they may sum to. There may be
several (one a target, and others on MACs, parameters or bytes); an architecture is feasible
where it keeps all of them. What is only to be *small* is an objective: it has no limit, but the
Pareto front tells what it costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hwnas.errors import InfeasibleBudget, SpaceError
from hwnas.latency.base import AdditiveCosts, FloatArray, IntArray
from hwnas.search.objective import Objective
from hwnas.space import SearchSpace
from hwnas.statistics.bounds import at_least, at_most


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
class Problem:
    """What is searched and under which budgets; of scores it knows nothing.

    Attributes:
        space: What is searched.
        constraints: At least one budget.
        objectives: What is to be small beside the latencies.
    """

    space: SearchSpace
    constraints: tuple[Constraint, ...]
    objectives: tuple[Objective, ...] = field(default=(), kw_only=True)

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
        accuracy: What an evaluator said.
        latencies_ms: Predicted latency, one a constraint.
        objectives: The problem's other objectives.
    """

    indices: tuple[int, ...]
    accuracy: float
    latencies_ms: tuple[float, ...]
    objectives: tuple[float, ...] = ()


def relative_budget(costs: AdditiveCosts, share: float) -> float:
    """The budget at a share of the range between fastest (0) and slowest (1)."""
    low, high = costs.range_ms
    return low + share * (high - low)

"""What a search is to solve: a space, budgets, and what is to be small.

A *constraint* is a budget with the costs that count against it: sums over choices, and over pairs of
them. There may be several (one a target, and others on MACs, parameters or bytes); an architecture is
feasible where it keeps all of them. What is only to be *small* is an objective: it has no limit, but the
Pareto front tells what it costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from hwnas.budget import Budget
from hwnas.errors import InfeasibleBudget, SpaceError
from hwnas.latency.base import Cost, FloatArray, IntArray
from hwnas.runs.trial import Trial
from hwnas.search.objective import Objective
from hwnas.space import SearchSpace
from hwnas.statistics.bounds import at_least, at_most


class Slots(Protocol):
    """What is searched, as far as costs and budgets need to know: how many states each place has.

    A ``SearchSpace`` is one, whose states are blocks; the widths of groups of channels are another.
    """

    @property
    def name(self) -> str:
        """What it is called, for messages."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of states of each slot."""


@dataclass(frozen=True)
class Constraint:
    """A budget, and what counts against it.

    Attributes:
        budget: How much an architecture may cost at most.
        costs: Cost of the space's candidates and of pairs of them, in the budget's unit.
        sure: The smallest budget that measuring is expected to confirm, where that is known: what is
            predicted of the fastest architecture may be too little.
        measured: Whether it will be measured. Then a refusal names ``sure`` as the smallest budget.
    """

    budget: Budget
    costs: Cost
    sure: float | None = None
    measured: bool = False

    def __post_init__(self) -> None:
        if self.budget.unit != self.costs.unit:
            raise SpaceError(
                f"costs must be in the unit of their budget, {self.budget.unit}, but those of "
                f"{self.name} are in {self.costs.unit}"
            )
        asked, kept_free = self.budget.limit, self.budget.margin
        fastest, slowest = (cost + kept_free for cost in self.costs.range)
        if np.isfinite(asked) and self.usable >= self.costs.range[0]:
            return
        what, least, most = (
            ("budget_ms", "fastest", "slowest") if self.unit == "ms" else ("a limit", "smallest", "largest")
        )
        word = "budget" if self.unit == "ms" else "limit"
        predicted = ""
        if self.sure is not None and self.measured:
            predicted = f"; predicted {at_least(fastest)} ms, and what measuring may find beyond that"
            fastest = max(fastest, self.sure)
        elif self.sure is not None:
            predicted = (
                f"; that is predicted and not measured: {at_least(max(fastest, self.sure))} ms "
                "should be kept when it is measured"
            )
        got = f"{at_most(asked)} {self.unit}"
        if np.isfinite(asked):
            got += f" < {at_least(fastest)} {self.unit}"
        margin = f", with a margin of {kept_free:.3g} {self.unit}" if kept_free else ""
        raise InfeasibleBudget(
            f"{what} must be at least that of the {least} architecture, but got {got} ({self.name}{margin}"
            f"{predicted}): "
            f"raise the {word} (the {most} needs {at_least(slowest)} {self.unit}) or shrink the space",
            budget=asked,
            least=fastest,
            unit=self.unit,
        )

    @property
    def name(self) -> str:
        """What the budget is on, for example ``host/litert-int8``."""
        return self.budget.name

    @property
    def unit(self) -> str:
        """What it counts."""
        return self.budget.unit

    @property
    def is_latency(self) -> bool:
        """Whether it is on a latency, and not on the size of the network."""
        return self.unit == "ms"

    @property
    def usable(self) -> float:
        """What the predicted cost must not exceed."""
        return self.budget.usable


@dataclass(frozen=True)
class Problem:
    """What is searched and under which budgets; of scores it knows nothing.

    Attributes:
        space: What is searched.
        constraints: At least one budget.
        objectives: What is to be small beside the latencies.
    """

    space: Slots
    constraints: tuple[Constraint, ...]
    objectives: tuple[Objective, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        if not self.constraints:
            raise SpaceError("a search must have at least one budget, but got none")
        parts: tuple[Constraint | Objective, ...] = (*self.constraints, *self.objectives)
        for part in parts:
            sizes = part.costs.sizes
            if sizes != self.space.sizes:
                raise SpaceError(
                    f"the costs of {part.name} must fit the space {self.space.name}, "
                    f"but have sizes {sizes} instead of {self.space.sizes}"
                )

    @property
    def blocks(self) -> SearchSpace:
        """The space, for who looks at its blocks.

        Raises:
            SpaceError: It has none: what is searched are numbers of something else.
        """
        if not isinstance(self.space, SearchSpace):
            raise SpaceError(
                f"a search that looks at blocks must be given a space of blocks, but {self.space.name} has "
                "none: use a search of its own"
            )
        return self.space

    def costs(self, indices: IntArray) -> FloatArray:
        """Predicted latency, or what else a constraint counts: indices (n, choices) to (n, constraints)."""
        return np.stack([c.costs.of(indices) for c in self.constraints], axis=1)

    def used(self, indices: IntArray) -> FloatArray:
        """What share architectures use of the budget that each uses most of: (n, choices) to (n,)."""
        limits = np.array([c.usable for c in self.constraints])
        return np.asarray((self.costs(indices) / limits).max(axis=1))

    def feasible(self, indices: IntArray) -> np.ndarray:
        """Which architectures keep every budget: indices (n, choices) to (n,) of bool."""
        limits = np.array([c.usable for c in self.constraints])
        return np.asarray((self.costs(indices) <= limits).all(axis=1))

    def described(self, indices: Sequence[int], quality: float) -> Trial:
        """An architecture of a known score, with all that is predicted of it."""
        row = np.array([indices], dtype=np.int64)
        costs = list(zip(self.constraints, self.costs(row)[0].tolist(), strict=True))
        return Trial(
            tuple(map(int, indices)),
            quality,
            tuple(cost for of, cost in costs if of.is_latency),
            tuple(float(o.costs.of(row)[0]) for o in self.objectives),
            tuple(cost for of, cost in costs if not of.is_latency),
        )

    def shown(self) -> dict[str, float]:
        """Its first budget, for who watches a search; nothing where that is not on a latency."""
        first = self.constraints[0]
        return {"budget_ms": first.budget.limit} if first.is_latency else {}

    def told(self, indices: Sequence[int]) -> dict[str, Any]:
        """What is predicted of an architecture, as records have it."""
        found = self.described(indices, 0.0)
        limited = {"limited": list(found.limited)} if found.limited else {}
        return {"indices": list(found.indices), "latencies_ms": list(found.latencies_ms), **limited}


def relative_budget(costs: Cost, share: float) -> float:
    """The budget at a share of the range between fastest (0) and slowest (1)."""
    low, high = costs.range
    return low + share * (high - low)

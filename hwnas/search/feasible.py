"""Architectures that keep every budget: drawn uniformly without unbounded rejection, or repaired.

Proposals come from the distribution that favours cheap candidates just enough,
``q(x) ~ exp(-prices . costs(x))``, and a feasible proposal is kept with probability
``exp(-prices . slack(x))``. So what is kept is exactly uniform, for one budget or several. The
prices that keep most are those of the Chernoff bound on the number of feasible architectures,
a small convex problem. Where costs are sums over choices, q is independent; with costs of pairs it is drawn
exactly along a sweep (see ``proposals``). After a bounded number of rounds, what is missing is repaired:
proposals are changed, choice by choice, into an architecture that is known to be feasible.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwnas.budget import Budget
from hwnas.errors import InfeasibleBudget
from hwnas.factors import added, least
from hwnas.factors.drawing import Swept
from hwnas.factors.program import Program
from hwnas.latency.base import FloatArray, IntArray
from hwnas.search.problem import Constraint, Problem
from hwnas.search.proposals import Independent, proposals
from hwnas.search.spending import limits, pairs_of, slacks
from hwnas.statistics.bounds import at_most

PROPOSALS = 512
"""Proposals a round, or as many as are wanted where that is more."""

ROUNDS = 100
"""Rounds of proposals before what is missing is repaired."""


@dataclass(frozen=True)
class FeasibleSampler:
    """Draws architectures that keep every budget of a problem.

    Attributes:
        problem: What is searched, under which budgets.
    """

    problem: Problem

    def sample(self, count: int, rng: np.random.Generator) -> IntArray:
        """Independent feasible architectures, shape (count, choices); they may repeat.

        Raises:
            InfeasibleBudget: Each budget can be kept, but not all of them together.
        """
        kept = np.empty((0, len(self.problem.space.sizes)), np.int64)
        for _ in range(ROUNDS):
            if len(kept) >= count:
                break
            drawn, accepted = self._propose(max(count, PROPOSALS), rng)
            kept = np.concatenate([kept, drawn[accepted]])
        else:
            missing, _ = self._propose(max(count - len(kept), 1), rng)
            kept = np.concatenate([kept, [self.repair(indices) for indices in missing]])
        return kept[:count]

    def repair(self, indices: IntArray) -> IntArray:
        """A feasible architecture that differs in few choices, shape (choices,).

        Choices are set to those of ``feasible``, the one that relieves the budgets most first.
        With one budget that is the fewest changes that keep it, where no two choices cost something together.

        Args:
            indices: Any architecture, shape (choices,).

        Raises:
            InfeasibleBudget: Each budget can be kept, but not all of them together.
        """
        current, goal = np.array(indices, dtype=np.int64), self.feasible
        while not self.problem.feasible(current[None])[0]:  # ends at the goal at the latest
            changes = np.flatnonzero(current != goal)
            steps = np.tile(current, (len(changes), 1))
            steps[np.arange(len(changes)), changes] = goal[changes]
            current = steps[self._excess(steps).argmin()]
        return current

    @cached_property
    def feasible(self) -> IntArray:
        """An architecture that keeps every budget, the fastest one if it does.

        Raises:
            InfeasibleBudget: Each budget can be kept, but not all of them together.
        """
        fastest = least(added(limits(self.problem)[0]))
        if self.problem.feasible(fastest[None])[0]:
            return fastest
        drawn, _ = self._propose(PROPOSALS, np.random.default_rng(0))  # any will do, so no seed is needed
        kept = drawn[self.problem.feasible(drawn)]
        return kept[0] if len(kept) else self._solved()

    @cached_property
    def _slack(self) -> FloatArray:
        """What each budget leaves above its fastest architecture, kept from zero."""
        return slacks(self.problem)

    def _excess(self, indices: IntArray) -> FloatArray:
        """By how much budgets are exceeded in all, in slacks: (n, choices) to (n,)."""
        usable = np.array([c.usable for c in self.problem.constraints])
        over = self.problem.costs(indices) - usable
        return np.asarray((np.maximum(over, 0.0) / self._slack).sum(axis=1))

    @cached_property
    def _proposals(self) -> Independent | Swept:
        return proposals(self.problem)

    @cached_property
    def _prices(self) -> FloatArray:
        """The price of each slack at which most proposals are kept."""
        from scipy.optimize import minimize

        count, bound = len(self.problem.constraints), self._proposals.bound
        best = minimize(bound, np.zeros(count), jac=True, method="L-BFGS-B", bounds=[(0.0, 500.0)] * count)
        return np.asarray(best.x)

    def _propose(self, count: int, rng: np.random.Generator) -> tuple[IntArray, np.ndarray]:
        """One round of proposals, shape (count, choices), and which of them are kept."""
        drawn, spent = self._proposals.draw(count, self._prices, rng)
        kept = rng.random(count) < np.exp(np.minimum((spent - 1.0) @ self._prices, 0.0))
        return drawn, kept & self.problem.feasible(drawn)

    def _solved(self) -> IntArray:
        """A feasible architecture by integer programming, for budgets that hardly agree."""
        rows, most = limits(self.problem)
        found = Program(self.problem.space.sizes, pairs_of(self.problem)).solve(added(rows), rows, most)
        if found is not None and self.problem.feasible(found.indices[None])[0]:
            return found.indices
        first = self.problem.constraints[0]
        asked = ", ".join(f"{c.name} {at_most(c.budget.limit)} {c.unit}" for c in self.problem.constraints)
        raise InfeasibleBudget(
            f"one architecture must keep all budgets together, but none keeps {asked}: raise one of them",
            budget=first.budget.limit,
            unit=first.unit,
            least=first.costs.range[0] + first.budget.margin,
        )


def near_budget(problem: Problem, least_use: float) -> Problem:
    """The problem with one more constraint: to spend a share of the tightest budget.

    More time buys accuracy, and a supernet's ranking is too noisy to be trusted with giving it
    away. Where no architecture spends that much within the budgets, the problem stays as it is.
    """

    def room(constraint: Constraint) -> float:
        low, high = constraint.costs.range
        return (constraint.usable - low) / max(high - low, 1e-12)

    tightest = min(problem.constraints, key=room)
    costs = tightest.costs
    left = costs.unspent
    try:
        most = costs.most - least_use * tightest.usable
        use = Constraint(Budget(f"unused of {tightest.name}", most, costs.unit), left)
        near = Problem(problem.space, (*problem.constraints, use))
        _ = FeasibleSampler(near).feasible
    except InfeasibleBudget:
        return problem
    return near

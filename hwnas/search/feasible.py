"""Architectures that keep every budget: drawn uniformly without unbounded rejection, or repaired.

Proposals come from the independent distribution that favours cheap candidates just enough,
``q(x) ~ exp(-prices . costs(x))``, and a feasible proposal is kept with probability
``exp(-prices . slack(x))``. So what is kept is exactly uniform, for one budget or several. The
prices that keep most are those of the Chernoff bound on the number of feasible architectures,
a small convex problem. After a bounded number of rounds, what is missing is repaired: proposals
are changed, choice by choice, into an architecture that is known to be feasible.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwnas.budget import Budget
from hwnas.errors import InfeasibleBudget
from hwnas.latency.base import Cost, FloatArray, IntArray
from hwnas.search.problem import Constraint, Problem
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
        With one budget that is the fewest changes that keep it.

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
        fastest = np.array([spent.sum(axis=1).argmin() for spent in self._spent])
        if self.problem.feasible(fastest[None])[0]:
            return fastest
        drawn, _ = self._propose(PROPOSALS, np.random.default_rng(0))  # any will do, so no seed is needed
        kept = drawn[self.problem.feasible(drawn)]
        return kept[0] if len(kept) else self._solved()

    @cached_property
    def _slack(self) -> FloatArray:
        """What each budget leaves above its fastest architecture, kept from zero."""
        ranges = [c.costs.range for c in self.problem.constraints]
        slack = [c.usable - low for c, (low, _) in zip(self.problem.constraints, ranges, strict=True)]
        return np.maximum(slack, [1e-12 * high for _, high in ranges])

    @cached_property
    def _spent(self) -> tuple[FloatArray, ...]:
        """Share of each slack that the candidates spend, an array (candidates, constraints) a choice.

        A candidate that spends more than 1 can never be picked.
        """
        choices = zip(*(c.costs.choices for c in self.problem.constraints), strict=True)
        return tuple(np.stack([c - c.min() for c in costs], axis=1) / self._slack for costs in choices)

    def _excess(self, indices: IntArray) -> FloatArray:
        """By how much budgets are exceeded in all, in slacks: (n, choices) to (n,)."""
        limits = np.array([c.usable for c in self.problem.constraints])
        over = self.problem.costs(indices) - limits
        return np.asarray((np.maximum(over, 0.0) / self._slack).sum(axis=1))

    @cached_property
    def _proposal(self) -> tuple[FloatArray, tuple[FloatArray, ...]]:
        """The price of each slack, and the probabilities of each choice's candidates."""
        from scipy.optimize import minimize

        possible = [np.asarray((s <= 1.0 + 1e-9).all(axis=1)) for s in self._spent]
        spent = [np.where(ok[:, None], s, 0.0) for s, ok in zip(self._spent, possible, strict=True)]

        def weigh(prices: FloatArray) -> list[FloatArray]:
            # Where no candidate of a choice is possible, the budgets do not agree: any will do.
            parts = [np.exp(-s @ prices) * ok for s, ok in zip(spent, possible, strict=True)]
            return [part if part.any() else np.ones_like(part) for part in parts]

        def bound(prices: FloatArray) -> tuple[float, FloatArray]:
            """Logarithm of the Chernoff bound and its gradient."""
            weights = weigh(prices)
            mean = sum(w @ s / w.sum() for w, s in zip(weights, spent, strict=True))
            return prices.sum() + sum(np.log(w.sum()) for w in weights), 1.0 - mean

        count = len(self.problem.constraints)
        best = minimize(bound, np.zeros(count), jac=True, method="L-BFGS-B", bounds=[(0.0, 500.0)] * count)
        return best.x, tuple(w / w.sum() for w in weigh(best.x))

    def _propose(self, count: int, rng: np.random.Generator) -> tuple[IntArray, np.ndarray]:
        """One round of proposals, shape (count, choices), and which of them are kept."""
        prices, chances = self._proposal
        columns = [rng.choice(len(chance), count, p=chance) for chance in chances]
        drawn = np.stack(columns, axis=1)
        spent = sum(s[c] for s, c in zip(self._spent, columns, strict=True))
        kept = rng.random(count) < np.exp(np.minimum((spent - 1.0) @ prices, 0.0))
        return drawn, kept & self.problem.feasible(drawn)

    def _solved(self) -> IntArray:
        """A feasible architecture by integer programming, for budgets that hardly agree."""
        from scipy.optimize import Bounds, LinearConstraint, milp

        sizes = self.problem.space.sizes
        owner = np.repeat(np.arange(len(sizes)), sizes)
        one_each = (owner == np.arange(len(sizes))[:, None]).astype(float)
        spent = np.concatenate(self._spent)
        found = milp(
            spent.sum(axis=1),
            integrality=np.ones(len(owner)),
            bounds=Bounds(0.0, (spent <= 1.0).all(axis=1).astype(float)),
            constraints=[LinearConstraint(one_each, 1.0, 1.0), LinearConstraint(spent.T, -np.inf, 1.0)],
        )
        if found.x is not None:
            indices = np.array([x.argmax() for x in np.split(found.x, np.cumsum(sizes)[:-1])])
            if self.problem.feasible(indices[None])[0]:
                return indices
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
    left = Cost(0.0, tuple(c.max() - c for c in costs.choices), costs.unit)
    try:
        most = costs.range[1] - least_use * tightest.usable
        use = Constraint(Budget(f"unused of {tightest.name}", most, costs.unit), left)
        near = Problem(problem.space, (*problem.constraints, use))
        _ = FeasibleSampler(near).feasible
    except InfeasibleBudget:
        return problem
    return near

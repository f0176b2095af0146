"""Which candidates a network may still take that is decided choice after choice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnas.latency.base import FloatArray
from hwnas.search.problem import Problem


@dataclass(frozen=True)
class Affordable:
    """Additive costs under every budget, and the least that the choices to come spend.

    What is affordable leaves enough for the cheapest rest under each budget. With one budget an architecture
    that only takes what is affordable keeps it; several may leave nothing affordable at a later choice.

    Attributes:
        costs: One array a choice, shape (candidates, budgets).
        rest: The least that all later choices cost together, shape (choices, budgets).
        fixed: What is spent before the first choice, shape (budgets,).
        limits: What may be spent, shape (budgets,).
    """

    costs: tuple[FloatArray, ...]
    rest: FloatArray
    fixed: FloatArray
    limits: FloatArray

    @classmethod
    def of(cls, problem: Problem, user: str) -> Affordable:
        """Those of a problem.

        Args:
            problem: The budgets.
            user: Who can only add up, for the message.

        Raises:
            LatencyModelError: Two choices have costs together.
        """
        each = [c.costs.additive(user) for c in problem.constraints]
        costs = tuple(np.stack(columns, axis=1) for columns in zip(*each, strict=True))
        least = np.array([cost.min(axis=0) for cost in costs])
        nothing = np.zeros((1, len(problem.constraints)))
        return cls(
            costs,
            np.concatenate([least[::-1].cumsum(axis=0)[::-1][1:], nothing]),
            np.array([c.costs.fixed for c in problem.constraints]),
            np.array([c.usable for c in problem.constraints]),
        )

    def after(self, number: int, spent: FloatArray) -> FloatArray:
        """What is spent with each candidate: (..., budgets) to (..., candidates, budgets)."""
        return np.asarray(spent[..., None, :] + self.costs[number])

    def may_follow(self, number: int, after: FloatArray) -> np.ndarray:
        """Which candidates leave enough for the rest: what ``after`` says to (..., candidates) of bool."""
        return np.asarray((after + self.rest[number] <= self.limits * (1 + 1e-12)).all(axis=-1))

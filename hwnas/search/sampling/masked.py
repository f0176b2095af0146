"""A recurrent policy that only draws what keeps the budgets.

Candidates that cannot lead to a feasible architecture any more have no probability, and those that are left
share it as before. Samples, log-probabilities and gradients are those of that masked policy.
"""

from __future__ import annotations

import numpy as np
import torch

from hwnas.latency.base import IntArray
from hwnas.search.feasible import FeasibleSampler
from hwnas.search.problem import Problem
from hwnas.search.sampling.affordable import Affordable
from hwnas.search.sampling.controller import Controller, State

FORBIDDEN = -1e9
"""Log-probability of what is masked: its exponential is 0, and 0 times it as well."""


def masked(logs: torch.Tensor, allowed: np.ndarray) -> torch.Tensor:
    """Log-probabilities among what is allowed; uniform where nothing is, shape (..., candidates) each."""
    return torch.log_softmax(logs.masked_fill(~torch.from_numpy(allowed), FORBIDDEN), dim=-1)


class Masked(Controller):
    """The controller, among architectures that keep every budget.

    With several budgets, first decisions that leave each of them a rest may leave none for all. Such a draw
    is repaired, and counts with the log-probability of what it was repaired to.

    Args:
        problem: What is searched, under which budgets.
        rng: For the initial weights.

    Raises:
        LatencyModelError: Two choices have costs together.
    """

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        super().__init__(problem.space.sizes, rng)
        self.feasible = FeasibleSampler(problem)
        self.affordable = Affordable.of(problem, "a policy that decides choice after choice")

    def step(self, number: int, before: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
        """The same among what is affordable; the state goes on with what the decisions spend."""
        logs, known = super().step(number, before, None if state is None else state[:-1])
        picked = before.numpy()
        if state is None:
            spent = np.tile(self.affordable.fixed, (len(picked), 1))
        else:
            spent = state[-1].numpy() + self.affordable.costs[number - 1][picked]
        allowed = self.affordable.may_follow(number, self.affordable.after(number, spent))
        return masked(logs, allowed), (*known, torch.from_numpy(spent))

    def sample(self, count: int, rng: np.random.Generator) -> IntArray:
        """Independent feasible architectures, shape (count, choices)."""
        drawn = super().sample(count, rng)
        return np.array([self.feasible.repair(indices) for indices in drawn])

    def argmax(self) -> IntArray:
        """The most probable affordable candidate at each choice, given those before, shape (choices,)."""
        return self.feasible.repair(super().argmax())

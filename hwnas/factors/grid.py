"""The best score at every cost along a sweep, with costs on a grid: dynamic programming over arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from hwnas.factors.sweep import Sweep
from hwnas.factors.terms import FloatArray, IntArray

MOST_CELLS = 200_000_000
"""Of all steps together: frontier states times places of the grid."""


@dataclass(frozen=True)
class Grid:
    """Scores and whole numbers that are spent, along a sweep.

    Attributes:
        sweep: The order.
        scores: What each step adds to the score, a table over its scope.
        spends: What it adds to what is spent, the same; rounded down, so that what is found may spend
            more by less than one a step.
        budget: What may be spent at most.
    """

    sweep: Sweep
    scores: Sequence[FloatArray]
    spends: Sequence[IntArray]
    budget: int

    @cached_property
    def cells(self) -> int:
        """Numbers that are kept on the way."""
        states = (prod(self.sweep.sizes[s] for s in step.after) for step in self.sweep.steps)
        return sum(states) * (self.budget + 1)

    def best(self) -> IntArray:
        """The answer of the best score for each number that is spent in all, where there is one.

        Returns:
            States of all slots, shape (n, slots), what spends least first.
        """
        reached = np.full((1, self.budget + 1), -np.inf)
        reached[0, 0] = 0.0
        ways = []
        for number in range(len(self.sweep.steps)):
            reached, way = self._step(number, reached)
            ways.append(way)
        return self._traced(ways, np.flatnonzero(np.isfinite(reached[0])))

    def _step(self, number: int, reached: FloatArray) -> tuple[FloatArray, NDArray[np.int32]]:
        """Scores by frontier state and what is spent, and the entry of the scope that each came by."""
        scores, spends = self.scores[number].ravel(), self.spends[number].ravel()
        size = self.sweep.sizes[self.sweep.steps[number].slot]
        after = self._after(number)
        found = np.full((int(after.max()) + 1, self.budget + 1), -np.inf)
        way = np.zeros(found.shape, np.int32)
        for entry in np.flatnonzero(spends <= self.budget):
            spend, state = spends[entry], after[entry]
            gained = reached[entry // size, : self.budget + 1 - spend] + scores[entry]
            row, come = found[state, spend:], way[state, spend:]
            better = gained > row
            row[better] = gained[better]
            come[better] = entry
        return found, way

    def _after(self, number: int) -> IntArray:
        """The number of the frontier state after a step, for each entry of its scope."""
        step, sizes = self.sweep.steps[number], self.sweep.sizes
        states = np.unravel_index(np.arange(self.scores[number].size), [sizes[slot] for slot in step.scope])
        numbers = np.zeros(self.scores[number].size, np.int64)
        for slot, own in zip(step.scope, states, strict=True):
            if slot in step.after:
                numbers = numbers * sizes[slot] + own
        return numbers

    def _traced(self, ways: Sequence[NDArray[np.int32]], spent: IntArray) -> IntArray:
        """The states that led to what is spent in the end."""
        picks = np.zeros((len(spent), len(self.sweep.sizes)), np.int64)
        state, left = np.zeros(len(spent), np.int64), spent.copy()
        for number, step in self.sweep.backwards():
            entry = ways[number][state, left]
            left -= self.spends[number].ravel()[entry]
            state, picks[:, step.slot] = np.divmod(entry, self.sweep.sizes[step.slot])
        return picks

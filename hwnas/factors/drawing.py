"""Exact draws from distributions whose logarithm is a sum over pairs: filtered backwards, drawn forwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwnas.factors.sweep import Sweep
from hwnas.factors.terms import FloatArray, IntArray


@dataclass(frozen=True)
class Swept:
    """The distributions ``q(x) ~ exp(-prices . spent(x))`` over the states of all slots.

    Attributes:
        sweep: The order.
        spends: What each step adds to what is spent, a table over its scope with an axis of budgets. More
            than 1 of one budget is impossible, unless everything is.
    """

    sweep: Sweep
    spends: Sequence[FloatArray]

    def bound(self, prices: FloatArray) -> tuple[float, FloatArray]:
        """Logarithm of the Chernoff bound on the number of states that spend at most 1, and its gradient."""
        _, log_sum, mean = self._filtered(prices, self._logs)
        return float(prices.sum() + log_sum), 1.0 - mean

    def draw(self, count: int, prices: FloatArray, rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
        """Independent draws, shape (count, slots), and what they spend, shape (count, budgets)."""
        chances, _, _ = self._filtered(prices, self._logs)
        picks = np.zeros((count, len(self.sweep.sizes)), np.int64)
        spent = np.zeros((count, len(prices)))
        for step, chance, spend in zip(self.sweep.steps, chances, self.spends, strict=True):
            before = tuple(picks[:, slot] for slot in step.before)
            rows = np.cumsum(chance, axis=-1)[before] if before else np.cumsum(chance)[None]
            states = (rows <= (rng.random(count) * rows[..., -1])[:, None]).sum(axis=1)
            picks[:, step.slot] = np.minimum(states, self.sweep.sizes[step.slot] - 1)
            spent += spend[(*before, picks[:, step.slot])]
        return picks, spent

    @cached_property
    def _logs(self) -> list[FloatArray]:
        """0 where a step may be taken, minus infinity where it spends too much alone."""
        logs = [np.where((spend <= 1 + 1e-9).all(axis=-1), 0.0, -np.inf) for spend in self.spends]
        _, log_sum, _ = self._filtered(np.zeros(self.spends[0].shape[-1]), logs)
        # Where nothing is left, the budgets do not agree: any state will do.
        return logs if np.isfinite(log_sum) else [np.zeros_like(log) for log in logs]

    def _filtered(
        self, prices: FloatArray, logs: Sequence[FloatArray]
    ) -> tuple[list[FloatArray], float, FloatArray]:
        """Chances of each step's states given its frontier, log of their sum, mean of what is spent."""
        chances, total, mean = [], np.zeros(()), np.zeros(len(prices))
        for number, step in self.sweep.backwards():
            weights = logs[number] - self.spends[number] @ prices + self.sweep.widened(step, total)
            top = weights.max(axis=-1, keepdims=True)
            top = np.where(np.isfinite(top), top, 0.0)
            parts = np.exp(weights - top)
            sums = parts.sum(axis=-1, keepdims=True)
            chance = parts / np.where(sums > 0, sums, 1.0)
            with np.errstate(divide="ignore"):
                total = (top + np.log(sums))[..., 0]
            after = self.spends[number] + self.sweep.widened(step, mean)
            mean = (chance[..., None] * after).sum(axis=-2)
            chances.append(chance)
        return chances[::-1], float(total), mean

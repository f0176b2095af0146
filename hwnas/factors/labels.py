"""Partial answers along a sweep, kept where nothing beats them: label-setting dynamic programming.

A label is the states of the decided slots with their score and what they spend of each budget. Two labels
compare where they agree on the frontier: what may follow is the same then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.factors.sweep import Sweep, Visit
from hwnas.factors.terms import FloatArray, IntArray

TOLERANCE = 1e-9
_BLOCK = 128


@dataclass(frozen=True)
class Labels:
    """Partial answers.

    Attributes:
        picks: Shape (n, slots); of slots that are not decided, nothing.
        score: Shape (n,).
        spent: Share of each budget that is spent for sure, shape (n, budgets).
    """

    picks: IntArray
    score: FloatArray
    spent: FloatArray

    def at(self, rows: np.ndarray) -> Labels:
        """Those of some rows."""
        return Labels(self.picks[rows], self.score[rows], self.spent[rows])


@dataclass(frozen=True)
class Ahead:
    """What may still come along a sweep.

    Attributes:
        sweep: The order.
        scores: What each step adds to the score, a table over its scope.
        spends: What it adds to what is spent for sure, the same with an axis of budgets; at least 0.
        prices: What a whole budget is worth in score, shape (budgets,), at least 0.
        rest: The largest priced score of what follows, before the first step and after each.
    """

    sweep: Sweep
    scores: Sequence[FloatArray]
    spends: Sequence[FloatArray]
    prices: FloatArray
    rest: Sequence[FloatArray]

    @classmethod
    def of(
        cls, sweep: Sweep, scores: Sequence[FloatArray], spends: Sequence[FloatArray], prices: FloatArray
    ) -> Ahead:
        """Bounds from any prices: they are valid for all, and tight for those of the linear relaxation."""
        priced = [score - spend @ prices for score, spend in zip(scores, spends, strict=True)]
        return cls(sweep, scores, spends, prices, sweep.most(priced))

    def over(self, labels: Labels, number: int) -> FloatArray:
        """No completion of a label scores more than this, after step ``number``."""
        left = (1 - labels.spent) @ self.prices
        frontier = self.sweep.numbered(self.sweep.steps[number], labels.picks)
        return np.asarray(labels.score + left + self.rest[number + 1].ravel()[frontier])

    def first(self) -> Labels:
        """Nothing decided yet."""
        budgets = len(self.prices)
        return Labels(np.zeros((1, len(self.sweep.sizes)), np.int64), np.zeros(1), np.zeros((1, budgets)))

    def extended(self, labels: Labels, number: int) -> Labels:
        """Every label with every state of the next slot that keeps the budgets."""
        step = self.sweep.steps[number]
        size = self.sweep.sizes[step.slot]
        parents, states = np.divmod(np.arange(len(labels.score) * size), size)
        at = (*(labels.picks[parents, slot] for slot in step.before), states)
        spent = labels.spent[parents] + self.spends[number][at]
        kept = (spent <= 1 + TOLERANCE).all(axis=1)
        picks = labels.picks[parents[kept]]
        picks[:, step.slot] = states[kept]
        return Labels(picks, (labels.score[parents] + self.scores[number][at])[kept], spent[kept])

    def expand(self, known: float, width: int) -> tuple[Labels, float]:
        """All whole labels that may beat a known score, and the best bound among those cut by width."""
        labels, lost = self.first(), -np.inf
        for number, step in enumerate(self.sweep.steps):
            labels = self.extended(labels, number)
            slack = TOLERANCE * (1 + abs(known))
            labels = labels.at(self.over(labels, number) >= known - slack)
            labels = labels.at(undominated(labels, self._frontier(step, labels)))
            if len(labels.score) > width:
                over = self.over(labels, number)
                order = np.argsort(-over, kind="stable")
                lost = max(lost, float(over[order[width]]))
                labels = labels.at(order[:width])
        return labels, lost

    def front(self, width: int) -> Labels | None:
        """All whole labels that nothing beats; None where there are more than ``width`` on the way."""
        labels = self.first()
        for number, step in enumerate(self.sweep.steps):
            labels = self.extended(labels, number)
            labels = labels.at(undominated(labels, self._frontier(step, labels)))
            if len(labels.score) > width:
                return None
        return labels

    def _frontier(self, step: Visit, labels: Labels) -> IntArray | None:
        return self.sweep.numbered(step, labels.picks) if step.after else None


def undominated(labels: Labels, groups: IntArray | None = None) -> np.ndarray:
    """Rows that no other row beats: all such rows for one budget, at least them for several.

    For several, rows are only compared within blocks of similar spending: what stays may still
    be dominated, which costs time, not correctness.

    Args:
        labels: Partial answers.
        groups: Only rows of one number are compared; all are where it is None.
    """
    group = np.zeros(len(labels.score), np.int64) if groups is None else groups
    if labels.spent.shape[1] == 1:
        order = np.lexsort((labels.spent[:, 0], -labels.score, group))
        # Ranks instead of values, so that each group starts below all before it without rounding.
        _, ranks = np.unique(labels.spent[:, 0], return_inverse=True)
        values = (ranks - group * (len(ranks) + 1))[order]
        least = np.minimum.accumulate(np.concatenate([[len(ranks) + 1], values[:-1]]))
        return np.asarray(order[values < least])
    order = np.lexsort((labels.spent.sum(axis=1), group))
    kept = [order[:0]]
    for start in range(0, len(order), _BLOCK):
        rows = order[start : start + _BLOCK]
        score, spent = labels.score[rows], labels.spent[rows]
        worse = (score[:, None] <= score) & (spent[:, None] >= spent).all(axis=2)
        worse &= group[rows][:, None] == group[rows]
        same = worse & worse.T
        worse &= ~same | (np.arange(len(rows)) < np.arange(len(rows))[:, None])
        kept.append(rows[~worse.any(axis=1)])
    return np.concatenate(kept)

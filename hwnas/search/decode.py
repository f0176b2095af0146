"""The best architecture that keeps every budget, where the score is a sum over the choices.

The arg-max of a search's gates is not on budget when their expectation is; what is wanted is
the most probable architecture *among the feasible ones*. That is a multiple-choice knapsack,
solved here by label-setting dynamic programming: a label is a partial architecture with its
score and what it spends; labels are dropped where another is at least as good in everything,
or where a bound from the linear relaxation says that they cannot beat a known solution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.errors import SpaceError
from hwnas.latency.base import FloatArray, IntArray
from hwnas.search.feasible import FeasibleSampler
from hwnas.search.problem import Problem

_BEAM = 512
_BLOCK = 128
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Decoded:
    """A feasible architecture and how good it is.

    Attributes:
        indices: The architecture.
        score: Its sum of scores.
        gap: No feasible architecture scores more than ``score + gap``; 0 where the search was
            exhaustive, as it always is for one budget of realistic size.
    """

    indices: tuple[int, ...]
    score: float
    gap: float


@dataclass(frozen=True)
class _Labels:
    """Partial architectures: picks (n, choices so far), score (n,), spent (n, constraints)."""

    picks: IntArray
    score: FloatArray
    spent: FloatArray

    def at(self, rows: np.ndarray) -> _Labels:
        return _Labels(self.picks[rows], self.score[rows], self.spent[rows])


def decode(scores: Sequence[FloatArray], problem: Problem, *, max_labels: int = 200_000) -> Decoded:
    """The feasible architecture with the largest sum of scores.

    Args:
        scores: One array a choice, shape (candidates,), for example log-probabilities; finite.
        problem: Its space and budgets.
        max_labels: Partial architectures kept a choice; only where that is too few, the result
            may be short of the optimum, by ``gap`` at most.

    Raises:
        InfeasibleBudget: No architecture keeps all budgets together.
        SpaceError: The scores do not fit the space.
    """
    scores = [np.asarray(s, np.float64) for s in scores]
    if tuple(len(s) for s in scores) != problem.space.sizes or not all(np.isfinite(s).all() for s in scores):
        raise SpaceError(
            f"scores must be finite and have the sizes {problem.space.sizes}, "
            f"but have {tuple(len(s) for s in scores)} or are not"
        )
    known = FeasibleSampler(problem).feasible
    spends = _spends(problem)
    bounds = _Bounds.of(scores, spends)
    best = _better(problem, scores, [known])
    found, _ = _expand(scores, spends, bounds, best.score, _BEAM)
    best = _better(problem, scores, [best.indices, *found.picks])
    found, lost = _expand(scores, spends, bounds, best.score, max_labels)
    best = _better(problem, scores, [best.indices, *found.picks])
    return Decoded(best.indices, best.score, max(0.0, lost - best.score))


def _spends(problem: Problem) -> list[FloatArray]:
    """Share of each budget's slack that a candidate spends: (candidates, constraints) a choice."""
    slack = [max(c.usable - c.costs.range[0], 1e-12 * c.costs.range[1]) for c in problem.constraints]
    choices = zip(*(c.costs.choices for c in problem.constraints), strict=True)
    return [np.stack([c - c.min() for c in costs], axis=1) / slack for costs in choices]


def _better(
    problem: Problem, scores: Sequence[FloatArray], picks: Sequence[Sequence[int] | IntArray]
) -> Decoded:
    """The best of some architectures that is truly feasible; there is at least one."""
    indices = np.array([list(p) for p in picks], np.int64)
    indices = indices[problem.feasible(indices)]
    values = sum(s[column] for s, column in zip(scores, indices.T, strict=True))
    row = int(np.argmax(values))
    return Decoded(tuple(int(i) for i in indices[row]), float(np.asarray(values)[row]), 0.0)


@dataclass(frozen=True)
class _Bounds:
    """Upper bounds on what the remaining choices can add: Lagrangian, from the LP's prices.

    Attributes:
        prices: Score a slack is worth, shape (constraints,), at least 0.
        rest: Largest priced score of the choices from each depth on, shape (choices + 1,).
    """

    prices: FloatArray
    rest: FloatArray

    @classmethod
    def of(cls, scores: Sequence[FloatArray], spends: Sequence[FloatArray]) -> _Bounds:
        prices = _prices(scores, spends)
        best = [(s - c @ prices).max() for s, c in zip(scores, spends, strict=True)]
        return cls(prices, np.append(np.cumsum(best[::-1])[::-1], 0.0))

    def over(self, labels: _Labels, depth: int) -> FloatArray:
        """No completion of a label scores more than this."""
        left = (1 - labels.spent) @ self.prices
        return np.asarray(labels.score + left + self.rest[depth])


def _prices(scores: Sequence[FloatArray], spends: Sequence[FloatArray]) -> FloatArray:
    """Dual prices of the linear relaxation; any non-negative ones give a valid bound."""
    from scipy.optimize import linprog

    sizes = [len(s) for s in scores]
    owner = np.repeat(np.arange(len(sizes)), sizes)
    solved = linprog(
        -np.concatenate(scores),
        A_ub=np.concatenate(spends).T,
        b_ub=np.ones(spends[0].shape[1]),
        A_eq=(owner == np.arange(len(sizes))[:, None]).astype(float),
        b_eq=np.ones(len(sizes)),
    )
    if solved.x is None:
        return np.zeros(spends[0].shape[1])
    prices: FloatArray = np.maximum(-solved.ineqlin.marginals, 0.0)
    return prices


def _expand(
    scores: Sequence[FloatArray],
    spends: Sequence[FloatArray],
    bounds: _Bounds,
    known: float,
    width: int,
) -> tuple[_Labels, float]:
    """All whole labels that may beat ``known``, and the best bound among those cut by width."""
    constraints = len(bounds.prices)
    labels = _Labels(np.zeros((1, 0), np.int64), np.zeros(1), np.zeros((1, constraints)))
    lost = -np.inf
    for depth, (score, spend) in enumerate(zip(scores, spends, strict=True)):
        labels = _extend(labels, score, spend)
        over = bounds.over(labels, depth + 1)
        slack = _TOLERANCE * (1 + abs(known))
        labels = labels.at((labels.spent <= 1 + _TOLERANCE).all(axis=1) & (over >= known - slack))
        labels = labels.at(_undominated(labels))
        if len(labels.score) > width:
            over = bounds.over(labels, depth + 1)
            order = np.argsort(-over, kind="stable")
            lost = max(lost, float(over[order[width]]))
            labels = labels.at(order[:width])
    return labels, lost


def _extend(labels: _Labels, score: FloatArray, spend: FloatArray) -> _Labels:
    """Every label with every candidate."""
    parents, candidates = np.divmod(np.arange(len(labels.score) * len(score)), len(score))
    picks = np.concatenate([labels.picks[parents], candidates[:, None]], axis=1)
    return _Labels(
        picks, labels.score[parents] + score[candidates], labels.spent[parents] + spend[candidates]
    )


def _undominated(labels: _Labels) -> np.ndarray:
    """Rows that no other row beats: all such rows for one constraint, at least them for several.

    For several, rows are only compared within blocks of similar spending: what stays may still
    be dominated, which costs time, not correctness.
    """
    order = np.lexsort((labels.spent.sum(axis=1), -labels.score))
    if labels.spent.shape[1] == 1:
        spent = labels.spent[order, 0]
        least = np.minimum.accumulate(np.concatenate([[np.inf], spent[:-1]]))
        return np.asarray(order[spent < least])
    order = np.argsort(labels.spent.sum(axis=1), kind="stable")
    kept = [order[:0]]
    for start in range(0, len(order), _BLOCK):
        rows = order[start : start + _BLOCK]
        score, spent = labels.score[rows], labels.spent[rows]
        worse = (score[:, None] <= score) & (spent[:, None] >= spent).all(axis=2)
        same = worse & worse.T
        worse &= ~same | (np.arange(len(rows)) < np.arange(len(rows))[:, None])
        kept.append(rows[~worse.any(axis=1)])
    return np.concatenate(kept)

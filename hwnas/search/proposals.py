"""Distributions over architectures that favour cheap ones: what feasible ones are drawn from.

``spent`` counts from the cheapest architecture on, in what a budget leaves above it, so that what keeps the
budget spends at most 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwnas.factors import Pair, Sweep, Terms
from hwnas.factors.drawing import Swept
from hwnas.latency.base import Cost, FloatArray, IntArray
from hwnas.search.problem import Problem
from hwnas.search.spending import pairs_of, slacks, spends


def proposals(problem: Problem) -> Independent | Swept:
    """The distributions that fit the costs of a problem.

    Where costs of pairs meet too widely for a sweep, only those of a spanning tree are followed. What is
    left of the others is never negative, so that what keeps the budget still spends at most 1.
    """
    pairs = pairs_of(problem)
    if not pairs:
        costs = (c.costs.additive("a draw of independent choices") for c in problem.constraints)
        slack = slacks(problem)
        return Independent(
            tuple(np.stack([c - c.min() for c in each], axis=1) / slack for each in zip(*costs, strict=True))
        )
    sweep = Sweep.of(problem.space.sizes, pairs)
    if sweep.is_narrow:
        return Swept(sweep, spends(problem, sweep))
    tree = _spanning(problem)
    return _within(problem, tree)


@dataclass(frozen=True)
class Independent:
    """``q(x) ~ exp(-prices . spent(x))`` where what is spent is a sum over choices.

    Attributes:
        spent: Share of each slack that the candidates spend, an array (candidates, constraints) a choice. A
            candidate that spends more than 1 can never be picked.
    """

    spent: tuple[FloatArray, ...]

    def bound(self, prices: FloatArray) -> tuple[float, FloatArray]:
        """Logarithm of the Chernoff bound on the number of feasible architectures, and its gradient."""
        weights, spent = self._weights(prices), self._possible[1]
        mean = sum(w @ s / w.sum() for w, s in zip(weights, spent, strict=True))
        return prices.sum() + sum(np.log(w.sum()) for w in weights), 1.0 - mean

    def draw(self, count: int, prices: FloatArray, rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
        """Independent draws, shape (count, choices), and what they spend, shape (count, constraints)."""
        chances = [w / w.sum() for w in self._weights(prices)]
        columns = [rng.choice(len(chance), count, p=chance) for chance in chances]
        spent = sum(s[c] for s, c in zip(self.spent, columns, strict=True))
        return np.stack(columns, axis=1), np.asarray(spent)

    @cached_property
    def _possible(self) -> tuple[list[np.ndarray], list[FloatArray]]:
        """Which candidates keep the budgets at all, and what those spend."""
        possible = [np.asarray((s <= 1.0 + 1e-9).all(axis=1)) for s in self.spent]
        return possible, [np.where(ok[:, None], s, 0.0) for s, ok in zip(self.spent, possible, strict=True)]

    def _weights(self, prices: FloatArray) -> list[FloatArray]:
        # Where no candidate of a choice is possible, the budgets do not agree: any will do.
        parts = [np.exp(-s @ prices) * ok for ok, s in zip(*self._possible, strict=True)]
        return [part if part.any() else np.ones_like(part) for part in parts]


def _spanning(problem: Problem) -> frozenset[tuple[int, int]]:
    """Edges of a spanning tree (or forest) of the pairs that matter most for the budgets."""
    weights: dict[tuple[int, int], float] = {}
    for constraint, slack in zip(problem.constraints, slacks(problem).tolist(), strict=True):
        for pair in constraint.costs.pairs:
            weights[pair.edge] = weights.get(pair.edge, 0.0) + float(_left(pair)[2].max()) / slack
    roots = list(range(len(problem.space.sizes)))

    def root(slot: int) -> int:
        while roots[slot] != slot:
            slot = roots[slot]
        return slot

    kept = set()
    for first, second in sorted(weights, key=lambda edge: (-weights[edge], edge)):
        if root(first) != root(second):
            roots[root(first)] = root(second)
            kept.add((first, second))
    return frozenset(kept)


def _within(problem: Problem, tree: frozenset[tuple[int, int]]) -> Swept:
    """Draws along a tree, of costs that are never more than the real ones."""
    each = [_thinned(c.costs, tree) for c in problem.constraints]
    sweep = Sweep.of(problem.space.sizes, [pair for terms in each for pair in terms.pairs])
    tables = []
    for constraint, terms in zip(problem.constraints, each, strict=True):
        found, low = sweep.reduced(terms)
        slack = max(constraint.usable - constraint.costs.fixed - low, 1e-12 * constraint.costs.range[1])
        tables.append([table / slack for table in found])
    return Swept(sweep, [np.stack(step, axis=-1) for step in zip(*tables, strict=True)])


def _thinned(costs: Cost, tree: frozenset[tuple[int, int]]) -> Terms:
    """Costs without pairs outside a tree but for what their slots cost alone at least."""
    singles = [np.array(c) for c in costs.choices]
    for pair in costs.pairs:
        if pair.edge not in tree:
            first, second, _ = _left(pair)
            singles[pair.first] += first
            singles[pair.second] += second
    return Terms(tuple(singles), tuple(pair for pair in costs.pairs if pair.edge in tree))


def _left(pair: Pair) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What the states of either slot cost at least, and what is left of the pair then, at least 0."""
    first = pair.values.min(axis=1)
    rest = pair.values - first[:, None]
    second = rest.min(axis=0)
    return first, second, rest - second

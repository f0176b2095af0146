"""What the terms of costs spend of what budgets leave above the cheapest architecture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwnas.factors import Pair, Sweep, Terms
from hwnas.latency.base import FloatArray
from hwnas.search.problem import Constraint, Problem


def pairs_of(problem: Problem) -> tuple[Pair, ...]:
    """The pairs of all costs that are limited."""
    return tuple(pair for c in problem.constraints for pair in c.costs.pairs)


def slacks(problem: Problem) -> FloatArray:
    """What each budget leaves above its cheapest architecture, kept from zero, shape (constraints,)."""
    ranges = [c.costs.range for c in problem.constraints]
    slack = [c.usable - low for c, (low, _) in zip(problem.constraints, ranges, strict=True)]
    return np.maximum(slack, [1e-12 * high for _, high in ranges])


def spends(problem: Problem, sweep: Sweep) -> list[FloatArray]:
    """Share of each slack that the steps of a sweep spend for sure, given the cheapest that may follow.

    Returns:
        One table a step over its scope, with an axis of constraints; at least 0. An architecture whose sum
        is at most 1 keeps the budget.
    """
    each = [sweep.reduced(c.costs.terms)[0] for c in problem.constraints]
    slack = slacks(problem)
    return [np.stack(tables, axis=-1) / slack for tables in zip(*each, strict=True)]


def limits(problem: Problem) -> tuple[Sequence[Terms], FloatArray]:
    """The same as sums with a limit each, as integer programs want them: every term at least 0."""
    found = [_limit(c, slack) for c, slack in zip(problem.constraints, slacks(problem).tolist(), strict=True)]
    return [terms for terms, _ in found], np.array([most for _, most in found])


def _limit(constraint: Constraint, slack: float) -> tuple[Terms, float]:
    costs = constraint.costs
    singles = tuple((c - c.min()) / slack for c in costs.choices)
    pairs = tuple(Pair(p.first, p.second, (p.values - p.values.min()) / slack) for p in costs.pairs)
    if costs.is_additive:
        return Terms(singles), 1.0
    least = costs.fixed + sum(float(c.min()) for c in costs.choices)
    least += sum(float(p.values.min()) for p in costs.pairs)
    return Terms(singles, pairs), (constraint.usable - least) / slack

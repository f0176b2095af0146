"""The architecture of the least sum of errors under budgets: a multiple-choice knapsack, solved exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise

import numpy as np

from hwnas.factors import Terms
from hwnas.factors.program import Program
from hwnas.latency.base import FloatArray, IntArray
from hwnas.latency.layout import Layout
from hwnas.search.problem import Problem
from hwnas.search.spending import pairs_of
from hwnas.space import Block

_CLOSER = 1e-7
"""Share of a budget that a solution stays below it, as the solver is exact to so much only."""


@dataclass(frozen=True)
class Knapsack:
    """The architectures of a problem as an integer program: one variable a candidate, and a pair that costs.

    HiGHS solves it in milliseconds, under as many budgets as there are.

    Attributes:
        problem: What is searched, under which budgets.
    """

    problem: Problem

    def solve(
        self,
        errors: Sequence[FloatArray],
        others: IntArray | None = None,
        *,
        apart: int = 1,
        dropped: int | None = None,
    ) -> tuple[int, ...] | None:
        """The architecture of the least sum of errors that keeps every budget.

        Args:
            errors: One array a choice.
            others: Architectures that it must differ from, shape (n, choices).
            apart: In at least so many choices.
            dropped: Layers that a stage may leave out at most; as many as it likes where it is None.

        Returns:
            Its indices; None where there is none.
        """
        from scipy import optimize

        rows, lows, highs = self._always
        rows, lows, highs = list(rows), list(lows), list(highs)
        for other in others if others is not None else ():
            rows.append(self._row(self._layout.offsets + other))
            lows.append(-np.inf)
            highs.append(float(len(self._layout.sizes) - apart))
        for stage in self._stages if dropped is not None else ():
            rows.append(self._row(stage))
            lows.append(-np.inf)
            highs.append(float(dropped or 0))
        constraints = [optimize.LinearConstraint(np.array(rows), lows, highs)]
        if self._program.edges:
            constraints.append(optimize.LinearConstraint(*self._program.polytope))
        found = optimize.milp(
            self._program.row(Terms(tuple(errors))),
            integrality=self._program.whole,
            bounds=optimize.Bounds(0, 1),
            constraints=constraints,
        )
        if found.x is None:
            return None
        indices = tuple(self._program.read(found.x).tolist())
        return indices if self.problem.feasible(np.array([indices]))[0] else None

    @cached_property
    def _layout(self) -> Layout:
        """Where the variables of each choice are."""
        return Layout(self.problem.space.sizes)

    @cached_property
    def _program(self) -> Program:
        """The variables, those of pairs last."""
        return Program(self.problem.space.sizes, pairs_of(self.problem))

    def _row(self, variables: IntArray) -> FloatArray:
        row = np.zeros(self._program.count)
        row[variables] = 1.0
        return row

    @cached_property
    def _always(self) -> tuple[list[FloatArray], list[float], list[float]]:
        """Constraints and their bounds: one candidate a choice, and every budget."""
        rows, lows, highs = [], [], []
        for start, stop in pairwise((*self._layout.offsets, self._layout.fixed)):
            rows.append(self._row(np.arange(start, stop)))
            lows.append(1.0)
            highs.append(1.0)
        for constraint in self.problem.constraints:
            left = constraint.usable - constraint.costs.fixed
            rows.append(self._program.row(constraint.costs.terms) / constraint.usable)
            lows.append(-np.inf)
            highs.append(left / constraint.usable - _CLOSER)
        return rows, lows, highs

    @cached_property
    def _stages(self) -> tuple[IntArray, ...]:
        """The variables that leave a layer out, of each row of choices whose outputs have one shape."""
        space = self.problem.blocks
        shapes = [workloads[0].out_shapes for _, index, workloads in space.grouped() if index == 0]
        identities = [
            [start + n for n, block in enumerate(choice.candidates) if block.is_identity]
            for start, choice in zip(self._layout.offsets, space.decisions, strict=True)
        ]
        found = []
        for _, group in groupby(range(len(shapes)), key=lambda number: shapes[number]):
            found.append([variable for number in group for variable in identities[number]])
        return tuple(np.array(stage, dtype=np.int64) for stage in found if stage)


def uniform(problem: Problem, steps: int = 200) -> tuple[int, ...] | None:
    """The network of the space that is narrowed alike everywhere, as wide as keeps the budgets.

    In each choice the candidate of most multiply-adds within one share of those of the space's reference, the
    same share in all. It is of the same kind and groups as the reference, so that no layer is left out.

    Args:
        problem: What is searched, under which budgets.
        steps: Shares that are tried.

    Returns:
        Its indices; None where even the narrowest is too slow.
    """
    space = problem.blocks
    macs = [np.array(table, float) for table in space.macs_table()[1]]
    for table, choice, own in zip(macs, space.decisions, space.reference, strict=True):
        sort = _sort(choice.candidates[own])
        table[[_sort(block) != sort for block in choice.candidates]] = np.inf
    for share in np.linspace(1.0, 0.0, steps):
        row = []
        for table, own in zip(macs, space.reference, strict=True):
            limit = max(share * table[own], table.min())
            row.append(int(np.where(table <= limit, table, -np.inf).argmax()))
        if problem.feasible(np.array([row]))[0]:
            return tuple(row)
    return None


def _sort(block: Block) -> tuple[str, int]:
    """What stays where a block is only narrowed."""
    return block.kind, getattr(block, "groups", 1)

"""Sums over pairs as an integer program, for graphs that no sweep is narrow enough for.

One variable a state of a slot, and one a pair of states whose margins are those of its slots (the local
polytope: Wainwright & Jordan, Graphical Models, Exponential Families, and Variational Inference, section
4.1.1). Its linear relaxation is exact for trees without budgets; HiGHS closes what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hwnas.factors.terms import FloatArray, IntArray, Pair, Terms, edges_of

CLOSER = 1e-7
"""Share of a limit that a solution stays below it in a second attempt: the solver is exact to so much."""


@dataclass(frozen=True)
class Solved:
    """An answer of the program.

    Attributes:
        indices: States of all slots, shape (slots,).
        bound: No states that keep the limits have a smaller sum than this.
    """

    indices: IntArray
    bound: float


class Program:
    """The states of slots as variables.

    Args:
        sizes: Number of states of each slot.
        pairs: Whose slots meet, in whatever is asked of the program.
    """

    def __init__(self, sizes: Sequence[int], pairs: Iterable[Pair]) -> None:
        self.sizes = tuple(sizes)
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int64)
        self.edges: dict[tuple[int, int], int] = {}
        self.count = int(self.starts[-1])
        for first, second in sorted(edges_of(pairs)):
            self.edges[first, second] = self.count
            self.count += self.sizes[first] * self.sizes[second]

    @property
    def whole(self) -> FloatArray:
        """1 for variables of states, which are whole numbers; 0 for those of pairs, which follow."""
        whole = np.zeros(self.count)
        whole[: self.starts[-1]] = 1.0
        return whole

    def row(self, terms: Terms) -> FloatArray:
        """A sum as coefficients of the variables, shape (count,)."""
        row = np.zeros(self.count)
        row[: self.starts[-1]] = np.concatenate(terms.singles)
        for pair in terms.pairs:
            start = self.edges[pair.edge]
            row[start : start + pair.values.size] += pair.facing(pair.edge[1]).ravel()
        return row

    def solve(
        self, terms: Terms, rows: Sequence[Terms] = (), limits: Sequence[float] | FloatArray = ()
    ) -> Solved | None:
        """The states of the least sum under limits of other sums; None where no states keep them.

        Args:
            terms: The sum that is to be small.
            rows: Sums with a limit.
            limits: At most so much, one each; of the order of one.
        """
        from scipy.optimize import Bounds, LinearConstraint, milp

        matrix, most = np.array([self.row(r) for r in rows]), np.asarray(limits, np.float64)
        bound = -np.inf
        for closer in (0.0, CLOSER):
            kept = [LinearConstraint(*self.polytope)]
            if rows:
                kept.append(LinearConstraint(matrix, -np.inf, most - closer * np.maximum(1.0, abs(most))))
            found = milp(
                self.row(terms),
                integrality=self.whole,
                bounds=Bounds(0.0, 1.0),
                constraints=kept,
                options={"mip_rel_gap": 0.0},
            )
            if found.x is None:
                return None
            if closer == 0.0:  # later ones are of other limits
                bound = found.fun if found.mip_dual_bound is None else found.mip_dual_bound
            indices = self.read(found.x)
            spent = np.array([float(r.of(indices)[0]) for r in rows])
            if (spent <= most).all():
                return Solved(indices, float(bound))
        return None

    def prices(self, terms: Terms, rows: Sequence[Terms], limits: Sequence[float] | FloatArray) -> FloatArray:
        """What a unit of each limit is worth in the linear relaxation, at least 0, shape (limits,)."""
        from scipy.optimize import linprog

        polytope, equal, _ = self.polytope
        found = linprog(
            self.row(terms),
            A_ub=np.array([self.row(r) for r in rows]),
            b_ub=np.asarray(limits, np.float64),
            A_eq=polytope,
            b_eq=equal,
        )
        if found.x is None:
            return np.zeros(len(rows))
        prices: FloatArray = np.maximum(-found.ineqlin.marginals, 0.0)
        return prices

    def read(self, values: FloatArray) -> IntArray:
        """The states that an answer stands for, shape (slots,)."""
        parts = np.split(values[: self.starts[-1]], self.starts[1:-1])
        return np.array([part.argmax() for part in parts], dtype=np.int64)

    @cached_property
    def polytope(self) -> tuple[Any, FloatArray, FloatArray]:
        """A state each slot, pairs whose margins are those states: a sparse matrix and what it equals."""
        from scipy.sparse import csr_array

        lines: list[tuple[IntArray, FloatArray]] = []
        for own in np.split(np.arange(self.starts[-1]), self.starts[1:-1]):
            lines.append((own, np.ones(len(own))))
        for (first, second), start in self.edges.items():
            sides = start + np.arange(self.sizes[first] * self.sizes[second]).reshape(self.sizes[first], -1)
            for slot, table in ((first, sides), (second, sides.T)):
                for state in range(self.sizes[slot]):
                    margin = np.concatenate([[self.starts[slot] + state], table[state]])
                    lines.append((margin, np.concatenate([[-1.0], np.ones(len(margin) - 1)])))
        numbers = np.repeat(np.arange(len(lines)), [len(columns) for columns, _ in lines])
        columns = np.concatenate([columns for columns, _ in lines])
        values = np.concatenate([values for _, values in lines])
        matrix = csr_array((values, (numbers, columns)), shape=(len(lines), self.count))
        equal = np.zeros(len(lines))
        equal[: len(self.sizes)] = 1.0
        return matrix, equal, equal

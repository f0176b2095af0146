"""The best score at every cost under one budget, solved exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from hwnas.errors import SpaceError
from hwnas.factors import Pair, Sweep
from hwnas.factors.grid import MOST_CELLS, Grid
from hwnas.factors.labels import Ahead
from hwnas.latency.base import FloatArray, IntArray
from hwnas.search.decode import scored
from hwnas.search.problem import Problem
from hwnas.search.spending import pairs_of, spends


@dataclass(frozen=True)
class WholeFront:
    """Architectures that nothing beats in score and cost, from the cheapest on; both rise along it.

    Attributes:
        indices: Shape (n, choices), n at least 1.
        score: Sum of scores of each, shape (n,).
        cost: In the unit of the budget, shape (n,).
    """

    indices: IntArray
    score: FloatArray
    cost: FloatArray

    def best(self, limit: float) -> tuple[int, ...] | None:
        """The architecture of the best score that costs at most so much; None where none does."""
        row = int(np.searchsorted(self.cost, limit, side="right")) - 1
        return tuple(map(int, self.indices[row])) if row >= 0 else None


def whole_front(
    scores: Sequence[FloatArray],
    problem: Problem,
    *,
    pairs: Sequence[Pair] = (),
    resolution: float = 0.0,
    max_labels: int = 2_000_000,
) -> WholeFront:
    """The best score at every cost up to the budget.

    Args:
        scores: One array a choice, shape (candidates,); finite.
        problem: Its space and its one budget.
        pairs: Scores that two choices have together.
        resolution: Share of what the budget leaves above the cheapest architecture within which costs are
            taken for one. No architecture that costs less by that share scores more than the front; 0 is
            exact.
        max_labels: Partial architectures on the way to an exact front.

    Raises:
        SpaceError: There are several budgets, the scores do not fit the space, costs meet too widely, or
            there are more partial architectures or cells of a grid than can be kept.
    """
    terms = scored(scores, pairs, problem)
    if len(problem.constraints) != 1:
        raise SpaceError(
            f"a front must be of one budget, but got {len(problem.constraints)}: decode finds the best "
            "architecture under all of them"
        )
    sweep = Sweep.of(terms.sizes, (*pairs, *pairs_of(problem)))
    if not sweep.is_narrow:
        raise SpaceError(
            "a front must be of costs of which few meet at once, but they need a table of "
            f"{sweep.entries} entries: decode finds the best architecture under one budget"
        )
    scored_steps, spent_steps = sweep.tables(terms), spends(problem, sweep)
    if resolution > 0:
        found = _on_grid(sweep, scored_steps, spent_steps, resolution)
    else:
        found = _exactly(sweep, scored_steps, spent_steps, max_labels)
    indices = np.concatenate([problem.constraints[0].costs.ends[0][None], found])
    return _sorted(problem, indices, terms.of(indices))


def _exactly(sweep: Sweep, scores: Sequence[FloatArray], spent: Sequence[FloatArray], most: int) -> IntArray:
    found = Ahead.of(sweep, scores, spent, np.zeros(1)).front(most)
    if found is None:
        raise SpaceError(
            f"an exact front must have at most {most} partial architectures, but has more: give a resolution "
            "as 1e-3"
        )
    return found.picks


def _on_grid(
    sweep: Sweep, scores: Sequence[FloatArray], spent: Sequence[FloatArray], resolution: float
) -> IntArray:
    places = ceil(len(sweep.steps) / resolution)
    whole = [np.floor(np.minimum(s[..., 0], 2.0) * places).astype(np.int64) for s in spent]
    grid = Grid(sweep, scores, whole, places)
    if grid.cells > MOST_CELLS:
        raise SpaceError(
            f"a front must be on a grid of at most {MOST_CELLS} cells, but a resolution of {resolution:g} "
            f"needs {grid.cells}: give a coarser one"
        )
    return grid.best()


def _sorted(problem: Problem, indices: IntArray, score: FloatArray) -> WholeFront:
    """What keeps the budget, the cheapest first, without what is beaten; there is at least one."""
    cost = problem.constraints[0].costs.of(indices)
    order = np.lexsort((-score, cost))
    order = order[cost[order] <= problem.constraints[0].usable]
    before = np.maximum.accumulate(np.concatenate([[-np.inf], score[order][:-1]]))
    order = order[score[order] > before]
    return WholeFront(indices[order], score[order], cost[order])

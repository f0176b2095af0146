"""The best architecture that keeps every budget; score and costs are sums over choices and pairs of them.

The arg-max of a search's gates is not on budget when their expectation is; what is wanted is
the most probable architecture *among the feasible ones*. That is a multiple-choice knapsack,
solved here by label-setting dynamic programming along a sweep: a label is a partial architecture
with its score and what it spends; labels are dropped where another of the same frontier is at least
as good in everything, or where a bound from the linear relaxation says that they cannot beat a known
solution. Where no sweep is narrow enough for what meets in pairs, an integer program is solved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.errors import SpaceError
from hwnas.factors import Pair, Sweep, Terms
from hwnas.factors.labels import Ahead
from hwnas.factors.program import Program
from hwnas.latency.base import FloatArray, IntArray
from hwnas.search.feasible import FeasibleSampler
from hwnas.search.problem import Problem
from hwnas.search.spending import limits, pairs_of, spends

_BEAM = 512


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


def decode(
    scores: Sequence[FloatArray],
    problem: Problem,
    *,
    pairs: Sequence[Pair] = (),
    max_labels: int = 200_000,
) -> Decoded:
    """The feasible architecture with the largest sum of scores.

    Args:
        scores: One array a choice, shape (candidates,), for example log-probabilities; finite.
        problem: Its space and budgets.
        pairs: Scores that two choices have together.
        max_labels: Partial architectures kept a choice; only where that is too few, the result
            may be short of the optimum, by ``gap`` at most.

    Raises:
        InfeasibleBudget: No architecture keeps all budgets together.
        SpaceError: The scores do not fit the space.
    """
    terms = scored(scores, pairs, problem)
    best = _better(problem, terms, [FeasibleSampler(problem).feasible])
    sweep = Sweep.of(terms.sizes, (*pairs, *pairs_of(problem)))
    if not sweep.is_narrow:
        return _programmed(terms, problem, best)
    ahead = Ahead.of(sweep, sweep.tables(terms), spends(problem, sweep), _prices(terms, problem))
    found, _ = ahead.expand(best.score, _BEAM)
    best = _better(problem, terms, [best.indices, *found.picks])
    found, lost = ahead.expand(best.score, max_labels)
    best = _better(problem, terms, [best.indices, *found.picks])
    return Decoded(best.indices, best.score, max(0.0, lost - best.score))


def scored(scores: Sequence[FloatArray], pairs: Sequence[Pair], problem: Problem) -> Terms:
    """Scores as a sum; raises SpaceError where they do not fit the space, or are not finite."""
    singles = tuple(np.asarray(s, np.float64) for s in scores)
    sizes = tuple(len(s) for s in singles)
    if sizes != problem.space.sizes or not all(np.isfinite(s).all() for s in singles):
        raise SpaceError(
            f"scores must be finite and have the sizes {problem.space.sizes}, but have {sizes} or are not"
        )
    return Terms(singles, tuple(pairs))


def _better(problem: Problem, terms: Terms, picks: Iterable[Sequence[int] | IntArray]) -> Decoded:
    """The best of some architectures that is truly feasible; there is at least one."""
    indices = np.array([list(p) for p in picks], np.int64)
    indices = indices[problem.feasible(indices)]
    values = terms.of(indices)
    row = int(np.argmax(values))
    return Decoded(tuple(int(i) for i in indices[row]), float(values[row]), 0.0)


def _prices(terms: Terms, problem: Problem) -> FloatArray:
    """Dual prices of the linear relaxation; any non-negative ones give a valid bound."""
    rows, most = limits(problem)
    program = Program(terms.sizes, (*terms.pairs, *pairs_of(problem)))
    return program.prices(terms.times(-1.0), rows, most)


def _programmed(terms: Terms, problem: Problem, known: Decoded) -> Decoded:
    """The answer of an integer program."""
    rows, most = limits(problem)
    program = Program(terms.sizes, (*terms.pairs, *pairs_of(problem)))
    found = program.solve(terms.times(-1.0), rows, most)
    if found is None:  # by rounding only: there is a known one
        return known
    best = _better(problem, terms, [known.indices, found.indices])
    gap = -found.bound - best.score
    return Decoded(best.indices, best.score, gap if gap > 1e-6 * (1 + abs(best.score)) else 0.0)

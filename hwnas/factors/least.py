"""The states of the least sum, and those of the largest."""

from __future__ import annotations

import numpy as np

from hwnas.errors import SpaceError
from hwnas.factors.program import Program
from hwnas.factors.sweep import Sweep
from hwnas.factors.terms import IntArray, Terms


def least(terms: Terms) -> IntArray:
    """States of all slots of which the sum is least, shape (slots,); exact.

    Along a sweep where one is narrow enough, else by an integer program.

    Raises:
        SpaceError: The solver of the program gives up.
    """
    if not terms.pairs:
        return np.array([single.argmin() for single in terms.singles], dtype=np.int64)
    sweep = Sweep.of(terms.sizes, terms.pairs)
    if not sweep.is_narrow:
        found = Program(terms.sizes, terms.pairs).solve(terms)
        if found is None:
            raise SpaceError(f"a sum over {len(terms.sizes)} slots must have a least value, but none came")
        return found.indices
    totals, tables = [np.zeros(())], sweep.tables(terms)
    for number, step in sweep.backwards():
        tables[number] += sweep.widened(step, totals[-1])
        totals.append(tables[number].min(axis=-1))
    picks = np.zeros(len(terms.sizes), np.int64)
    for step, table in zip(sweep.steps, tables, strict=True):
        picks[step.slot] = table[tuple(picks[list(step.before)])].argmin()
    return picks


def ends(terms: Terms) -> tuple[IntArray, IntArray]:
    """States of the least and of the largest sum, each of shape (slots,)."""
    return least(terms), least(terms.times(-1.0))

"""Which rounds are due: those asked for, more where an interval is wide, some more on a slow clock."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas.device import Target
from hwnas.measure import ProfileOptions
from hwnas.measure.adaptive import due
from hwnas.tables.rounds import Round
from hwnas.tables.table import LatencyTable


def a_table(rounds: int, every: int) -> LatencyTable:
    """Two keys on a clock that is fast in every n-th round alone, and slow, by half, in the others."""
    rng = np.random.default_rng(0)
    table = LatencyTable(Target("host", "litert", "int8"), {})
    for number in range(rounds):
        state = 1.5 if number % every else 1.0
        for key in ("a", "b"):
            samples, anchor = (
                tuple(ms * state * rng.lognormal(0, 0.002, n)) for ms, n in ((3.0, 7), (1.0, 8))
            )
            table.add(Round(key, "block", "s", number, samples, anchor))
    return table


def count(table: LatencyTable, options: ProfileOptions) -> int:
    """Rounds of a key, in the end, if nothing else comes in."""
    numbers = [number for key, number in due(table, ("a", "b"), options) if key == "a"]
    return max(numbers, default=-1) + 1


def test_first_come_the_rounds_that_all_should_have() -> None:
    options = ProfileOptions(rounds=9)
    assert due(None, ("a", "b"), options) == [(key, number) for number in range(9) for key in ("a", "b")]
    assert count(a_table(7, 1), options) == 9
    assert count(a_table(9, 1), options) == 0


def test_where_too_few_rounds_saw_the_fast_clock_there_are_more_up_to_a_bound() -> None:
    options = ProfileOptions(rounds=9, max_rounds=27)
    assert count(a_table(27, 2), options) == 0, "enough of them were fast"
    assert count(a_table(27, 8), options) == 30
    assert count(a_table(35, 8), options) == 36
    assert count(a_table(36, 8), options) == 0


@pytest.mark.parametrize("rounds", [2, 5])
def test_a_few_rounds_are_not_waited_for(rounds: int) -> None:
    options = ProfileOptions(rounds=rounds, max_rounds=27)
    assert count(a_table(27, 8), options) == 0

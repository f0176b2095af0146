"""Which rounds are still to be measured."""

from __future__ import annotations

from collections.abc import Mapping, Set

from hwnas.profile.options import ProfileOptions
from hwnas.table import LatencyTable


def missing(have: Mapping[str, Set[int]], rounds: int) -> list[tuple[str, int]]:
    """The base rounds that keys do not have, round by round."""
    return [(key, number) for number in range(rounds) for key in have if number not in have[key]]


def further(
    table: LatencyTable, have: Mapping[str, Set[int]], options: ProfileOptions, step: int
) -> list[tuple[str, int]]:
    """Up to ``step`` further rounds for every key whose interval is still too wide."""
    found: list[tuple[str, int]] = []
    for key, numbers in have.items():
        measured = table.measurements.get(key)
        if measured is not None and measured.relative_ci > options.target_ci:
            first, room = max(numbers) + 1, options.max_rounds - len(numbers)
            found += [(key, first + offset) for offset in range(min(step, room))]
    return found

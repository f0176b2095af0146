"""Architectures that differ from a given one in a choice or two."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from hwnas.latency.base import IntArray
from hwnas.search.canonical import Canonical
from hwnas.space import SearchSpace


def changes(space: SearchSpace, indices: tuple[int, ...]) -> tuple[IntArray, IntArray]:
    """All one- and two-choice changes, of distinct networks, each shape (n, choices).

    Returns:
        Those of one choice, and those of two.
    """
    base, sizes = np.array(indices), space.sizes
    single = [
        _with(base, {choice: index})
        for choice, size in enumerate(sizes)
        for index in range(size)
        if index != base[choice]
    ]
    double = [
        _with(base, {first: i, second: j})
        for first, second in combinations(range(len(sizes)), 2)
        for i in range(sizes[first])
        for j in range(sizes[second])
        if i != base[first] and j != base[second]
    ]
    canonical = Canonical(space)
    seen = {canonical.key(indices)}
    found = []
    for group in (single, double):
        rows = canonical(np.array(group, dtype=np.int64).reshape(-1, len(sizes)))
        keys = list(map(tuple, rows.tolist()))
        fresh = [n for n, key in enumerate(keys) if key not in seen and not seen.add(key)]  # type: ignore[func-returns-value]
        found.append(rows[fresh])
    return found[0], found[1]


def _with(base: IntArray, changed: dict[int, int]) -> IntArray:
    row = base.copy()
    for choice, index in changed.items():
        row[choice] = index
    return row

"""Architectures that differ from a given one in a choice or two."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from hwnas.latency.base import IntArray
from hwnas.space import SearchSpace
from hwnas.spaces.canonical import Canonical


def single_changes(space: SearchSpace, indices: tuple[int, ...]) -> IntArray:
    """All one-choice changes that make another network, one row each, shape (n, choices)."""
    changed = [
        {choice: index}
        for choice, size in enumerate(space.sizes)
        for index in range(size)
        if index != indices[choice]
    ]
    return _distinct(space, indices, changed)


def double_changes(space: SearchSpace, indices: tuple[int, ...]) -> IntArray:
    """All two-choice changes that make a network no single change makes, shape (n, choices)."""
    sizes = space.sizes
    changed = [
        {first: i, second: j}
        for first, second in combinations(range(len(sizes)), 2)
        for i in range(sizes[first])
        for j in range(sizes[second])
        if i != indices[first] and j != indices[second]
    ]
    return _distinct(space, indices, changed, single_changes(space, indices))


def _distinct(
    space: SearchSpace,
    indices: tuple[int, ...],
    changed: Sequence[dict[int, int]],
    known: IntArray | None = None,
) -> IntArray:
    """The networks that changes make, each once; not the unchanged one, and not those known."""
    base, canonical = np.array(indices), Canonical(space)
    rows = np.tile(base, (len(changed), 1))
    for row, change in zip(rows, changed, strict=True):
        row[list(change)] = list(change.values())
    seen = {canonical.key(indices)} | set(map(tuple, [] if known is None else known.tolist()))
    keys = dict.fromkeys(map(tuple, canonical(rows).tolist()))
    return np.array([key for key in keys if key not in seen], dtype=np.int64).reshape(-1, len(base))

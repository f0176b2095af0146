"""Small random sums over slots, and all their states."""

from __future__ import annotations

import itertools

import numpy as np

from hwnas.factors import Pair, Terms

GRAPHS = {
    "chain": [(0, 1), (1, 2), (3, 2), (3, 4), (4, 5)],
    "tree": [(0, 1), (2, 0), (0, 3), (3, 4), (5, 3)],
    "forest": [(0, 1), (2, 3)],
    "loop": [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (1, 3)],
    "twice": [(0, 1), (1, 0), (1, 2)],
}


def every(sizes):
    return np.array(list(itertools.product(*map(range, sizes))), dtype=np.int64)


def random_terms(rng, graph, *, sizes=(3, 4, 2, 3, 2, 3), whole=False, scale=1.0):
    def values(*shape):
        return rng.integers(0, 6, shape).astype(float) if whole else scale * rng.exponential(1.0, shape)

    pairs = tuple(Pair(a, b, values(sizes[a], sizes[b])) for a, b in GRAPHS[graph])
    return Terms(tuple(values(size) for size in sizes), pairs)

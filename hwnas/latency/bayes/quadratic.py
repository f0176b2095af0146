"""The variance of many architectures' latencies at once."""

from __future__ import annotations

from math import prod

import numpy as np

from hwnas.latency.base import FloatArray, IntArray
from hwnas.latency.layout import Layout

GROUP = 128
"""Neighbouring choices are taken together while they have at most this many combinations."""

CHUNK = 16384
"""Architectures a pass: what a pass writes stays in the cache."""


class Variance:
    """``x' C x`` for architectures x and a covariance C of the costs, by table look-ups.

    Neighbouring choices are merged into one with all their combinations, and the terms of every
    pair of merged choices are tabulated: an architecture of 22 choices of nine takes 77
    look-ups instead of a product with a matrix of 199 x 199.
    """

    def __init__(self, layout: Layout, covariance: FloatArray) -> None:
        self.layout = layout
        self._groups = _groups(layout.sizes)
        rows = [_combinations(layout, group) for group in self._groups]
        single = np.diag(covariance).copy()
        self._constant = float(single[layout.fixed])
        with_fixed = 2 * covariance[:, layout.fixed]
        self._single = [np.sum((r @ covariance) * r, axis=1) + r @ with_fixed for r in rows]
        self._pairs = [
            [(2 * (later @ covariance @ earlier.T)).ravel() for earlier in rows[:number]]
            for number, later in enumerate(rows)
        ]

    def __call__(self, indices: IntArray) -> FloatArray:
        """Indices of shape (n, choices) to variances of shape (n,), at least 0."""
        indices = self.layout.check(indices)
        variance = np.full(len(indices), self._constant)
        for first in range(0, len(indices), CHUNK):
            part = slice(first, first + CHUNK)
            codes = [self._codes(indices[part], group) for group in self._groups]
            total = variance[part]
            for number, code in enumerate(codes):
                total += self._single[number].take(code)
                for other, earlier in enumerate(codes[:number]):
                    width = len(self._single[other])
                    total += self._pairs[number][other].take(code * width + earlier)
        return np.asarray(np.maximum(variance, 0.0))

    def _codes(self, indices: IntArray, group: tuple[int, ...]) -> IntArray:
        """Which combination of a merged choice each architecture picks."""
        code = indices[:, group[0]].copy()
        for choice in group[1:]:
            code = code * self.layout.sizes[choice] + indices[:, choice]
        return code


def _groups(sizes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Neighbouring choices whose combinations are few enough."""
    groups: list[list[int]] = []
    for choice, size in enumerate(sizes):
        if groups and prod(sizes[c] for c in groups[-1]) * size <= GROUP:
            groups[-1].append(choice)
        else:
            groups.append([choice])
    return [tuple(group) for group in groups]


def _combinations(layout: Layout, group: tuple[int, ...]) -> FloatArray:
    """Which costs each combination of a merged choice pays, shape (combinations, entries)."""
    sizes = [layout.sizes[choice] for choice in group]
    picked = np.stack(np.unravel_index(np.arange(prod(sizes)), sizes), axis=1) + layout.offsets[list(group)]
    rows = np.zeros((len(picked), layout.entries))
    np.put_along_axis(rows, picked, 1.0, axis=1)
    return rows

"""How the costs of a space's candidates lie in one vector, and what architectures make of it.

A *cost vector* has one entry a candidate, choice after choice, and last the fixed part of
every network (stem, head, per-run overhead). The latency of an architecture is the sum of the
entries that it picks, so a set of architectures is a matrix of zeros and ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwnas.errors import LatencyModelError
from hwnas.latency.base import Cost, FloatArray, IntArray


@dataclass(frozen=True)
class Layout:
    """The order of the entries of a cost vector.

    Attributes:
        sizes: Number of candidates of each choice.
    """

    sizes: tuple[int, ...]

    @cached_property
    def offsets(self) -> IntArray:
        """Entry of each choice's first candidate, shape (choices,)."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int64)

    @property
    def fixed(self) -> int:
        """Entry of the fixed part; also the number of candidates."""
        return sum(self.sizes)

    @property
    def entries(self) -> int:
        """Length of a cost vector."""
        return self.fixed + 1

    def check(self, indices: IntArray) -> IntArray:
        """Indices as an array of shape (n, choices); raises LatencyModelError where they do not fit."""
        array = np.atleast_2d(np.asarray(indices, dtype=np.int64))
        if not array.size:
            return array.reshape(0, len(self.sizes))
        if array.ndim != 2 or array.shape[1] != len(self.sizes):
            raise LatencyModelError(
                f"architectures must have {len(self.sizes)} indices, but got the shape {array.shape}"
            )
        if ((array.min(axis=0) < 0) | (array.max(axis=0) >= np.array(self.sizes))).any():
            raise LatencyModelError(f"indices must be within the sizes {self.sizes}, but some are not")
        return array

    def matrix(self, indices: IntArray) -> FloatArray:
        """Zeros and ones, shape (n, entries): which costs each architecture pays."""
        picked = self.check(indices) + self.offsets
        matrix = np.zeros((len(picked), self.entries))
        np.put_along_axis(matrix, picked, 1.0, axis=1)
        matrix[:, self.fixed] = 1.0
        return matrix

    def additive(self, costs: FloatArray) -> Cost:
        """A cost vector, shape (entries,), as search wants it."""
        choices = np.split(costs[: self.fixed], self.offsets[1:])
        return Cost(float(costs[self.fixed]), tuple(choices))

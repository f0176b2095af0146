"""Index vectors that describe the same network are counted once.

A candidate that is an identity does nothing, so that inside a row of equal choices only the
order of the *other* candidates matters. The canonical form moves the identities of each such
row to its end. What does not run, as nobody reads it, is written as nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from hwnas.latency.base import IntArray
from hwnas.space import SearchSpace


@dataclass(frozen=True)
class Canonical:
    """Finds the canonical indices of networks.

    Attributes:
        space: Where the networks are from.
    """

    space: SearchSpace

    def __call__(self, indices: IntArray) -> IntArray:
        """Canonical indices: shape (n, choices) in and out."""
        result = np.array(indices, dtype=np.int64, ndmin=2)
        if self.space.has_nothing:
            result = np.array([self.space.simplest(tuple(row)) for row in result.tolist()], dtype=np.int64)
        for first, last, identity in self._rows:
            row = result[:, first:last]
            order = np.argsort(row == identity, axis=1, kind="stable")
            result[:, first:last] = np.take_along_axis(row, order, axis=1)
        return result

    def key(self, indices: tuple[int, ...]) -> tuple[int, ...]:
        """Canonical indices of one architecture."""
        return tuple(int(i) for i in self(np.array(indices))[0])

    def distinct(self, drawn: Iterable[tuple[int, ...]], count: int) -> list[tuple[int, ...]]:
        """The first architectures of so many distinct networks; fewer where there are no more."""
        found: dict[tuple[int, ...], tuple[int, ...]] = {}
        for indices in drawn:
            found.setdefault(self.key(indices), indices)
            if len(found) == count:
                break
        return list(found.values())

    @property
    def num_networks(self) -> int | None:
        """How many distinct networks there are; None where places can be empty, as each had to be looked at.

        A row of n choices of m blocks and an identity has 1 + m + ... + m**n of them.
        """
        if self.space.has_nothing:
            return None
        sizes = list(self.space.sizes)
        for first, last, _ in self._rows:
            others = sizes[first] - 1
            in_row = sum(others**count for count in range(last - first + 1))
            sizes[first:last] = [in_row, *(1,) * (last - first - 1)]
        return prod(sizes)

    @cached_property
    def _rows(self) -> tuple[tuple[int, int, int], ...]:
        """First and last+1 choice of each row of equal choices, and the index of its identity."""
        return tuple(self._find_rows())

    def _find_rows(self) -> Iterator[tuple[int, int, int]]:
        workloads, elsewhere = self.space.choice_workloads, self.space.read_elsewhere
        reads = self.space.choice_reads
        first = len(workloads) if self.space.is_tied else 0
        while first < len(workloads):
            same = workloads[first]
            last = first + 1
            while (
                last < len(workloads)
                and workloads[last] == same
                and last - 1 not in elsewhere
                and set(reads[last]) == {(last - 1,)}
            ):
                last += 1
            identities = [n for n, workload in enumerate(same) if workload.block.is_identity]
            if identities and last - first > 1:
                yield first, last, identities[0]
            first = last

"""Sums of terms over one slot or two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import SpaceError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Edges = frozenset[tuple[int, int]]
"""Which slots meet in a term, the lower number first."""


@dataclass(frozen=True)
class Pair:
    """A term over two slots.

    Attributes:
        first: Number of a slot.
        second: Of another one.
        values: Shape (states of first, states of second), finite.
    """

    first: int
    second: int
    values: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.asarray(self.values, np.float64))
        if min(self.first, self.second) < 0 or self.first == self.second:
            raise SpaceError(
                f"a pair must be of two different slots, but got {self.first} and {self.second}: what is of "
                "one slot is not a pair"
            )
        if self.values.ndim != 2 or not np.isfinite(self.values).all():
            raise SpaceError(
                f"the values of a pair must be a finite table, but those of slots {self.first} and "
                f"{self.second} have the shape {self.values.shape} or are not finite"
            )

    @property
    def edge(self) -> tuple[int, int]:
        """Its slots, the lower number first."""
        return min(self.first, self.second), max(self.first, self.second)

    def of(self, indices: IntArray) -> FloatArray:
        """Values at states of all slots: (n, slots) to (n,)."""
        return np.asarray(self.values[indices[:, self.first], indices[:, self.second]])

    def facing(self, second: int) -> FloatArray:
        """The values with the states of one of its slots last."""
        return self.values if second == self.second else self.values.T


@dataclass(frozen=True)
class Terms:
    """A sum of terms.

    Attributes:
        singles: One array a slot, shape (states,).
        pairs: Terms over two slots; several may be of the same two.
    """

    singles: tuple[FloatArray, ...]
    pairs: tuple[Pair, ...] = ()

    def __post_init__(self) -> None:
        require_fit(self.pairs, self.sizes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of states of each slot."""
        return tuple(len(single) for single in self.singles)

    def of(self, indices: IntArray) -> FloatArray:
        """Sums at states of all slots: (n, slots) to (n,)."""
        indices = np.atleast_2d(indices)
        total = np.zeros(len(indices))
        for column, values in zip(indices.T, self.singles, strict=True):
            total += values[column]
        for pair in self.pairs:
            total += pair.of(indices)
        return total

    def times(self, factor: float) -> Terms:
        """The same sum times a number."""
        pairs = tuple(Pair(p.first, p.second, factor * p.values) for p in self.pairs)
        return Terms(tuple(factor * single for single in self.singles), pairs)


def added(parts: Iterable[Terms]) -> Terms:
    """The sum of sums over the same slots; at least one."""
    first, *others = parts
    singles = [np.array(single) for single in first.singles]
    for part in others:
        for total, single in zip(singles, part.singles, strict=True):
            total += single
    return Terms(tuple(singles), tuple(pair for part in (first, *others) for pair in part.pairs))


def edges_of(pairs: Iterable[Pair]) -> Edges:
    """Which slots meet."""
    return frozenset(pair.edge for pair in pairs)


def require_fit(pairs: Iterable[Pair], sizes: Sequence[int]) -> None:
    """Raise SpaceError where a pair is not of the slots of these sizes."""
    for pair in pairs:
        first, second = pair.first, pair.second
        if max(first, second) >= len(sizes) or pair.values.shape != (sizes[first], sizes[second]):
            raise SpaceError(
                f"a pair must fit its slots, but that of slots {first} and {second} has the shape "
                f"{pair.values.shape} where the sizes are {tuple(sizes)}"
            )

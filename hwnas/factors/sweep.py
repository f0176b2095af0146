"""An order of the slots in which each meets few of those before it.

The *frontier* is what of the decided slots is still met by undecided ones. Given its states, what was
decided before does not matter for what comes: tables over frontiers hold all that there is to know
(dynamic programming over a path decomposition). In a chain the frontier is one slot; in a tree it is few.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import inf, log, prod

import numpy as np

from hwnas.factors.terms import Edges, FloatArray, IntArray, Pair, Terms, edges_of

MOST_ENTRIES = 1_000_000
"""A table over a frontier and the next slot has no more entries; else an integer program is asked."""


@dataclass(frozen=True)
class Visit:
    """One slot is decided.

    Attributes:
        slot: Which one.
        before: The frontier before, in the order in which its slots were decided.
        after: The frontier once it is decided.
    """

    slot: int
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def scope(self) -> tuple[int, ...]:
        """What the table of the step is over: the frontier before, and the slot last."""
        return (*self.before, self.slot)


@dataclass(frozen=True)
class Sweep:
    """Slots in an order, with their frontiers.

    Attributes:
        sizes: Number of states of each slot.
        steps: One a slot.
    """

    sizes: tuple[int, ...]
    steps: tuple[Visit, ...]

    @classmethod
    def of(cls, sizes: Sequence[int], pairs: Iterable[Pair]) -> Sweep:
        """The narrowest order that is found by greed from every start."""
        return cls(tuple(sizes), _ordered(tuple(sizes), edges_of(pairs)))

    @cached_property
    def entries(self) -> int:
        """Of the largest table."""
        return max(prod(self.sizes[s] for s in step.scope) for step in self.steps)

    @property
    def is_narrow(self) -> bool:
        """Whether all tables are small enough to be made."""
        return self.entries <= MOST_ENTRIES

    def tables(self, terms: Terms) -> list[FloatArray]:
        """What each step adds, shape (states of each slot of its scope): every term stands in one of them."""
        found = [np.zeros([self.sizes[s] for s in step.scope]) for step in self.steps]
        place = {step.slot: number for number, step in enumerate(self.steps)}
        for slot, single in enumerate(terms.singles):
            found[place[slot]] += single
        for pair in terms.pairs:
            early, late = sorted(pair.edge, key=place.__getitem__)
            scope = self.steps[place[late]].scope
            shape = [self.sizes[s] if s in (early, late) else 1 for s in scope]
            found[place[late]] += pair.facing(late).reshape(shape)
        return found

    def widened(self, step: Visit, table: FloatArray) -> FloatArray:
        """A table over the frontier after a step, and further axes, so that it adds to one over its scope."""
        shape = [self.sizes[s] if s in step.after else 1 for s in step.scope]
        return table.reshape(*shape, *table.shape[len(step.after) :])

    def numbered(self, step: Visit, picks: IntArray) -> IntArray:
        """One number a state of the frontier after a step: decided states (n, slots) to (n,)."""
        numbers = np.zeros(len(picks), np.int64)
        for slot in step.after:
            numbers = numbers * self.sizes[slot] + picks[:, slot]
        return numbers

    def backwards(self) -> Iterator[tuple[int, Visit]]:
        """The steps from the last one on, with their numbers."""
        yield from reversed(list(enumerate(self.steps)))

    def reduced(self, terms: Terms) -> tuple[list[FloatArray], float]:
        """What each step adds beyond what it must, given the best that can follow; and what must be.

        Returns:
            One table a step as of ``tables``, whose least entry over the slot is 0: summed along the way,
            they are what the best completion of a part has beyond the least sum. And that least sum.
        """
        found, rest = self.tables(terms), np.zeros(())
        for number, step in self.backwards():
            found[number] += self.widened(step, rest)
            rest = found[number].min(axis=-1)
            found[number] -= rest[..., None]
        return found, float(rest)

    def most(self, tables: Sequence[FloatArray]) -> list[FloatArray]:
        """The most that the rest can add: before the first step and after each, over the frontier there."""
        found = [np.zeros(())]
        for number, step in self.backwards():
            found.append((tables[number] + self.widened(step, found[-1])).max(axis=-1))
        return found[::-1]


@lru_cache(maxsize=64)
def _ordered(sizes: tuple[int, ...], edges: Edges) -> tuple[Visit, ...]:
    if not edges:
        return tuple(Visit(slot, (), ()) for slot in range(len(sizes)))
    near: dict[int, set[int]] = {slot: set() for slot in range(len(sizes))}
    for first, second in edges:
        near[first].add(second)
        near[second].add(first)
    weight = [log(size) if size else 0.0 for size in sizes]
    best: tuple[float, tuple[Visit, ...]] = inf, ()
    for start in range(len(sizes)):
        widest, steps = _greedy(start, near, weight)
        if widest < best[0] - 1e-9:
            best = widest, steps
    return best[1]


def _greedy(start: int, near: dict[int, set[int]], weight: list[float]) -> tuple[float, tuple[Visit, ...]]:
    """Always the slot next that makes the smallest table, and of those what leaves the smallest frontier."""
    left, slot, widest = set(near), start, 0.0
    frontier: tuple[int, ...] = ()
    steps: list[Visit] = []
    while True:
        left.discard(slot)
        after = tuple(s for s in (*frontier, slot) if near[s] & left)
        steps.append(Visit(slot, frontier, after))
        widest = max(widest, sum(weight[s] for s in steps[-1].scope))
        frontier = after
        if not left:
            return widest, tuple(steps)
        reach = set().union(*(near[s] for s in frontier)) & left or left
        slot = min(reach, key=lambda n: (_left_open(n, frontier, near, left, weight), weight[n], n))


def _left_open(
    slot: int, frontier: tuple[int, ...], near: dict[int, set[int]], left: set[int], weight: list[float]
) -> float:
    """Size of the frontier once a slot is decided, as a logarithm."""
    rest = left - {slot}
    return sum(weight[s] for s in (*frontier, slot) if near[s] & rest)

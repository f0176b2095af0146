"""What is known of a cost vector's entries before anything is measured."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.errors import LatencyModelError
from hwnas.latency.base import FloatArray
from hwnas.latency.features import FEATURES, features
from hwnas.latency.layout import Layout
from hwnas.space import SearchSpace, Workload


@dataclass(frozen=True)
class Entries:
    """The entries of a cost vector: the candidates, choice after choice, and the fixed part.

    Attributes:
        layout: Their order.
        workloads: One label a candidate; equal labels cost the same.
        shapes: One label a candidate: its input shape.
        candidates: One label a candidate: its number within its choice.
        costly: False for identities, which cost nothing by definition, shape (entries,).
        features: Shape (entries, len(FEATURES)); None where only indices are known.
    """

    layout: Layout
    workloads: tuple[str, ...]
    shapes: tuple[str, ...]
    candidates: tuple[int, ...]
    costly: np.ndarray
    features: FloatArray | None

    @classmethod
    def of_space(cls, space: SearchSpace) -> Entries:
        """All that a space's blocks tell."""
        every = list(space.grouped())
        values = [np.sum([features(w) for w in workloads], axis=0) for _, _, workloads in every]
        fixed = np.sum([features(w) for w in space.fixed], axis=0) if space.fixed else np.zeros(len(FEATURES))
        return cls(
            Layout(space.sizes),
            tuple(" ".join(w.key() for w in workloads) for *_, workloads in every),
            tuple(workloads[0].read for *_, workloads in every),
            tuple(index for _, index, _ in every),
            np.array([any(not w.block.is_identity for w in workloads) for *_, workloads in every] + [True]),
            np.array([*values, fixed]),
        )

    @classmethod
    def of_sizes(cls, sizes: Sequence[int]) -> Entries:
        """What the number of candidates of each choice tells: architecture indices only."""
        layout = Layout(tuple(sizes))
        numbers = [(choice, index) for choice, size in enumerate(sizes) for index in range(size)]
        return cls(
            layout,
            tuple(f"{choice}:{index}" for choice, index in numbers),
            tuple(str(choice) for choice, _ in numbers),
            tuple(index for _, index in numbers),
            np.ones(layout.entries, dtype=bool),
            None,
        )

    @property
    def average(self) -> FloatArray:
        """Which costs the average architecture pays, shape (entries,)."""
        shares = [np.full(size, 1 / size) for size in self.layout.sizes]
        return np.concatenate([*shares, [1.0]])

    @property
    def macs(self) -> FloatArray:
        """Multiply-adds of each entry, shape (entries,); raises LatencyModelError if unknown."""
        if self.features is None:
            raise LatencyModelError("MACs must be known of every entry, but only indices are")
        names = [number for number, name in enumerate(FEATURES) if name.startswith("macs_")]
        return np.asarray(self.features[:, names].sum(axis=1))

    def groups(self, labels: Sequence[Hashable]) -> FloatArray:
        """One column of zeros and ones a distinct label; identities and the fixed part in none."""
        distinct = {label: number for number, label in enumerate(dict.fromkeys(labels))}
        matrix = np.zeros((self.layout.entries, len(distinct)))
        matrix[range(len(labels)), [distinct[label] for label in labels]] = 1.0
        matrix *= self.costly[:, None]
        return matrix[:, matrix.any(axis=0)]

    @property
    def fixed_only(self) -> FloatArray:
        """One column that is one for the fixed part, shape (entries, 1)."""
        column = np.zeros((self.layout.entries, 1))
        column[-1] = 1.0
        return column


def cost_vector(space: SearchSpace, cost: Callable[[Workload], float]) -> FloatArray:
    """One value an entry of the space's layout; the fixed part is the sum of what is always there."""
    values = [sum(map(cost, workloads)) for *_, workloads in space.grouped()]
    return np.array([*values, sum(map(cost, space.fixed))])

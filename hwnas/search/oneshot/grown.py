"""Networks that grow from one another, and which of them may grow further."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hwnas.evaluators.base import SharedWeights
from hwnas.latency.base import FloatArray, IntArray
from hwnas.runs.trial import Trial
from hwnas.search.base import scored
from hwnas.search.problem import Problem
from hwnas.search.sampling.neighbours import every_change
from hwnas.search.session import Session
from hwnas.space import Architecture
from hwnas.train import checkpoint as files


@dataclass(frozen=True)
class Grown:
    """A network that was trained and scored.

    Attributes:
        indices: The architecture.
        quality: Its score.
        parent: Number of the network that it grew from; None for the first.
        children: How often it was taken to grow from, also where nothing came of that.
    """

    indices: tuple[int, ...]
    quality: float
    parent: int | None = None
    children: int = 0


@dataclass
class Pool:
    """All networks so far, and the weights of those that may still grow.

    Attributes:
        problem: What is searched.
        oneshot: Where they are trained.
        session: What the search may use while it runs.
        seed: Where all randomness comes from.
        grown: The networks, in order.
        weights: Of a network, by its number.
        trace: One record a network.
    """

    problem: Problem
    oneshot: SharedWeights
    session: Session
    seed: int
    grown: list[Grown] = field(default_factory=list)
    weights: dict[int, files.Tensors] = field(default_factory=dict)
    trace: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def best(self) -> int:
        """Number of the network to use; all keep every budget."""
        return max(range(len(self.grown)), key=lambda number: self.grown[number].quality)

    def near_hull(self, epsilon: float) -> list[int]:
        """Numbers of the networks whose error is at most 1 + ``epsilon`` times the hull's at their cost."""
        rows = np.array([each.indices for each in self.grown])
        errors = np.array([1 - each.quality for each in self.grown])
        least = hull(self.problem.used(rows), errors)
        return np.flatnonzero(errors <= (1 + epsilon) * least + 1e-12).tolist()

    def add(self, network: Grown, weights: files.Tensors, tolerance: float) -> None:
        """One more; weights stay of those that are near the hull, which only falls: no other will grow."""
        self.weights[len(self.grown)] = weights
        self.grown.append(network)
        near = self.near_hull(tolerance)
        self.weights = {number: kept for number, kept in self.weights.items() if number in near}

    def take(self, number: int) -> tuple[int, ...]:
        """The architecture of a network to grow from, with its weights in place."""
        parent = self.grown[number]
        self.grown[number] = replace(parent, children=parent.children + 1)
        self.oneshot.put(self.weights[number])
        return parent.indices

    def arch(self, indices: tuple[int, ...]) -> Architecture:
        """An architecture of the space."""
        return self.problem.blocks.architecture(indices)

    def trial(self, number: int) -> Trial:
        """A network as it was scored."""
        return scored(self.problem, self.arch(self.grown[number].indices), self.grown[number].quality)

    def costlier(self, indices: tuple[int, ...]) -> IntArray:
        """Architectures within the budgets that differ in one costlier candidate, shape (n, choices)."""
        rows = every_change(self.problem.space.sizes, indices)
        more = (self.problem.costs(rows) > self.problem.costs(np.array([indices]))).any(axis=1)
        return np.asarray(rows[more & self.problem.feasible(rows)])


def hull(costs: FloatArray, errors: FloatArray) -> FloatArray:
    """The lower convex hull of points at the cost of each of them: what no mixture of others falls below.

    Args:
        costs: Shape (n,).
        errors: Shape (n,). An error at a lower cost can be had at a higher one as well.
    """
    corners: list[tuple[float, float]] = []
    for cost, error in sorted(zip(costs.tolist(), errors.tolist(), strict=True)):
        if corners and error >= corners[-1][1]:
            continue
        while len(corners) > 1 and _turns_up(corners[-2], corners[-1], (cost, error)):
            corners.pop()
        corners.append((cost, error))
    at = np.array(corners)
    return np.asarray(np.interp(costs, at[:, 0], at[:, 1]))


def _turns_up(first: tuple[float, float], middle: tuple[float, float], last: tuple[float, float]) -> bool:
    """Whether the middle one of three points lies on or above the line through the others."""
    run, rise = last[0] - first[0], last[1] - first[1]
    return (middle[1] - first[1]) * run >= rise * (middle[0] - first[0])


def drawn(grown: Sequence[Grown], left: Sequence[int], rng: np.random.Generator) -> int:
    """Number of the parent: the most accurate that chance takes, the less often the more children it has."""
    order = sorted(left, key=lambda number: -grown[number].quality)
    while True:  # ends: the chance of another round is at most 1 - 1 / (1 + children) each time
        for number in order:
            if rng.random() < 1 / (1 + grown[number].children):
                return number

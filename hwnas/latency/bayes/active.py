"""Which networks to measure next: those that leave the least doubt about the whole space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwnas.errors import LatencyModelError
from hwnas.latency.base import FloatArray, IntArray
from hwnas.latency.bayes.device_prior import DevicePrior, Known, learn_sizes
from hwnas.latency.bayes.entries import Entries
from hwnas.latency.bayes.gaussian import Prior
from hwnas.space import Architecture, SearchSpace

CANDIDATES = 5000
"""Random architectures that are chosen from, and over which the doubt is averaged."""

EXCHANGES = 5
"""At most this many times every chosen network is exchanged for a better one."""


@dataclass(frozen=True)
class Doubt:
    """What is unsure before the next networks are measured.

    Attributes:
        covariance: Of the costs, shape (entries, entries); its unit does not matter.
        noise: Variance of one measurement in the same unit.
    """

    covariance: FloatArray
    noise: float

    @classmethod
    def of_prior(cls, prior: Prior, level_ms: float) -> Doubt:
        """Before any network is measured; ``level_ms`` is the latency of the average network."""
        return cls(prior.covariance(prior.start), float(prior.noise * level_ms) ** 2)


def choose_rows(doubt: Doubt, pool: FloatArray, count: int) -> list[int]:
    """Choose the networks whose measurement lowers the pool's summed variance most.

    What measuring a network does to the covariance does not depend on what comes out, so all
    can be chosen beforehand: one by one, then each is exchanged for a better one as long as
    there is any (Fedorov's exchange). Networks that tell the same are not chosen together.

    Args:
        doubt: What is unsure.
        pool: Which costs each network pays, shape (n, entries): what may be chosen, and what
            the doubt is about.
        count: How many, at most n.

    Returns:
        Distinct rows of the pool.

    Raises:
        LatencyModelError: The pool is too small.
    """
    if not 0 <= count <= len(pool):
        raise LatencyModelError(
            f"the networks to choose must be within the {len(pool)} at hand, but got {count}"
        )
    gains = _Gains(doubt, pool)
    chosen: list[int] = []
    for _ in range(count):
        chosen.append(int(gains.after(chosen).argmax()))
    for _ in range(EXCHANGES):
        before = list(chosen)
        for number in range(count):
            gain = gains.after(chosen[:number] + chosen[number + 1 :])
            best = int(gain.argmax())
            if gain[best] > gain[chosen[number]] * (1 + 1e-9):
                chosen[number] = best
        if chosen == before:
            break
    return chosen


class _Gains:
    """By how much measuring a network of the pool lowers the pool's mean variance."""

    def __init__(self, doubt: Doubt, pool: FloatArray) -> None:
        self.pool, self.noise = pool, doubt.noise
        self.shared = pool @ doubt.covariance
        self.variance = np.sum(self.shared * pool, axis=1)
        self.weighed = self.shared @ (pool.T @ pool / len(pool))
        self.told = np.sum(self.weighed * self.shared, axis=1)

    def after(self, chosen: list[int]) -> FloatArray:
        """Gains once others were measured, shape (n,); those cannot be chosen again."""
        if not chosen:
            return np.asarray(self.told / (self.variance + self.noise))
        rows = self.shared[chosen]
        cross = self.pool @ rows.T
        explained = cross[chosen] + self.noise * np.eye(len(chosen))
        weights = np.linalg.solve(explained, cross.T).T
        told = self.told - 2 * np.sum((self.weighed @ rows.T) * weights, axis=1)
        told += np.sum((weights @ (self.weighed[chosen] @ rows.T)) * weights, axis=1)
        gains = told / (self.variance - np.sum(cross * weights, axis=1) + self.noise)
        gains[chosen] = -np.inf
        return np.asarray(gains)


def choose_networks(
    space: SearchSpace,
    count: int,
    *,
    known: Known | None = None,
    seed: int = 0,
    feasible: Callable[[IntArray], np.ndarray] | None = None,
) -> list[Architecture]:
    """The networks of a space to measure on a device of which nothing is known.

    Args:
        space: What the model will be for.
        count: How many networks.
        known: Cost vectors of known devices.
        seed: Draws the architectures that are chosen from; the same seed, the same choice.
        feasible: Which architectures may be measured: indices of shape (n, choices) to (n,) of
            bool; None allows all.

    Raises:
        LatencyModelError: Fewer architectures than asked for are distinct and feasible.
    """
    entries = Entries.of_space(space)
    rng = np.random.default_rng(seed)
    drawn = np.stack([rng.integers(size, size=CANDIDATES) for size in space.sizes], axis=1)
    indices = np.unique(drawn, axis=0)
    if feasible is not None:
        indices = indices[np.asarray(feasible(indices), dtype=bool)]
    tables = {name: tuple(float(c) for c in costs) for name, costs in (known or {}).items()}
    prior = DevicePrior(1.0, tables, learn_sizes(entries, tables)).over(entries)
    rows = choose_rows(Doubt.of_prior(prior, 1.0), entries.layout.matrix(indices), count)
    return [space.architecture(indices[row]) for row in rows]

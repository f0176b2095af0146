"""A new device as a sum of costs of which a network pays only those that known devices pay, or all.

Devices skip what another choice makes useless: a branch that leads nowhere, all that follows a zero.
A sum of costs charges for it all the same, and takes a nearly empty network for an average one. Known
devices that were measured network by network show what counts in a network: a choice on which their
latency there does not depend is skipped, and nothing of it is paid:

    latency = fixed part + sum of costs over the choices that count

How far a device's latency depends on a choice is the slope, over the candidates' costs, of the latency
of the network's neighbours that differ in this choice alone: the median of the slopes between pairs
(Theil's and Sen's), weighted by their difference in cost. One odd candidate does not matter.

What candidates cost a known device is learnt where they count. A new device that skips nothing is told by
these costs as well: by those of sums they are too low wherever the known device skips.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hwnas.latency.base import FloatArray, IntArray, Prediction
from hwnas.latency.bayes.device_prior import DevicePrior, learn_sizes
from hwnas.latency.bayes.evidence import infer_variances, posterior_of
from hwnas.latency.bayes.gaussian import Equations, Gaussian, Prior, non_negative
from hwnas.latency.bayes.known_latency import KnownLatency, least_of

COUNTS = 0.5
"""Part of the usual slope from which on a choice counts."""

EXPLAINED = 0.5
"""Part of the variance around sums of all that is left of a device which skips: slopes follow noise too."""

TYPICAL = 300
"""Networks that say which slope is usual, and what candidates cost known devices where they count."""

_AT_ONCE = 500  # networks of which all neighbours are predicted at once


@dataclass(frozen=True)
class Counting:
    """Which choices count in a network.

    Attributes:
        known: What whole networks take on known devices, of which at least one has a residual.
    """

    known: KnownLatency

    def paid(self, indices: IntArray, skips: bool) -> FloatArray:
        """Zeros and ones, shape (n, entries): which costs each network pays, if others are skipped or not."""
        matrix = self.known.entries.layout.matrix(indices)
        return self._counted(matrix, self._slopes(indices, self.devices), self._usual) if skips else matrix

    @cached_property
    def devices(self) -> tuple[str, ...]:
        """Known devices that skip: sums of what counts explain much that sums of all do not."""
        return tuple(name for name in self.known.residuals if self._is_skipping(name))

    def _is_skipping(self, name: str) -> bool:
        seen, entries = self.known.residuals[name].measured_ms, self.known.entries
        rows = np.random.default_rng(0).permutation(len(seen.values))[:TYPICAL]
        if not len(rows):
            return False
        matrix, latency = entries.layout.matrix(seen.indices[rows]), seen.values[rows]
        slopes = self._slopes(seen.indices[rows], (name,))
        prior = replace(DevicePrior(float(latency.mean())).over(entries), unexpected=math.inf)
        usual = float(np.median(slopes))
        noise = [
            _learn(prior, paid, latency)[0].noise for paid in (self._counted(matrix, slopes, usual), matrix)
        ]
        return noise[0] ** 2 < EXPLAINED * noise[1] ** 2

    def _counted(self, matrix: FloatArray, slopes: FloatArray, usual: float) -> FloatArray:
        layout, counted = self.known.entries.layout, matrix.copy()
        counted[:, : layout.fixed] *= np.repeat(slopes >= COUNTS * usual, layout.sizes, axis=1)
        return counted

    @cached_property
    def tables(self) -> dict[str, tuple[float, ...]]:
        """Costs of the known devices where only choices that count are paid for."""
        entries = self.known.entries
        found = {name: tuple(map(float, costs)) for name, costs in self.known.known.items()}
        for name in self.devices:
            seen = self.known.residuals[name].measured_ms
            rows = np.random.default_rng(0).permutation(len(seen.values))[:TYPICAL]
            # of many networks none is rare
            prior = DevicePrior(float(seen.values[rows].mean())).over(entries)
            _, costs = _learn(
                replace(prior, unexpected=math.inf), self.paid(seen.indices[rows], True), seen.values[rows]
            )
            found[name] = tuple(costs.tolist())
        return found

    @cached_property
    def sizes(self) -> dict[str, tuple[float, float]]:
        """How far devices differ from what these tables of others say of them."""
        return learn_sizes(self.known.entries, self.tables)

    @cached_property
    def _usual(self) -> float:
        rng = np.random.default_rng(0)
        drawn = [rng.integers(size, size=TYPICAL) for size in self.known.entries.layout.sizes]
        return float(np.median(self._slopes(np.stack(drawn, axis=1), self.devices)))

    def _slopes(self, indices: IntArray, devices: Sequence[str]) -> FloatArray:
        """Mean over devices, shape (n, choices)."""
        parts = np.array_split(indices, max(1, math.ceil(len(indices) / _AT_ONCE)))
        return np.concatenate([self._slopes_of(part, devices) for part in parts])

    def _slopes_of(self, indices: IntArray, devices: Sequence[str]) -> FloatArray:
        layout = self.known.entries.layout
        whole = replace(self.known, known={name: self.known.known[name] for name in devices})
        slopes = np.full(indices.shape, np.inf)
        for choice, (first, size) in enumerate(zip(layout.offsets, layout.sizes, strict=True)):
            neighbours = np.repeat(indices[:, None], size, axis=1)
            neighbours[:, :, choice] = np.arange(size)
            latency = whole(neighbours.reshape(-1, len(layout.sizes))).reshape(len(indices), size, -1)
            costs = [np.asarray(table)[first : first + size] for table in whole.known.values()]
            found = [_slope(latency[:, :, number], c) for number, c in enumerate(costs) if np.ptp(c) > 0]
            if found:
                slopes[:, choice] = np.mean(found, axis=0)
        return slopes


def _slope(latency_ms: FloatArray, costs_ms: FloatArray) -> FloatArray:
    """Of latencies, shape (n, candidates), over costs, shape (candidates,), which are not all equal."""
    first, second = np.triu_indices(len(costs_ms), 1)
    run = costs_ms[second] - costs_ms[first]
    first, second, run = first[run != 0], second[run != 0], run[run != 0]
    slopes = (latency_ms[:, second] - latency_ms[:, first]) / run
    order = np.argsort(slopes, axis=1)
    weights = np.abs(run)[order].cumsum(axis=1)
    middle = (weights >= weights[:, -1:] / 2).argmax(axis=1)
    return np.asarray(np.take_along_axis(slopes, order, axis=1)[np.arange(len(slopes)), middle])


def _learn(prior: Prior, matrix: FloatArray, latency_ms: FloatArray) -> tuple[Gaussian, FloatArray]:
    equations = Equations.of(prior, matrix, latency_ms)
    posterior = posterior_of(prior, infer_variances(prior, equations, integrate=False), equations)
    return posterior, non_negative(posterior)


@dataclass(frozen=True)
class SkippingSum:
    """What was learnt of a new device as a sum over the choices that count, or over all.

    Attributes:
        counting: Which choices count on known devices.
        skips: Whether others are skipped.
        posterior: The Gaussian over costs.
        costs_ms: The most probable costs that are not negative, shape (entries,).
        least_ms: No prediction is less.
    """

    counting: Counting
    skips: bool
    posterior: Gaussian
    costs_ms: FloatArray
    least_ms: float

    @classmethod
    def fit(cls, counting: Counting, skips: bool, indices: IntArray, latency_ms: FloatArray) -> SkippingSum:
        """Learn from measured networks, shapes (n, choices) and (n,), n at least 1."""
        prior = DevicePrior(float(latency_ms.mean()), counting.tables, counting.sizes)
        paid = counting.paid(indices, skips)
        posterior, costs = _learn(prior.over(counting.known.entries), paid, latency_ms)
        return cls(counting, skips, posterior, costs, least_of(latency_ms))

    def predict(self, indices: IntArray) -> Prediction:
        """Latency of architectures of shape (n, choices)."""
        paid = self.counting.paid(indices, self.skips)
        mean = np.maximum(paid @ self.costs_ms, self.least_ms)
        variance = np.maximum(np.sum((paid @ self.posterior.covariance) * paid, axis=1), 0.0)
        return Prediction(mean, np.sqrt(variance + (self.posterior.noise * mean) ** 2))

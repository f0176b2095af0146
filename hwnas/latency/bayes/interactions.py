"""What sums of costs cannot explain of a device: candidates that matter to one another.

Some devices skip what a zeroed branch makes useless, or run branches side by side. Where a
known device was measured on many networks, its residual is a smooth function of the
architecture: a Gaussian process whose covariance falls with the number of choices in which two
architectures differ. How smooth, and whether there is anything but noise, is decided by the
evidence. A new device may then share the residuals of known ones.

Smooth functions miss jumps: a network of which one choice makes all of it useless. An architecture
that was measured farther off than noise explains keeps what it was measured at. What was measured
of the others is kept too, for models that compare devices network by network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from hwnas.latency.base import FloatArray, IntArray
from hwnas.latency.layout import Layout
from hwnas.statistics.intervals import MAD_NORMAL

REACHES = (0.1, 0.2, 0.4, 0.8)
"""Share of choices that may differ before the covariance falls to 1/e: what is tried."""

RATIOS = tuple(float(r) for r in np.geomspace(1e-2, 1e4, 25))
"""Variance of the function over variance of the noise: what is tried."""

NETWORKS = 1500
"""Networks that a residual is fitted to at most: the cost grows with their third power."""

WORTH = 5.0
"""Logarithm of how much more probable the networks must be with a residual than with noise alone."""

JUMP = 5.0
"""Standard deviations of the noise, estimated by its median, beyond which nothing is noise."""


@dataclass(frozen=True)
class Seen:
    """What was seen of single architectures.

    Attributes:
        indices: Shape (k, choices); an architecture may stand there more than once.
        values: Shape (k,).
    """

    indices: IntArray = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    values: FloatArray = field(default_factory=lambda: np.zeros(0))

    def of(self, indices: IntArray, otherwise: Callable[[IntArray], FloatArray]) -> FloatArray:
        """Mean of what was seen of each architecture, shape (n,), or what is said of those that were not."""
        rows = np.ascontiguousarray(indices, dtype=self.indices.dtype)
        values = np.array([self._means.get(row.tobytes(), np.nan) for row in rows], dtype=np.float64)
        new = np.isnan(values)
        if new.any():
            values[new] = otherwise(indices[new])
        return values

    @cached_property
    def _means(self) -> dict[bytes, float]:
        found: dict[bytes, list[float]] = {}
        for row, value in zip(self.indices, self.values, strict=True):
            found.setdefault(row.tobytes(), []).append(float(value))
        return {row: float(np.mean(values)) for row, values in found.items()}


@dataclass(frozen=True)
class ResidualProcess:
    """A function of the architecture.

    Attributes:
        layout: The order of candidates.
        indices: Architectures that it was fitted to, shape (m, choices).
        weights: Weight of the covariance to each of them in ms, shape (m,).
        reach: Share of choices that may differ before the covariance falls to 1/e.
        jumps_ms: How far architectures are off the smooth function that are, as a ratio, farther off
            than noise is.
        measured_ms: Latency of all architectures that were measured.
        least_ms: The least latency that the device was measured to have; 0 where it is not known.
    """

    layout: Layout
    indices: IntArray
    weights: FloatArray
    reach: float
    jumps_ms: Seen = field(default_factory=Seen)
    measured_ms: Seen = field(default_factory=Seen)
    least_ms: float = 0.0

    @classmethod
    def fit(
        cls, layout: Layout, indices: IntArray, residual_ms: FloatArray, *, seed: int = 0
    ) -> ResidualProcess | None:
        """Fit to measured latency less the sum of costs; None where there is only noise.

        Args:
            layout: The order of candidates.
            indices: Measured networks, shape (n, choices).
            residual_ms: What sums of costs leave of their latency, shape (n,).
            seed: Picks the networks where there are more than ``NETWORKS``.
        """
        rows = np.random.default_rng(seed).permutation(len(indices))[:NETWORKS]
        indices, values = indices[rows], residual_ms[rows]
        size = len(values)
        scale = float(np.sqrt(np.mean(values**2))) if size else 0.0
        if scale == 0.0:
            return None
        values = values / scale
        # without a function, noise of variance one has a log evidence of zero on this scale
        best, found = WORTH, None
        distance = _distance(layout, indices, indices)
        for reach in REACHES:
            strength, axes = np.linalg.eigh(np.exp(-distance / reach))
            turned = axes.T @ values
            for ratio in RATIOS:
                spread = 1 + ratio * np.maximum(strength, 0.0)
                noise = float(np.mean(turned**2 / spread))  # the most probable variance of the noise
                evidence = -0.5 * (float(np.log(spread).sum()) + size * np.log(noise))
                if evidence > best:
                    best, found = evidence, (reach, axes @ (turned * ratio / spread))
        if found is None:
            return None
        return cls(layout, indices, scale * found[1], found[0])

    def with_measured(
        self, indices: IntArray, sums_ms: FloatArray, latency_ms: FloatArray
    ) -> ResidualProcess:
        """The same function with networks that were measured, and what it misses of them.

        Args:
            indices: The networks, shape (n, choices).
            sums_ms: Their sums of costs, shape (n,).
            latency_ms: What was measured, shape (n,).
        """
        least, smooth = float(latency_ms.min()), sums_ms + self(indices)
        off = np.log(latency_ms / np.maximum(smooth, least))
        far = (smooth < least) | (np.abs(off) > JUMP * MAD_NORMAL * np.median(np.abs(off)))
        jumps, measured = Seen(indices[far], (latency_ms - smooth)[far]), Seen(indices, latency_ms)
        return replace(self, jumps_ms=jumps, measured_ms=measured, least_ms=least)

    def __call__(self, indices: IntArray) -> FloatArray:
        """Residual in ms, shape (n,), of architectures of shape (n, choices)."""
        smooth = np.exp(-_distance(self.layout, indices, self.indices) / self.reach) @ self.weights
        return np.asarray(smooth + self.jumps_ms.of(indices, lambda rows: np.zeros(len(rows))))


def _distance(layout: Layout, first: IntArray, second: IntArray) -> FloatArray:
    """Share of choices in which architectures differ, shape (n, m)."""
    matches = layout.matrix(first)[:, : layout.fixed] @ layout.matrix(second)[:, : layout.fixed].T
    return np.asarray(1.0 - matches / len(layout.sizes))

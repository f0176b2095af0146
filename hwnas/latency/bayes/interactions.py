"""What sums of costs cannot explain of a device: candidates that matter to one another.

Some devices skip what a zeroed branch makes useless, or run branches side by side. Where a
known device was measured on many networks, its remainder is a smooth function of the
architecture: a Gaussian process whose covariance falls with the number of choices in which two
architectures differ. How smooth, and whether there is anything but noise, is decided by the
evidence. A new device may then share the remainders of known ones.

Smooth functions miss jumps: a network of which one choice makes all of it useless. An architecture
that was measured farther off than noise explains keeps what it was measured at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hwnas.latency.base import FloatArray, IntArray
from hwnas.latency.layout import Layout
from hwnas.statistics.intervals import MAD_NORMAL

REACHES = (0.1, 0.2, 0.4, 0.8)
"""Share of choices that may differ before the covariance falls to 1/e: what is tried."""

RATIOS = tuple(float(r) for r in np.geomspace(1e-2, 1e4, 25))
"""Variance of the function over variance of the noise: what is tried."""

NETWORKS = 1500
"""Networks that a remainder is fitted to at most: the cost grows with their third power."""

WORTH = 5.0
"""Logarithm of how much more probable the networks must be with a remainder than with noise alone."""

JUMP = 5.0
"""Standard deviations of the noise, estimated by its median, beyond which nothing is noise."""


@dataclass(frozen=True)
class Remainder:
    """A function of the architecture.

    Attributes:
        layout: The order of candidates.
        indices: Architectures that it was fitted to, shape (m, choices).
        weights: Weight of the covariance to each of them in ms, shape (m,).
        reach: Share of choices that may differ before the covariance falls to 1/e.
        jumped: Architectures that are farther off, as a ratio, than noise is, shape (k, choices).
        jumps_ms: How far each is off what the smooth function says, shape (k,).
        least_ms: The least latency that the device was measured to have; 0 where it is not known.
    """

    layout: Layout
    indices: IntArray
    weights: FloatArray
    reach: float
    jumped: IntArray
    jumps_ms: FloatArray
    least_ms: float = 0.0

    @classmethod
    def fit(
        cls, layout: Layout, indices: IntArray, remainder_ms: FloatArray, *, seed: int = 0
    ) -> Remainder | None:
        """Fit to measured latency less the sum of costs; None where there is only noise.

        Args:
            layout: The order of candidates.
            indices: Measured networks, shape (n, choices).
            remainder_ms: What sums of costs leave of their latency, shape (n,).
            seed: Picks the networks where there are more than ``NETWORKS``.
        """
        rows = np.random.default_rng(seed).permutation(len(indices))[:NETWORKS]
        indices, values = indices[rows], remainder_ms[rows]
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
        none = np.zeros((0, indices.shape[1]), np.int64), np.zeros(0)
        return cls(layout, indices, scale * found[1], found[0], *none)

    def with_jumps(self, indices: IntArray, sums_ms: FloatArray, latency_ms: FloatArray) -> Remainder:
        """The same function with what it misses of networks that were measured.

        Args:
            indices: The networks, shape (n, choices).
            sums_ms: Their sums of costs, shape (n,).
            latency_ms: What was measured, shape (n,).
        """
        least, smooth = float(latency_ms.min()), sums_ms + self(indices)
        off = np.log(latency_ms / np.maximum(smooth, least))
        far = (smooth < least) | (np.abs(off) > JUMP * MAD_NORMAL * np.median(np.abs(off)))
        return replace(self, jumped=indices[far], jumps_ms=(latency_ms - smooth)[far], least_ms=least)

    def __call__(self, indices: IntArray) -> FloatArray:
        """Remainder in ms, shape (n,), of architectures of shape (n, choices)."""
        smooth = np.exp(-_distance(self.layout, indices, self.indices) / self.reach) @ self.weights
        return np.asarray(smooth + self._jumps(indices))

    def _jumps(self, indices: IntArray) -> FloatArray:
        """Mean of the jumps that were seen of each architecture in ms, shape (n,)."""
        found: dict[bytes, list[float]] = {}
        for row, ms in zip(self.jumped, self.jumps_ms, strict=True):
            found.setdefault(row.tobytes(), []).append(float(ms))
        if not found:
            return np.zeros(len(indices))
        rows = np.ascontiguousarray(indices, dtype=self.jumped.dtype)
        return np.array([np.mean(found.get(row.tobytes(), 0.0)) for row in rows])


def _distance(layout: Layout, first: IntArray, second: IntArray) -> FloatArray:
    """Share of choices in which architectures differ, shape (n, m)."""
    matches = layout.matrix(first)[:, : layout.fixed] @ layout.matrix(second)[:, : layout.fixed].T
    return np.asarray(1.0 - matches / len(layout.sizes))

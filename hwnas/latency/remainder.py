"""What sums of costs cannot explain of a device: candidates that matter to one another.

Some devices skip what a zeroed branch makes useless, or run branches side by side. Where a
known device was measured on many networks, its remainder is a smooth function of the
architecture: a Gaussian process whose covariance falls with the number of choices in which two
architectures differ. How smooth, and whether there is anything but noise, is decided by the
evidence. A new device may then share the remainders of known ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnas.latency.base import FloatArray, IntArray
from hwnas.latency.layout import Layout

REACHES = (0.1, 0.2, 0.4, 0.8)
"""Share of choices that may differ before the covariance falls to 1/e: what is tried."""

RATIOS = tuple(float(r) for r in np.geomspace(1e-2, 1e4, 25))
"""Variance of the function over variance of the noise: what is tried."""

NETWORKS = 1500
"""Networks that a remainder is fitted to at most: the cost grows with their third power."""

WORTH = 5.0
"""Logarithm of how much more probable the networks must be with a remainder than with noise alone."""


@dataclass(frozen=True)
class Remainder:
    """A function of the architecture.

    Attributes:
        layout: The order of candidates.
        indices: Architectures that it was fitted to, shape (m, choices).
        weights: Weight of the covariance to each of them in ms, shape (m,).
        reach: Share of choices that may differ before the covariance falls to 1/e.
    """

    layout: Layout
    indices: IntArray
    weights: FloatArray
    reach: float

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
        return cls(layout, indices, scale * found[1], found[0])

    def __call__(self, indices: IntArray) -> FloatArray:
        """Remainder in ms, shape (n,), of architectures of shape (n, choices)."""
        return np.asarray(np.exp(-_distance(self.layout, indices, self.indices) / self.reach) @ self.weights)


def _distance(layout: Layout, first: IntArray, second: IntArray) -> FloatArray:
    """Share of choices in which architectures differ, shape (n, m)."""
    matches = layout.matrix(first)[:, : layout.fixed] @ layout.matrix(second)[:, : layout.fixed].T
    return np.asarray(1.0 - matches / len(layout.sizes))

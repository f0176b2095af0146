"""What every latency model offers to search and verification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hwnas.device import Target
from hwnas.errors import LatencyModelError
from hwnas.space import SearchSpace

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Prediction:
    """Predicted latencies of n architectures.

    Attributes:
        mean_ms: Shape (n,), positive.
        std_ms: Shape (n,), predictive standard deviation, at least 0.
    """

    mean_ms: FloatArray
    std_ms: FloatArray


@dataclass(frozen=True)
class AdditiveCosts:
    """A latency that is a sum: a fixed part, and one cost a candidate.

    Attributes:
        fixed_ms: Stem, head and per-run overhead; not searched.
        choices_ms: One array a choice, shape (candidates,), at least 0.
    """

    fixed_ms: float
    choices_ms: tuple[FloatArray, ...]

    def __post_init__(self) -> None:
        values = np.concatenate([*self.choices_ms, [self.fixed_ms]])
        if not np.isfinite(values).all() or (values < 0).any():
            raise LatencyModelError(f"costs must be finite and not negative, but the least is {values.min()}")

    @property
    def range_ms(self) -> tuple[float, float]:
        """Latency of the fastest and of the slowest architecture."""
        extremes = [[c.argmin() for c in self.choices_ms], [c.argmax() for c in self.choices_ms]]
        low, high = self.of(np.array(extremes))  # summed as for any other, so equal to the last bit
        return float(low), float(high)

    def of(self, indices: IntArray) -> FloatArray:
        """Latency of architectures: indices of shape (n, choices) to (n,) milliseconds."""
        indices = np.atleast_2d(indices)
        total = np.full(len(indices), self.fixed_ms)
        for column, costs in zip(indices.T, self.choices_ms, strict=True):
            total += costs[column]
        return total


@runtime_checkable
class LatencyModel(Protocol):
    """Predicts the latency of architectures on one target."""

    @property
    def target(self) -> Target:
        """What the predictions are true of."""

    def predict(self, space: SearchSpace, indices: IntArray) -> Prediction:
        """Latency of architectures given as indices of shape (n, choices)."""

    def costs_ms(self, space: SearchSpace) -> AdditiveCosts:
        """The additive part, for differentiable search and exact decoding."""

    def to_json(self) -> dict[str, Any]:
        """A JSON object that ``hwnas.latency.from_json`` turns back."""

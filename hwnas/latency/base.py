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
class Cost:
    """What an architecture costs, as a sum: a fixed part, and one cost a candidate.

    Attributes:
        fixed: Stem, head and per-run overhead; not searched.
        choices: One array a choice, shape (candidates,), at least 0.
        unit: What it counts: "ms" of a latency, or for example "MACs" or "bytes".
    """

    fixed: float
    choices: tuple[FloatArray, ...]
    unit: str = "ms"

    def __post_init__(self) -> None:
        values = np.concatenate([*self.choices, [self.fixed]])
        if not np.isfinite(values).all() or (values < 0).any():
            raise LatencyModelError(f"costs must be finite and not negative, but the least is {values.min()}")

    @property
    def range(self) -> tuple[float, float]:
        """Cost of the cheapest and of the dearest architecture."""
        extremes = [[c.argmin() for c in self.choices], [c.argmax() for c in self.choices]]
        low, high = self.of(np.array(extremes))  # summed as for any other, so equal to the last bit
        return float(low), float(high)

    def of(self, indices: IntArray) -> FloatArray:
        """Cost of architectures: indices of shape (n, choices) to (n,)."""
        indices = np.atleast_2d(indices)
        total = np.full(len(indices), self.fixed)
        for column, costs in zip(indices.T, self.choices, strict=True):
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

    def costs(self, space: SearchSpace) -> Cost:
        """The additive part in ms, for differentiable search and exact decoding."""

    def to_json(self) -> dict[str, Any]:
        """A JSON object that ``hwnas.latency.from_json`` turns back."""

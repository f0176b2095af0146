"""What every latency model offers to search and verification."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hwnas.device import Target
from hwnas.errors import LatencyModelError
from hwnas.factors import Pair, Terms, ends, require_fit
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
    """What an architecture costs, as a sum: a fixed part, one cost a candidate, and costs of two together.

    Attributes:
        fixed: Stem, head and per-run overhead; not searched.
        choices: One array a choice, shape (candidates,), at least 0.
        unit: What it counts: "ms" of a latency, or for example "MACs" or "bytes".
        pairs: Costs that two choices have together, as the widths before and after a layer; at least 0.
    """

    fixed: float
    choices: tuple[FloatArray, ...]
    unit: str = "ms"
    pairs: tuple[Pair, ...] = ()

    def __post_init__(self) -> None:
        values = np.concatenate([*self.choices, [self.fixed], *(p.values.ravel() for p in self.pairs)])
        if not np.isfinite(values).all() or (values < 0).any():
            raise LatencyModelError(f"costs must be finite and not negative, but the least is {values.min()}")
        require_fit(self.pairs, self.sizes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of candidates of each choice."""
        return tuple(len(costs) for costs in self.choices)

    @property
    def is_additive(self) -> bool:
        """Whether each choice has its cost alone: the cheapest candidates are the cheapest network."""
        return not self.pairs

    def additive(self, user: str) -> tuple[FloatArray, ...]:
        """The costs of the candidates, for what can only add them up.

        Args:
            user: Who that is, for the message.

        Raises:
            LatencyModelError: Two choices have costs together.
        """
        if not self.is_additive:
            raise LatencyModelError(
                f"{user} must be given costs that each choice has alone, but {len(self.pairs)} are of two "
                "choices together: use evolution, random or another search that asks for whole networks"
            )
        return self.choices

    @property
    def terms(self) -> Terms:
        """All of it but the fixed part."""
        return Terms(self.choices, self.pairs)

    @cached_property
    def ends(self) -> tuple[IntArray, IntArray]:
        """The cheapest and the dearest architecture, each of shape (choices,)."""
        if not self.is_additive:
            return ends(self.terms)
        low, high = ([pick(c) for c in self.choices] for pick in (np.argmin, np.argmax))
        return np.array(low, dtype=np.int64), np.array(high, dtype=np.int64)

    @cached_property
    def range(self) -> tuple[float, float]:
        """Cost of the cheapest and of the dearest architecture."""
        low, high = self.of(np.array(self.ends))  # summed as for any other, so equal to the last bit
        return float(low), float(high)

    @property
    def most(self) -> float:
        """What no architecture exceeds: the largest of every cost together; reached where it is additive."""
        total = self.fixed
        for values in (*self.choices, *(pair.values for pair in self.pairs)):
            total += float(values.max())
        return total

    @property
    def unspent(self) -> Cost:
        """What an architecture leaves of ``most``, as costs."""
        pairs = tuple(Pair(p.first, p.second, p.values.max() - p.values) for p in self.pairs)
        return Cost(0.0, tuple(c.max() - c for c in self.choices), self.unit, pairs)

    def of(self, indices: IntArray) -> FloatArray:
        """Cost of architectures: indices of shape (n, choices) to (n,)."""
        indices = np.atleast_2d(indices)
        total = np.full(len(indices), self.fixed)
        for column, costs in zip(indices.T, self.choices, strict=True):
            total += costs[column]
        for pair in self.pairs:
            total += pair.of(indices)
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

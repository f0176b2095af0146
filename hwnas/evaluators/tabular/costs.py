"""Published costs of whole networks on named devices, which can stand beside accuracies as a budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwnas.errors import DataError
from hwnas.latency.base import IntArray


@dataclass(frozen=True)
class CostTable:
    """What networks cost on one device.

    Attributes:
        device: What the publishers call it.
        latency_ms: Of each network, by the numbers that were chosen.
        energy_mj: Where that was measured as well.
    """

    device: str
    latency_ms: Mapping[tuple[int, ...], float]
    energy_mj: Mapping[tuple[int, ...], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, costs in (("latency_ms", self.latency_ms), ("energy_mj", self.energy_mj)):
            for arch, cost in costs.items():
                if not (math.isfinite(cost) and cost > 0):
                    raise DataError(
                        f"{name} must be a number over 0, but that of {list(arch)} on {self.device} is {cost}"
                    )

    def within(self, budget_ms: float) -> Callable[[IntArray], np.ndarray]:
        """Which networks keep a budget: indices (n, choices) to (n,) of bool, as for ``Benchmark.oracle``.

        The function raises DataError for a network that the table lacks: there is no default for a latency.
        """

        def feasible(networks: IntArray) -> np.ndarray:
            return np.array([self._latency_ms(tuple(row)) <= budget_ms for row in networks.tolist()])

        return feasible

    def _latency_ms(self, arch: tuple[int, ...]) -> float:
        if arch not in self.latency_ms:
            raise DataError(f"a network must be in the table of {self.device}, but {list(arch)} is not")
        return self.latency_ms[arch]


def by_arch(
    archs: Sequence[tuple[int, ...]], costs: Sequence[Any], what: str
) -> dict[tuple[int, ...], float]:
    """Costs by network, of two lists in the same order.

    Raises:
        DataError: One is longer than the other.
    """
    if len(archs) != len(costs):
        raise DataError(f"{what} must have a cost a network, but has {len(costs)} of {len(archs)}")
    return dict(zip(archs, map(float, costs), strict=True))

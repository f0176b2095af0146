"""What isolated measurements say about costs inside networks, and how far they may be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwnas.errors import LatencyModelError
from hwnas.latency.base import FloatArray
from hwnas.latency.gaussian import Component, Prior
from hwnas.latency.lookup import cost_vector
from hwnas.space import SearchSpace

START = 0.1
"""Relative standard deviation that every component starts from: the order of what sums of
isolated blocks are known to be wrong by."""

START_NOISE = 0.03
"""Relative standard deviation of one network to start from."""


@dataclass(frozen=True)
class TablePrior:
    """Costs are near what the blocks took alone.

    They may be wrong together by a factor; by a constant a run; by a constant a block (what
    starting a model costs is in every isolated measurement); by a factor for each input shape
    (caches); and each workload by itself. A workload costs the same wherever it stands.

    Attributes:
        blocks_ms: Isolated latency by workload key.
    """

    kind = "table"

    blocks_ms: Mapping[str, float]

    def build(self, space: SearchSpace) -> Prior:
        """The prior over the cost vector of a space.

        Raises:
            LatencyModelError: A workload of the space has no latency.
        """
        missing = [w.key() for w in space.workloads() if w.key() not in self.blocks_ms]
        if missing:
            raise LatencyModelError(
                f"every workload of {space.name} must have a latency, but {len(missing)} have none, "
                f"{missing[0]} first: profile the space"
            )
        mean = cost_vector(space, lambda w: 0.0 if w.block.is_identity else self.blocks_ms[w.key()])
        candidates = list(space.candidates())
        real = np.array([not w.block.is_identity for _, _, w in candidates] + [False], float)
        shapes = _indicators([str(w.in_shape) for _, _, w in candidates])
        keys = _indicators([w.key() for _, _, w in candidates])
        run = np.zeros((len(mean), 1))
        run[-1] = _typical_ms(mean, space)
        components = (
            Component("run", run, START),
            Component("scale", mean[:, None], START),
            Component("block", (real * mean[:-1][real[:-1] > 0].mean())[:, None], START),
            Component("shape", shapes * mean[:, None], START),
            Component("workload", keys * mean[:, None], START),
        )
        return Prior(mean, components, START_NOISE)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that ``from_json`` turns back."""
        return {"kind": self.kind, "blocks_ms": dict(self.blocks_ms)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TablePrior:
        """Rebuild a prior."""
        return cls({str(key): float(ms) for key, ms in data["blocks_ms"].items()})


def _typical_ms(mean: FloatArray, space: SearchSpace) -> float:
    """Latency of the average architecture."""
    parts = np.split(mean[:-1], np.cumsum(space.sizes)[:-1])
    return float(mean[-1] + sum(part.mean() for part in parts))


def _indicators(labels: list[str]) -> FloatArray:
    """One column a distinct label, one row an entry; the fixed part, last, is in none."""
    distinct = list(dict.fromkeys(labels))
    matrix = np.zeros((len(labels) + 1, len(distinct)))
    matrix[range(len(labels)), [distinct.index(label) for label in labels]] = 1.0
    return matrix

"""What isolated measurements say about costs inside networks, and how far they may be wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwnas.errors import LatencyModelError
from hwnas.latency.base import FloatArray, IntArray
from hwnas.latency.bayes.entries import Entries, cost_vector
from hwnas.latency.bayes.gaussian import Component, Prior
from hwnas.latency.overpaid import overpaid
from hwnas.space import SearchSpace, Workload

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
        estimated: Relative standard deviation of the blocks that were not measured but
            estimated, by workload key.
    """

    kind = "table"

    blocks_ms: Mapping[str, float]
    estimated: Mapping[str, float] = field(default_factory=dict)

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
        isolated = cost_vector(space, self.block_ms)
        entries = Entries.of_space(space)
        counts, workloads = _counts(space)
        own = counts * [self.block_ms(w) for w in workloads]
        components = [
            Component("scale", isolated[:, None], START, np.ones(1)),
            Component("run", entries.fixed_only * float(entries.average @ isolated), START),
            Component("block", counts.sum(axis=1, keepdims=True) * (own.sum() / counts.sum()), START),
            Component("shape", _by_shape(own, workloads), START),
            Component("workload", own, START),
        ]
        if self.estimated:
            doubt = np.array([self.estimated.get(w.key(), 0.0) for w in workloads])
            components.append(Component("estimated", own * doubt, 1.0))
        return Prior(tuple(components), START_NOISE)

    def block_ms(self, workload: Workload) -> float:
        """What a block took alone; 0 for an identity."""
        return 0.0 if workload.block.is_identity else self.blocks_ms[workload.key()]

    def overpaid(self, space: SearchSpace, indices: IntArray) -> FloatArray:
        """By how much the sum of costs is too much, as what does not run took alone, shape (n,)."""
        return overpaid(space, indices, self.block_ms)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that ``from_json`` turns back."""
        return {"kind": self.kind, "blocks_ms": dict(self.blocks_ms), "estimated": dict(self.estimated)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TablePrior:
        """Rebuild a prior."""
        blocks, estimated = (
            {str(key): float(value) for key, value in data[name].items()}
            for name in ("blocks_ms", "estimated")
        )
        return cls(blocks, estimated)


def _counts(space: SearchSpace) -> tuple[FloatArray, list[Workload]]:
    """How often each entry of the cost vector has each workload: (entries, workloads)."""
    rows = [Counter(w for w in each if not w.block.is_identity) for *_, each in space.grouped()]
    workloads = list(dict.fromkeys(w for row in rows for w in row))
    counts = np.zeros((len(rows) + 1, len(workloads)))
    for number, row in enumerate(rows):
        counts[number, [workloads.index(w) for w in row]] = list(row.values())
    return counts, workloads


def _by_shape(own: FloatArray, workloads: list[Workload]) -> FloatArray:
    """Costs of workloads added up by what they read, shape (entries, shapes)."""
    shapes = list(dict.fromkeys(w.read for w in workloads))
    found = np.zeros((len(own), len(shapes)))
    for column, workload in zip(own.T, workloads, strict=True):
        found[:, shapes.index(workload.read)] += column
    return found

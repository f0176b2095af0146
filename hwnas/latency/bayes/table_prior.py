"""What isolated measurements say about costs inside networks, and how far they may be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwnas.errors import LatencyModelError
from hwnas.latency.bayes.entries import Entries, cost_vector
from hwnas.latency.bayes.gaussian import Component, Prior
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
        isolated = cost_vector(space, lambda w: 0.0 if w.block.is_identity else self.blocks_ms[w.key()])
        entries = Entries.of_space(space)
        typical = float(isolated[:-1][isolated[:-1] > 0].mean())
        own = entries.groups(entries.workloads)
        components = [
            Component("scale", isolated[:, None], START, np.ones(1)),
            Component("run", entries.fixed_only * float(entries.average @ isolated), START),
            Component("block", own.sum(axis=1, keepdims=True) * typical, START),
            Component("shape", entries.groups(entries.shapes) * isolated[:, None], START),
            Component("workload", own * isolated[:, None], START),
        ]
        if self.estimated:
            doubt = cost_vector(space, lambda w: self.estimated.get(w.key(), 0.0))
            components.append(Component("estimated", own * (isolated * doubt)[:, None], 1.0))
        return Prior(tuple(components), START_NOISE)

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

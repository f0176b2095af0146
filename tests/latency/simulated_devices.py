"""Devices whose truth is known, and the tables that profiling them would give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwnas.device import Target
from hwnas.space import SearchSpace, Workload
from hwnas.tables.table import LatencyTable, Round

TARGET = Target("host", "litert", "int8")


def true_block_ms(workload: Workload) -> float:
    """What a block costs on the simulated device: MACs and memory, nothing for an identity."""
    if workload.block.is_identity:
        return 0.0
    return workload.macs / 2e8 + np.prod(workload.in_shape) / 4e6


def true_network_ms(
    space: SearchSpace, indices: tuple[int, ...], inside: Callable[[Workload], float]
) -> float:
    return sum(inside(w) for w in space.architecture(indices).workloads)


def simulate(
    space: SearchSpace,
    *,
    calibration: int,
    heldout: int,
    isolated: Callable[[Workload], float] = true_block_ms,
    inside: Callable[[Workload], float] = true_block_ms,
    run_ms: float = 0.0,
    noise: float = 0.0,
    seed: int = 0,
) -> LatencyTable:
    """A table of a device on which blocks cost ``isolated`` alone and ``inside`` networks."""
    rng = np.random.default_rng(seed)
    rows = [Round(w.key(), "block", "s", 0, (isolated(w),)) for w in space.workloads()]
    seen: set[str] = set()
    for kind, count in (("calibration", calibration), ("heldout", heldout)):
        while sum(r.kind == kind for r in rows) < count:
            arch = space.sample(rng)
            if arch.key() in seen:
                continue
            seen.add(arch.key())
            ms = run_ms + true_network_ms(space, arch.indices, inside)
            rows.append(Round(arch.key(), kind, "s", 0, (ms * float(np.exp(noise * rng.standard_normal())),)))
    return LatencyTable(TARGET, {"simulated": True}, rows)

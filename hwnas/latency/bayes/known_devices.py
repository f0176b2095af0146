"""Devices that were measured before, as a starting point for a new one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from hwnas.device import Target
from hwnas.latency.base import FloatArray, IntArray
from hwnas.latency.bayes.device_prior import DevicePrior, Known, posterior_costs
from hwnas.latency.bayes.entries import Entries
from hwnas.latency.bayes.evidence import infer_variances, posterior_of
from hwnas.latency.bayes.gaussian import Equations
from hwnas.latency.bayes.interactions import ResidualProcess
from hwnas.latency.bayes.posterior import Posterior
from hwnas.space import SearchSpace
from hwnas.tables import places
from hwnas.tables.table import LatencyTable


def known_devices(space: SearchSpace, target: Target, folders: Iterable[Path] | None = None) -> Known:
    """Cost vectors of every other target whose table covers a space.

    Args:
        space: What the costs are for.
        target: The new one; its own table is left out.
        folders: Hold ``<device>/*.jsonl``; the user's own and the shipped tables by default.

    Raises:
        TableError: A table is damaged.
    """
    found: dict[str, tuple[float, ...]] = {}
    homes = (places.own(), places.shipped()) if folders is None else folders
    for path in (path for folder in homes for path in sorted(folder.glob("*/*.jsonl"))):
        table = LatencyTable.load(path)
        name = str(table.target)
        measured = table.of_kind("block")
        if table.target == target or name in found or any(w.key() not in measured for w in space.workloads()):
            continue
        costs = Posterior.fit(table, space).costs(space)
        found[name] = tuple(np.concatenate([*costs.additive("a known device"), [costs.fixed]]).tolist())
    return found


def learn_device(
    entries: Entries, indices: IntArray, latency_ms: FloatArray
) -> tuple[tuple[float, ...], ResidualProcess | None]:
    """A device of which many whole networks were measured, and no block.

    Args:
        entries: What is known of the space's candidates.
        indices: The networks, shape (n, choices).
        latency_ms: Their latency, shape (n,).

    Returns:
        Its cost vector, and what sums of costs cannot explain; None where that is only noise.
    """
    # of many networks none is rare: what prunes itself away is left to the residual
    prior = replace(DevicePrior(float(latency_ms.mean())).over(entries), unexpected=math.inf)
    matrix = entries.layout.matrix(indices)
    equations = Equations.of(prior, matrix, latency_ms)
    variances = infer_variances(prior, equations, integrate=False)
    costs = posterior_costs(entries, posterior_of(prior, variances, equations))
    residual = ResidualProcess.fit(entries.layout, indices, latency_ms - matrix @ costs)
    if residual is not None:
        residual = residual.with_measured(indices, matrix @ costs, latency_ms)
    return tuple(costs.tolist()), residual

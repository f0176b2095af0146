"""A device of which no block was measured: a model from about ten whole networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.errors import LatencyModelError
from hwnas.latency.base import FloatArray, IntArray
from hwnas.latency.device_prior import DevicePrior, believed_costs, learn_sizes
from hwnas.latency.entries import Entries
from hwnas.latency.evidence import Variances, believe, infer_variances
from hwnas.latency.gaussian import Belief, Equations

Known = Mapping[str, Sequence[float]]
"""Cost vectors of known devices in ms, shape (entries,), by name."""


@dataclass(frozen=True)
class Transferred:
    """What was learnt of a new device.

    Attributes:
        prior: What was believed before its networks were measured.
        variances: Of the prior's components.
        belief: The Gaussian over its cost vector.
        costs_ms: The most probable non-negative costs, shape (entries,).
        notes: How the known devices were used, one sentence each.
    """

    prior: DevicePrior
    variances: Variances
    belief: Belief
    costs_ms: FloatArray
    notes: tuple[str, ...]


def transfer(
    entries: Entries,
    indices: IntArray,
    latency_ms: FloatArray,
    known: Known,
    sizes: Mapping[str, tuple[float, float]] | None = None,
) -> Transferred:
    """Learn a new device's costs from a few whole networks and from known devices.

    Where blocks are known, the known devices are left out if the measured networks are more
    probable without them; where only indices are known, there is nothing else to fall back to.

    Args:
        entries: What is known of the space's candidates.
        indices: The measured networks, shape (n, choices), n at least 1.
        latency_ms: Their latency, shape (n,), positive.
        known: Cost vectors of known devices; may be empty.
        sizes: What ``learn_sizes`` learnt from them; learnt here where it is not given.

    Raises:
        LatencyModelError: There is no network.
    """
    if not len(latency_ms):
        raise LatencyModelError("a new device must have at least one measured network, but got none")
    if sizes is None:
        sizes = learn_sizes(entries, known)
    level, matrix = float(latency_ms.mean()), entries.layout.matrix(indices)
    tables = {name: tuple(float(c) for c in costs) for name, costs in known.items()}
    priors = [DevicePrior(level, tables, sizes)]
    if tables and entries.features is not None:
        priors.append(DevicePrior(level, {}, sizes))
    fits = []
    for prior in priors:
        built = prior.over(entries)
        equations = Equations.of(built, matrix, latency_ms)
        fits.append((prior, built, equations, infer_variances(built, equations)))
    prior, built, equations, variances = max(fits, key=lambda fit: fit[3].log_evidence)
    belief = believe(built, variances, equations)
    costs = believed_costs(entries, belief)
    return Transferred(
        prior, variances, belief, costs, _notes(entries, costs, tables, used=bool(prior.known))
    )


def alikeness(entries: Entries, first: FloatArray, second: FloatArray) -> float:
    """Correlation of two devices' latencies over all architectures of the space; 0 if undefined."""
    parts = [np.split(costs[:-1], entries.layout.offsets[1:]) for costs in (first, second)]
    shared = sum(float(np.cov(a, b, bias=True)[0, 1]) for a, b in zip(*parts, strict=True))
    scale = np.prod([sum(float(part.var()) for part in device) for device in parts])
    return float(shared / np.sqrt(scale)) if scale > 0 else 0.0


def _notes(entries: Entries, costs: FloatArray, known: Known, *, used: bool) -> tuple[str, ...]:
    if not known:
        return (
            "no device was known: the costs rest on the measured networks and on what is known of the space",
        )
    alike = {name: alikeness(entries, costs, np.array(table)) for name, table in known.items()}
    name = max(alike, key=lambda n: alike[n])
    closest = f"the most alike is {name} (correlation {alike[name]:.2f})"
    if used:
        return (f"{len(known)} known devices were used; {closest}",)
    return (
        f"none of {len(known)} known devices explains the measured networks better than what blocks do: "
        f"their tables were not used; {closest}",
    )

"""A device of which no block was measured: a model from about ten whole networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hwnas.errors import LatencyModelError
from hwnas.latency.base import FloatArray, IntArray, Prediction
from hwnas.latency.device_prior import DevicePrior, Known, believed_costs, learn_sizes, network_matrix
from hwnas.latency.entries import Entries
from hwnas.latency.evidence import Variances, believe, infer_variances
from hwnas.latency.gaussian import Belief, Equations
from hwnas.latency.remainder import Remainder

STRONG = 3.0
"""Logarithm of a ratio of probabilities that is strong evidence (Kass & Raftery, 1995)."""


@dataclass(frozen=True)
class Transferred:
    """What was learnt of a new device.

    Attributes:
        prior: What was believed before its networks were measured.
        variances: Of the prior's components.
        belief: The Gaussian over its cost vector, followed by its shares of remainders.
        costs_ms: The most probable non-negative costs and shares, shape (entries + remainders,).
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
    remainders: Mapping[str, Remainder] | None = None,
) -> Transferred:
    """Learn a new device's costs from a few whole networks and from known devices.

    The known devices are left out if the measured networks are more probable without them;
    where only indices are known, which says little, they must be far more probable.

    Args:
        entries: What is known of the space's candidates.
        indices: The measured networks, shape (n, choices), n at least 1.
        latency_ms: Their latency, shape (n,), positive.
        known: Cost vectors of known devices; may be empty.
        sizes: What ``learn_sizes`` learnt from them; learnt here where it is not given.
        remainders: What their sums of costs cannot explain, for those of which it is known. The
            model is then a sum of costs and of shares in these.

    Raises:
        LatencyModelError: There is no network.
    """
    if not len(latency_ms):
        raise LatencyModelError("a new device must have at least one measured network, but got none")
    remainders = remainders or {}
    if sizes is None:
        sizes = learn_sizes(entries, known, remainders)
    level = float(latency_ms.mean())
    tables = {name: tuple(float(c) for c in costs) for name, costs in known.items()}
    choices = [(DevicePrior(level, tables, sizes, tuple(remainders)), remainders)]
    if tables:
        choices.append((DevicePrior(level, {}, sizes), {}))
    fits = []
    for prior, shared in choices:
        built = prior.over(entries)
        equations = Equations.of(built, network_matrix(entries, indices, known, shared), latency_ms)
        fits.append((prior, built, equations, infer_variances(built, equations)))
    margin = 0.0 if entries.features is not None else STRONG
    alone = fits[-1][3].log_evidence > fits[0][3].log_evidence + margin
    prior, built, equations, variances = fits[-1 if alone else 0]
    belief = believe(built, variances, equations)
    costs = believed_costs(entries, belief)
    notes = _notes(entries, costs[: entries.layout.entries], tables, used=bool(prior.known))
    return Transferred(prior, variances, belief, costs, notes)


def leave_one_out(
    entries: Entries,
    indices: IntArray,
    latency_ms: FloatArray,
    known: Known,
    groups: IntArray | None = None,
) -> Prediction:
    """Each network predicted from all the others: what a model of so few is worth.

    Args:
        entries: What is known of the space's candidates.
        indices: Measured networks, shape (n, choices), n at least 2.
        latency_ms: Their latency, shape (n,).
        known: Cost vectors of known devices.
        groups: The same number for rows that are one network, shape (n,); none sees its copies.
    """
    sizes, mean, std = learn_sizes(entries, known), [], []
    groups = np.arange(len(indices)) if groups is None else groups
    for number in range(len(indices)):
        kept = groups != groups[number]
        found = transfer(entries, indices[kept], latency_ms[kept], known, sizes)
        paid = entries.layout.matrix(indices[number : number + 1])[0]
        mean.append(float(paid @ found.costs_ms))
        std.append(
            float(np.hypot(np.sqrt(paid @ found.belief.covariance @ paid), found.belief.noise * mean[-1]))
        )
    return Prediction(np.array(mean), np.array(std))


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

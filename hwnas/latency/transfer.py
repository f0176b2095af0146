"""A device of which no block was measured: a model from about ten whole networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hwnas.errors import LatencyModelError
from hwnas.latency.base import FloatArray, IntArray, Prediction
from hwnas.latency.device_prior import DevicePrior, Known, believed_costs, learn_sizes, network_matrix
from hwnas.latency.entries import Entries
from hwnas.latency.evidence import Variances, believe, infer_variances
from hwnas.latency.gaussian import Belief, Equations, Prior
from hwnas.latency.remainder import Remainder

STRONG = 3.0
"""Logarithm of a ratio of probabilities that is strong evidence (Kass & Raftery, 1995)."""


COMBINATION = ("known", "run", "work")
"""Components of the simplest model: known devices and physics with positive factors, and a constant."""

FOLDS = 20
"""Parts that networks are left out in: each by itself where there are no more."""

_FAR = 4.0  # standard deviations: one network that is as far off, or farther, says no more than this


@dataclass(frozen=True)
class Transferred:
    """What was learnt of a new device.

    Attributes:
        prior: What was believed before its networks were measured.
        variances: Of the prior's components.
        belief: The Gaussian over its cost vector, followed by its shares of remainders.
        costs_ms: The most probable non-negative costs and shares, shape (entries + remainders,).
        notes: How the known devices were used, one sentence each.
        left_out: Each measured network predicted without it; None where there is one only.
    """

    prior: DevicePrior
    variances: Variances
    belief: Belief
    costs_ms: FloatArray
    notes: tuple[str, ...]
    left_out: Prediction | None = None


@dataclass(frozen=True)
class _Few:
    """A few networks of a new device.

    Attributes:
        entries: What is known of the space's candidates.
        indices: The networks, shape (n, choices).
        latency_ms: Their latency, shape (n,).
        known: Cost vectors of known devices.
        remainders: What their sums of costs cannot explain.
    """

    entries: Entries
    indices: IntArray
    latency_ms: FloatArray
    known: Known
    remainders: Mapping[str, Remainder]

    def equations(self, prior: DevicePrior) -> tuple[Prior, Equations]:
        """What a prior comes to at the networks' level, and the networks as its equations."""
        built = replace(prior, level_ms=float(self.latency_ms.mean())).over(self.entries)
        return built, Equations.of(built, self.matrix(prior), self.latency_ms)

    def matrix(self, prior: DevicePrior) -> FloatArray:
        """Which costs the networks pay, and the remainders that a prior shares."""
        shared = {name: self.remainders[name] for name in prior.remainders}
        return network_matrix(self.entries, self.indices, self.known, shared)

    def learn(self, prior: DevicePrior) -> tuple[Variances, Belief, FloatArray]:
        """Variances, belief and costs that follow from a prior."""
        built, equations = self.equations(prior)
        variances = infer_variances(built, equations)
        belief = believe(built, variances, equations)
        return variances, belief, believed_costs(self.entries, belief)

    def left_out(self, prior: DevicePrior, folds: IntArray) -> Prediction:
        """Each network predicted from those of other folds, of which there are at least two.

        A prediction is at least half of the fastest of the others: no network takes less than no time.
        """
        mean, std = np.zeros(len(folds)), np.zeros(len(folds))
        for fold in np.unique(folds):
            out = folds == fold
            others = replace(self, indices=self.indices[~out], latency_ms=self.latency_ms[~out])
            _, belief, costs = others.learn(prior)
            paid = replace(self, indices=self.indices[out]).matrix(prior)
            mean[out] = np.maximum(paid @ costs, others.latency_ms.min() / 2)
            variance = np.maximum(np.sum((paid @ belief.covariance) * paid, axis=1), 0.0)
            std[out] = np.sqrt(variance + (belief.noise * mean[out]) ** 2)
        return Prediction(mean, std)


def transfer(
    entries: Entries,
    indices: IntArray,
    latency_ms: FloatArray,
    known: Known,
    sizes: Mapping[str, tuple[float, float]] | None = None,
    remainders: Mapping[str, Remainder] | None = None,
    groups: IntArray | None = None,
) -> Transferred:
    """Learn a new device's costs from a few whole networks and from known devices.

    The known devices are left out if the measured networks are more probable without them;
    where only indices are known, which says little, they must be far more probable. Combined
    with positive factors they are all that is used where that predicts left-out networks clearly
    better. Intervals are widened to what was seen of left-out networks.

    Args:
        entries: What is known of the space's candidates.
        indices: The measured networks, shape (n, choices), n at least 1.
        latency_ms: Their latency, shape (n,), positive.
        known: Cost vectors of known devices; may be empty.
        sizes: What ``learn_sizes`` learnt from them; learnt here where it is not given.
        remainders: What their sums of costs cannot explain, for those of which it is known. The
            model is then a sum of costs and of shares in these.
        groups: The same number for rows that are one network, shape (n,); left out together.

    Raises:
        LatencyModelError: There is no network.
    """
    if not len(latency_ms):
        raise LatencyModelError("a new device must have at least one measured network, but got none")
    few = _Few(entries, indices, latency_ms, known, remainders or {})
    if sizes is None:
        sizes = learn_sizes(entries, known, few.remainders)
    prior = _prior(few, sizes)
    folds = np.unique(np.arange(len(indices)) if groups is None else groups, return_inverse=True)[1] % FOLDS
    left_out = None
    if folds.any():
        prior, left_out = _simplest(few, prior, folds)
    variances, belief, costs = few.learn(prior)
    if left_out is not None:
        wider = _widening(left_out, latency_ms)
        left_out = Prediction(left_out.mean_ms, left_out.std_ms * wider)
        # all variances by one factor: the mean stays where it is
        variances = replace(variances, points=variances.points * wider**2)
        belief = Belief(belief.mean_ms, belief.covariance * wider**2, belief.noise * wider)
    notes = _notes(entries, costs[: entries.layout.entries], known, prior)
    return Transferred(prior, variances, belief, costs, notes, left_out)


def _prior(few: _Few, sizes: Mapping[str, tuple[float, float]]) -> DevicePrior:
    """With the known devices, unless what was measured is more probable without them."""
    level = float(few.latency_ms.mean())
    alone = DevicePrior(level, {}, sizes)
    if not few.known:
        return alone
    tables = {name: tuple(float(c) for c in costs) for name, costs in few.known.items()}
    shared = DevicePrior(level, tables, sizes, tuple(few.remainders))
    evidence = [infer_variances(*few.equations(prior)).log_evidence for prior in (shared, alone)]
    margin = 0.0 if few.entries.features is not None else STRONG
    return alone if evidence[1] > evidence[0] + margin else shared


def _simplest(few: _Few, prior: DevicePrior, folds: IntArray) -> tuple[DevicePrior, Prediction]:
    """The prior, or the combination of known devices alone; and its predictions of left-out networks.

    The combination is taken where its errors, in logarithms, are smaller by more than the standard
    error of that difference.
    """
    found = few.left_out(prior, folds)
    if not prior.known:
        return prior, found
    combined = replace(prior, only=COMBINATION)
    simple = few.left_out(combined, folds)
    errors = [np.abs(np.log(p.mean_ms / few.latency_ms)) for p in (found, simple)]
    gain = errors[0] - errors[1]
    if gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)):
        return combined, simple
    return prior, found


def _widening(left_out: Prediction, latency_ms: FloatArray) -> float:
    """Factor by which standard deviations were too small for left-out networks, at least 1."""
    away = np.minimum(np.abs(left_out.mean_ms - latency_ms) / left_out.std_ms, _FAR)
    return max(1.0, float(np.sqrt(np.mean(away**2))))


def alikeness(entries: Entries, first: FloatArray, second: FloatArray) -> float:
    """Correlation of two devices' latencies over all architectures of the space; 0 if undefined."""
    parts = [np.split(costs[:-1], entries.layout.offsets[1:]) for costs in (first, second)]
    shared = sum(float(np.cov(a, b, bias=True)[0, 1]) for a, b in zip(*parts, strict=True))
    scale = np.prod([sum(float(part.var()) for part in device) for device in parts])
    return float(shared / np.sqrt(scale)) if scale > 0 else 0.0


def _notes(entries: Entries, costs: FloatArray, known: Known, prior: DevicePrior) -> tuple[str, ...]:
    if not known:
        return (
            "no device was known: the costs rest on the measured networks and on what is known of the space",
        )
    alike = {name: alikeness(entries, costs, np.array(table)) for name, table in known.items()}
    name = max(alike, key=lambda n: alike[n])
    closest = f"the most alike is {name} (correlation {alike[name]:.2f})"
    if prior.only:
        return (f"{len(known)} known devices were combined, and nothing else: that predicts best; {closest}",)
    if prior.known:
        return (f"{len(known)} known devices were used; {closest}",)
    return (
        f"none of {len(known)} known devices explains the measured networks better than what blocks do: "
        f"their tables were not used; {closest}",
    )

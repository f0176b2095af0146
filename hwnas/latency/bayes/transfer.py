"""A device of which no block was measured: a model from about ten whole networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from hwnas.errors import LatencyModelError
from hwnas.latency.base import FloatArray, IntArray, Prediction
from hwnas.latency.bayes.device_prior import (
    DevicePrior,
    Known,
    learn_sizes,
    network_matrix,
    posterior_costs,
)
from hwnas.latency.bayes.entries import Entries
from hwnas.latency.bayes.evidence import Variances, infer_variances, posterior_of
from hwnas.latency.bayes.gaussian import Equations, Gaussian, Prior
from hwnas.latency.bayes.interactions import ResidualProcess
from hwnas.latency.bayes.known_latency import KnownLatency, least_of
from hwnas.latency.bayes.lognormal import LogNormal
from hwnas.latency.bayes.mixture import (
    SUM,
    Fit,
    Mixture,
    clearly_better,
    fits,
    gain,
    rescaling,
    shares_of,
    widening,
)
from hwnas.latency.bayes.proportion import Proportion

STRONG = 3.0
"""Logarithm of a ratio of probabilities that is strong evidence (Kass & Raftery, 1995)."""


COMBINATION = ("known", "run", "work")
"""Components of the simplest model: known devices and physics with positive factors, and a constant."""

FOLDS = 20
"""Parts that networks are left out in: each by itself where there are no more."""


@dataclass(frozen=True)
class FittingNetworks:
    """A few networks of a new device.

    Attributes:
        entries: What is known of the space's candidates.
        indices: The networks, shape (n, choices).
        latency_ms: Their latency, shape (n,).
        known: Cost vectors of known devices.
        residuals: What their sums of costs cannot explain.
    """

    entries: Entries
    indices: IntArray
    latency_ms: FloatArray
    known: Known
    residuals: Mapping[str, ResidualProcess]

    def equations(self, prior: DevicePrior) -> tuple[Prior, Equations]:
        """What a prior comes to at the networks' level, and the networks as its equations."""
        built = replace(prior, level_ms=float(self.latency_ms.mean())).over(self.entries)
        return built, Equations.of(built, self.matrix(prior), self.latency_ms)

    def matrix(self, prior: DevicePrior) -> FloatArray:
        """Which costs the networks pay, and the residuals that a prior shares."""
        shared = {name: self.residuals[name] for name in prior.residuals}
        return network_matrix(self.entries, self.indices, self.known, shared)

    def learn(self, prior: DevicePrior) -> tuple[Variances, Gaussian, FloatArray]:
        """Variances, posterior and costs that follow from a prior."""
        built, equations = self.equations(prior)
        variances = infer_variances(built, equations)
        posterior = posterior_of(built, variances, equations)
        return variances, posterior, posterior_costs(self.entries, posterior)

    def predict(
        self, prior: DevicePrior, posterior: Gaussian, costs_ms: FloatArray, indices: IntArray
    ) -> Prediction:
        """Other networks as sums of costs.

        A prediction is at least half of the fastest of these: no network takes less than no time.
        """
        paid = replace(self, indices=indices).matrix(prior)
        mean = np.maximum(paid @ costs_ms, self.latency_ms.min() / 2)
        variance = np.maximum(np.sum((paid @ posterior.covariance) * paid, axis=1), 0.0)
        return Prediction(mean, np.sqrt(variance + (posterior.noise * mean) ** 2))

    def as_sum(self, prior: DevicePrior, indices: IntArray) -> Prediction:
        """Other networks predicted from these as sums of costs."""
        _, posterior, costs = self.learn(prior)
        return self.predict(prior, posterior, costs, indices)

    @property
    def known_latency(self) -> KnownLatency:
        """What whole networks take on the known devices."""
        return KnownLatency(self.entries, self.known, self.residuals)

    def left_out(
        self, learn: Callable[[FittingNetworks, IntArray], Prediction], folds: IntArray
    ) -> Prediction:
        """Each network predicted from those of other folds, of which there are at least two."""
        mean, std = np.zeros(len(folds)), np.zeros(len(folds))
        for fold in np.unique(folds):
            out = folds == fold
            others = replace(self, indices=self.indices[~out], latency_ms=self.latency_ms[~out])
            found = learn(others, self.indices[out])
            mean[out], std[out] = found.mean_ms, found.std_ms
        return Prediction(mean, std)


@dataclass(frozen=True)
class Transferred:
    """What was learnt of a new device.

    Attributes:
        prior: What was believed before its networks were measured.
        variances: Of the prior's components.
        posterior: The Gaussian over its cost vector, followed by its shares of residuals.
        costs_ms: The most probable non-negative costs and shares, shape (entries + residuals,).
        notes: How the known devices were used, one sentence each.
        left_out: Each measured network predicted without it; None where there is one only.
        fitting: The measured networks.
        mixture: The sum with other forms, where left-out networks speak for them.
    """

    prior: DevicePrior
    variances: Variances
    posterior: Gaussian
    costs_ms: FloatArray
    notes: tuple[str, ...]
    left_out: Prediction | None
    fitting: FittingNetworks
    mixture: Mixture | None = None

    @property
    def shares(self) -> Mapping[str, float]:
        """Of each form in predictions."""
        return {SUM: 1.0} if self.mixture is None else self.mixture.shares

    def predict(self, indices: IntArray) -> Prediction:
        """Latency of architectures of shape (n, choices), by the sum and the forms mixed with it."""
        found = self.fitting.predict(self.prior, self.posterior, self.costs_ms, indices)
        return found if self.mixture is None else self.mixture.predict(found, indices)


def transfer(
    entries: Entries,
    indices: IntArray,
    latency_ms: FloatArray,
    known: Known,
    sizes: Mapping[str, tuple[float, float]] | None = None,
    residuals: Mapping[str, ResidualProcess] | None = None,
    groups: IntArray | None = None,
    *,
    sums_only: bool = False,
) -> Transferred:
    """Learn a new device's costs from a few whole networks and from known devices.

    The known devices are left out if the measured networks are more probable without them;
    where only indices are known, which says little, they must be far more probable. Combined
    with positive factors they are all that is used where that predicts left-out networks clearly
    better. Where only indices are known and left-out networks speak for other forms than the sum,
    those have a share in predictions. Intervals are widened to what was seen of left-out networks.

    Args:
        entries: What is known of the space's candidates.
        indices: The measured networks, shape (n, choices), n at least 1.
        latency_ms: Their latency, shape (n,), positive.
        known: Cost vectors of known devices; may be empty.
        sizes: What ``learn_sizes`` learnt from them; learnt here where it is not given.
        residuals: What their sums of costs cannot explain, for those of which it is known. The
            model is then a sum of costs and of shares in these.
        groups: The same number for rows that are one network, shape (n,); left out together.
        sums_only: Whether the model must be a sum of costs: searches are by costs of candidates.
            A note then says where other forms would have been clearly better.

    Raises:
        LatencyModelError: There is no network.
    """
    if not len(latency_ms):
        raise LatencyModelError("a new device must have at least one measured network, but got none")
    fitting = FittingNetworks(entries, indices, latency_ms, known, residuals or {})
    if sizes is None:
        sizes = learn_sizes(entries, known, fitting.residuals)
    prior = _prior(fitting, sizes)
    folds = np.unique(np.arange(len(indices)) if groups is None else groups, return_inverse=True)[1] % FOLDS
    if not folds.any():
        variances, posterior, costs = fitting.learn(prior)
        return Transferred(prior, variances, posterior, costs, _notes(fitting, costs, prior), None, fitting)
    prior, left_out = _best_sum(fitting, prior, folds)
    variances, posterior, costs = fitting.learn(prior)
    wider = widening(left_out, latency_ms)
    # all variances by one factor: the mean stays where it is
    variances = replace(variances, points=variances.points * wider**2)
    posterior = Gaussian(posterior.mean_ms, posterior.covariance * wider**2, posterior.noise * wider)
    left_out = Prediction(left_out.mean_ms, left_out.std_ms * wider)
    found = Transferred(prior, variances, posterior, costs, _notes(fitting, costs, prior), left_out, fitting)
    # ten networks choose a form worse than physics does
    if not known or (entries.features is not None and not sums_only):
        return found
    mixture, mixed, medians = _mixture(fitting, left_out, folds)
    sure = clearly_better(medians, left_out, latency_ms) and gain(medians, left_out, latency_ms) > STRONG
    if sums_only:
        return replace(found, notes=(*found.notes, *([_lost(left_out, medians, latency_ms)] if sure else [])))
    if not (prior.known or sure):
        return found
    notes = found.notes if list(mixture.shares) == [SUM] else _notes(fitting, costs, prior, mixture.shares)
    return replace(found, notes=notes, left_out=mixed, mixture=mixture)


def _prior(fitting: FittingNetworks, sizes: Mapping[str, tuple[float, float]]) -> DevicePrior:
    """With the known devices, unless what was measured is more probable without them."""
    level = float(fitting.latency_ms.mean())
    alone = DevicePrior(level, {}, sizes)
    if not fitting.known:
        return alone
    tables = {name: tuple(float(c) for c in costs) for name, costs in fitting.known.items()}
    shared = DevicePrior(level, tables, sizes, tuple(fitting.residuals))
    evidence = [infer_variances(*fitting.equations(prior)).log_evidence for prior in (shared, alone)]
    margin = 0.0 if fitting.entries.features is not None else STRONG
    return alone if evidence[1] > evidence[0] + margin else shared


def _best_sum(
    fitting: FittingNetworks, prior: DevicePrior, folds: IntArray
) -> tuple[DevicePrior, Prediction]:
    """The prior, or the combination of known devices alone; and its predictions of left-out networks."""
    found = fitting.left_out(lambda others, out: others.as_sum(prior, out), folds)
    if not prior.known:
        return prior, found
    combined = replace(prior, only=COMBINATION)
    simple = fitting.left_out(lambda others, out: others.as_sum(combined, out), folds)
    return (combined, simple) if clearly_better(simple, found, fitting.latency_ms) else (prior, found)


def _mixture(
    fitting: FittingNetworks, summed: Prediction, folds: IntArray
) -> tuple[Mixture, Prediction, Prediction]:
    """Forms beside the sum; of left-out networks what they predict, and medians."""
    known, latency_ms, left_out = fitting.known_latency, fitting.latency_ms, {SUM: summed}
    fit_of = fits(known)
    for name, fit in fit_of.items():
        left_out[name] = fitting.left_out(partial(_fitted, fit), folds)
    shares = shares_of(left_out, latency_ms)
    forms = {name: fit(fitting.indices, latency_ms) for name, fit in fit_of.items() if name in shares}
    near, unheard = Proportion.fit(known, fitting.indices, latency_ms, folds)
    found = Mixture(shares, forms, near, least_of(latency_ms))
    mixed, unheard = found.mixed(left_out, fitting.indices), found.unheard(unheard)
    doubted = LogNormal(mixed.centre, np.sqrt(mixed.std**2 + unheard))
    found = replace(found, wider=rescaling(doubted, latency_ms))
    medians = np.exp(mixed.centre)
    return found, found.said(mixed, unheard, fitting.indices), Prediction(medians, medians * doubted.std)


def _fitted(fit: Fit, fitting: FittingNetworks, indices: IntArray) -> Prediction:
    return fit(fitting.indices, fitting.latency_ms).predict(indices)


def alikeness(entries: Entries, first: FloatArray, second: FloatArray) -> float:
    """Correlation of two devices' latencies over all architectures of the space; 0 if undefined."""
    parts = [np.split(costs[:-1], entries.layout.offsets[1:]) for costs in (first, second)]
    shared = sum(float(np.cov(a, b, bias=True)[0, 1]) for a, b in zip(*parts, strict=True))
    scale = np.prod([sum(float(part.var()) for part in device) for device in parts])
    return float(shared / np.sqrt(scale)) if scale > 0 else 0.0


def _lost(summed: Prediction, mixed: Prediction, latency_ms: FloatArray) -> str:
    """What a model loses by being a sum, as a sentence."""
    off = [float(np.exp(np.abs(np.log(p.mean_ms / latency_ms)).mean())) for p in (summed, mixed)]
    return (
        f"this model is a sum of costs, which searches need: it is off by a factor of {off[0]:.2f} on "
        f"left-out networks, and with known devices multiplied or combined by {off[1]:.2f}: measure a "
        "search's finalists"
    )


def _notes(
    fitting: FittingNetworks, costs: FloatArray, prior: DevicePrior, shares: Mapping[str, float] | None = None
) -> tuple[str, ...]:
    known, entries = fitting.known, fitting.entries
    if not known:
        return (
            "no device was known: the costs rest on the measured networks and on what is known of the space",
        )
    alike = {
        name: alikeness(entries, costs[: entries.layout.entries], np.array(t)) for name, t in known.items()
    }
    name = max(alike, key=lambda n: alike[n])
    closest = f"the most alike is {name} (correlation {alike[name]:.2f})"
    if shares:
        parts = ", ".join(f"{share:.0%} as {name}" for name, share in shares.items())
        return (
            f"{len(known)} known devices were used, {parts}: that predicts left-out networks best; {closest}",
        )
    if prior.only:
        return (f"{len(known)} known devices were combined, and nothing else: that predicts best; {closest}",)
    if prior.known:
        return (f"{len(known)} known devices were used; {closest}",)
    return (
        f"none of {len(known)} known devices explains the measured networks better than what blocks do: "
        f"their tables were not used; {closest}",
    )

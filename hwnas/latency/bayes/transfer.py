"""A device of which no block was measured: a model from about ten whole networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from hwnas.errors import LatencyModelError
from hwnas.latency.base import FloatArray, IntArray, Prediction
from hwnas.latency.bayes.device_prior import (
    DevicePrior,
    Known,
    believed_costs,
    learn_sizes,
    network_matrix,
)
from hwnas.latency.bayes.entries import Entries
from hwnas.latency.bayes.evidence import Variances, believe, infer_variances
from hwnas.latency.bayes.gaussian import Belief, Equations, Prior
from hwnas.latency.bayes.interactions import Remainder
from hwnas.latency.bayes.product import Logs, Product

STRONG = 3.0
"""Logarithm of a ratio of probabilities that is strong evidence (Kass & Raftery, 1995)."""


COMBINATION = ("known", "run", "work")
"""Components of the simplest model: known devices and physics with positive factors, and a constant."""

FOLDS = 20
"""Parts that networks are left out in: each by itself where there are no more."""

SHARES = 11
"""Shares of the product that are tried, from none to all."""

_FAR = 4.0  # standard deviations: one network that is as far off, or farther, says no more than this


@dataclass(frozen=True)
class Few:
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

    def predict(
        self, prior: DevicePrior, belief: Belief, costs_ms: FloatArray, indices: IntArray
    ) -> Prediction:
        """Other networks as sums of costs.

        A prediction is at least half of the fastest of these: no network takes less than no time.
        """
        paid = replace(self, indices=indices).matrix(prior)
        mean = np.maximum(paid @ costs_ms, self.latency_ms.min() / 2)
        variance = np.maximum(np.sum((paid @ belief.covariance) * paid, axis=1), 0.0)
        return Prediction(mean, np.sqrt(variance + (belief.noise * mean) ** 2))

    def as_sum(self, prior: DevicePrior, indices: IntArray) -> Prediction:
        """Other networks predicted from these as sums of costs."""
        _, belief, costs = self.learn(prior)
        return self.predict(prior, belief, costs, indices)

    def as_product(self) -> Product:
        """The device as a product of known ones."""
        logs = Logs(self.entries, self.known, self.remainders)
        return Product.fit(logs, self.indices, self.latency_ms)

    def left_out(self, learn: Callable[[Few, IntArray], Prediction], folds: IntArray) -> Prediction:
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
        belief: The Gaussian over its cost vector, followed by its shares of remainders.
        costs_ms: The most probable non-negative costs and shares, shape (entries + remainders,).
        notes: How the known devices were used, one sentence each.
        left_out: Each measured network predicted without it; None where there is one only.
        few: The measured networks.
        product: The device as a product of known ones, where left-out networks speak for it.
        share: Of the product in predictions, by their logarithms; the rest is the sum's.
        wider: What the standard deviations of these mixed predictions are multiplied by.
    """

    prior: DevicePrior
    variances: Variances
    belief: Belief
    costs_ms: FloatArray
    notes: tuple[str, ...]
    left_out: Prediction | None
    few: Few
    product: Product | None = None
    share: float = 0.0
    wider: float = 1.0

    def predict(self, indices: IntArray) -> Prediction:
        """Latency of architectures of shape (n, choices), by sum and product."""
        found = self.few.predict(self.prior, self.belief, self.costs_ms, indices)
        if self.product is None:
            return found
        mixed = _mixed(found, self.product.predict(indices), self.share)
        return Prediction(mixed.mean_ms, mixed.std_ms * self.wider)


def transfer(
    entries: Entries,
    indices: IntArray,
    latency_ms: FloatArray,
    known: Known,
    sizes: Mapping[str, tuple[float, float]] | None = None,
    remainders: Mapping[str, Remainder] | None = None,
    groups: IntArray | None = None,
    *,
    sums_only: bool = False,
) -> Transferred:
    """Learn a new device's costs from a few whole networks and from known devices.

    The known devices are left out if the measured networks are more probable without them;
    where only indices are known, which says little, they must be far more probable. Combined
    with positive factors they are all that is used where that predicts left-out networks clearly
    better. Where left-out networks speak for a product of known devices, it has a share in
    predictions. Intervals are widened to what was seen of left-out networks.

    Args:
        entries: What is known of the space's candidates.
        indices: The measured networks, shape (n, choices), n at least 1.
        latency_ms: Their latency, shape (n,), positive.
        known: Cost vectors of known devices; may be empty.
        sizes: What ``learn_sizes`` learnt from them; learnt here where it is not given.
        remainders: What their sums of costs cannot explain, for those of which it is known. The
            model is then a sum of costs and of shares in these.
        groups: The same number for rows that are one network, shape (n,); left out together.
        sums_only: Whether the model must be a sum of costs: searches are by costs of candidates.

    Raises:
        LatencyModelError: There is no network.
    """
    if not len(latency_ms):
        raise LatencyModelError("a new device must have at least one measured network, but got none")
    few = Few(entries, indices, latency_ms, known, remainders or {})
    if sizes is None:
        sizes = learn_sizes(entries, known, few.remainders)
    prior = _prior(few, sizes)
    folds = np.unique(np.arange(len(indices)) if groups is None else groups, return_inverse=True)[1] % FOLDS
    if not folds.any():
        variances, belief, costs = few.learn(prior)
        return Transferred(prior, variances, belief, costs, _notes(few, costs, prior), None, few)
    prior, left_out = _best_sum(few, prior, folds)
    variances, belief, costs = few.learn(prior)
    product = None
    if prior.known and not sums_only:
        product = few.left_out(lambda others, out: others.as_product().predict(out), folds)
    share = 0.0 if product is None else _share(left_out, product, latency_ms, len(np.unique(folds)))
    wider = _widening(left_out, latency_ms)
    # all variances by one factor: the mean stays where it is
    variances = replace(variances, points=variances.points * wider**2)
    belief = Belief(belief.mean_ms, belief.covariance * wider**2, belief.noise * wider)
    left_out = Prediction(left_out.mean_ms, left_out.std_ms * wider)
    notes = _notes(few, costs, prior, share)
    found = Transferred(prior, variances, belief, costs, notes, left_out, few)
    if product is None or not share:
        return found
    mixed = _mixed(left_out, product, share)
    wider = _widening(mixed, latency_ms)
    mixed = Prediction(mixed.mean_ms, mixed.std_ms * wider)
    return replace(found, left_out=mixed, product=few.as_product(), share=share, wider=wider)


def _prior(few: Few, sizes: Mapping[str, tuple[float, float]]) -> DevicePrior:
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


def _best_sum(few: Few, prior: DevicePrior, folds: IntArray) -> tuple[DevicePrior, Prediction]:
    """The prior, or the combination of known devices alone; and its predictions of left-out networks."""
    found = few.left_out(lambda others, out: others.as_sum(prior, out), folds)
    if not prior.known:
        return prior, found
    combined = replace(prior, only=COMBINATION)
    simple = few.left_out(lambda others, out: others.as_sum(combined, out), folds)
    return (combined, simple) if _clearly_better(simple, found, few.latency_ms) else (prior, found)


def _share(found: Prediction, product: Prediction, latency_ms: FloatArray, count: int) -> float:
    """Share of the product that left-out networks speak for: none where the sum alone does best.

    Else its mean over all shares, weighted by the probability of the errors in logarithms (Laplace's
    distribution, its scale integrated out): the mean error to the power of minus the number of
    networks. Ten networks do not know one best share, and no single one of them decides.
    """
    shares = np.linspace(0.0, 1.0, SHARES)
    errors = np.array([np.abs(np.log(_mixed(found, product, w).mean_ms / latency_ms)).mean() for w in shares])
    if not errors.argmin():
        return 0.0
    weights = (errors.min() / np.maximum(errors, 1e-12)) ** count
    return float(weights @ shares / weights.sum())


def _mixed(found: Prediction, product: Prediction, share: float) -> Prediction:
    """Logarithms of two predictions, mixed; where they disagree, either may be right."""
    logs = np.log([found.mean_ms, product.mean_ms])
    relative = [p.std_ms / p.mean_ms for p in (found, product)]
    mean = np.exp((1 - share) * logs[0] + share * logs[1])
    doubt = (1 - share) * relative[0] ** 2 + share * relative[1] ** 2
    return Prediction(mean, mean * np.sqrt(doubt + share * (1 - share) * (logs[1] - logs[0]) ** 2))


def _clearly_better(first: Prediction, second: Prediction, latency_ms: FloatArray) -> bool:
    """Whether errors, in logarithms, are smaller by more than the standard error of the difference."""
    errors = [np.abs(np.log(p.mean_ms / latency_ms)) for p in (first, second)]
    gain = errors[1] - errors[0]
    return bool(gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)))


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


def _notes(few: Few, costs: FloatArray, prior: DevicePrior, share: float = 0.0) -> tuple[str, ...]:
    known, entries = few.known, few.entries
    if not known:
        return (
            "no device was known: the costs rest on the measured networks and on what is known of the space",
        )
    alike = {
        name: alikeness(entries, costs[: entries.layout.entries], np.array(t)) for name, t in known.items()
    }
    name = max(alike, key=lambda n: alike[n])
    closest = f"the most alike is {name} (correlation {alike[name]:.2f})"
    if share:
        return (
            f"{len(known)} known devices were used, {share:.0%} as a product and the rest as a sum: that "
            f"predicts left-out networks best; {closest}",
        )
    if prior.only:
        return (f"{len(known)} known devices were combined, and nothing else: that predicts best; {closest}",)
    if prior.known:
        return (f"{len(known)} known devices were used; {closest}",)
    return (
        f"none of {len(known)} known devices explains the measured networks better than what blocks do: "
        f"their tables were not used; {closest}",
    )

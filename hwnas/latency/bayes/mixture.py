"""Several forms of a new device, mixed by what each says of networks that it was not fitted to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Protocol

import numpy as np

from hwnas.latency.base import FloatArray, IntArray, Prediction
from hwnas.latency.bayes.known_latency import Combination, KnownLatency, Proportion
from hwnas.latency.bayes.product import Logs, Product

SUM = "a sum"
PRODUCT = "a product"
COMBINED = "a combination"
COMBINED_LOGS = "a combination of logarithms"

STEPS = 8
"""Shares are tried in as many steps from none to all."""

EXACT = 1e-9
"""Mean error, in logarithms, below which no mixture is better than another."""

_FAR = 4.0  # standard deviations: one network that is as far off, or farther, says no more than this


class Form(Protocol):
    """A fitted form."""

    def predict(self, indices: IntArray, /) -> Prediction:
        """Latency of architectures of shape (n, choices)."""


Fit = Callable[[KnownLatency, IntArray, FloatArray], Form]


def _product(known: KnownLatency, indices: IntArray, latency_ms: FloatArray) -> Form:
    return Product.fit(Logs(known, over_fastest=True), indices, latency_ms)


def _combined_logs(known: KnownLatency, indices: IntArray, latency_ms: FloatArray) -> Form:
    return Product.fit(Logs(known, factors=False), indices, latency_ms)


FORMS: Mapping[str, Fit] = {PRODUCT: _product, COMBINED: Combination.fit, COMBINED_LOGS: _combined_logs}
"""Forms beside the sum, by name: fitted to measured networks of shapes (n, choices) and (n,)."""


@dataclass(frozen=True)
class Mixture:
    """Forms with their shares.

    Attributes:
        shares: Of each form in the logarithm of a prediction, the sum's included if it has any.
        forms: The forms that have one, but for the sum.
        near: What no prediction is far off.
        wider: What standard deviations are multiplied by.
    """

    shares: Mapping[str, float]
    forms: Mapping[str, Form] = field(default_factory=dict)
    near: Proportion | None = None
    wider: float = 1.0

    def predict(self, summed: Prediction, indices: IntArray) -> Prediction:
        """Predictions of architectures of shape (n, choices), of which the sum's are given."""
        found = {name: form.predict(indices) for name, form in self.forms.items()}
        mixed = self.mixed({SUM: summed, **found}, indices)
        return Prediction(mixed.mean_ms, mixed.std_ms * self.wider)

    def mixed(self, found: Mapping[str, Prediction], indices: IntArray) -> Prediction:
        """Logarithms of predictions, mixed; where they disagree, either may be right."""
        shares = np.array(list(self.shares.values()))
        logs = np.log([found[name].mean_ms for name in self.shares])
        relative = np.array([found[name].std_ms / found[name].mean_ms for name in self.shares])
        mean = shares @ logs
        std = np.sqrt(shares @ (relative**2 + (logs - mean) ** 2))
        prediction = Prediction(np.exp(mean), np.exp(mean) * std)
        return prediction if self.near is None else self.near.within(prediction, indices)


def shares_of(left_out: Mapping[str, Prediction], latency_ms: FloatArray) -> dict[str, float]:
    """Shares that left-out networks speak for; forms that the best mixture does without have none.

    Ten networks do not know one best mixture. Of the forms in it all mixtures are averaged, weighted
    by the probability of the errors in logarithms (Laplace's distribution, its scale integrated out):
    the mean error to the power of minus the number of networks.

    Args:
        left_out: By form, networks predicted from others.
        latency_ms: What they took, shape (n,).
    """
    errors = np.log([found.mean_ms / latency_ms for found in left_out.values()])
    tried = _mixtures(len(errors))
    mean = np.maximum(np.abs(tried @ errors).mean(axis=1), EXACT)
    best = tried[mean.argmin()]
    among = (tried[:, best == 0] == 0).all(axis=1)
    weights = (mean.min() / mean) ** len(latency_ms) * among
    shares = weights @ tried / weights.sum()
    return {name: float(share) for name, share in zip(left_out, shares, strict=True) if share > 0}


def _mixtures(count: int) -> FloatArray:
    """All shares of ``count`` forms in steps, the first form's alone first, shape (m, count)."""
    places = range(STEPS + count - 1)
    bars = np.array(list(combinations(places, count - 1)))
    edges = np.pad(bars, ((0, 0), (1, 1)), constant_values=((0, 0), (-1, STEPS + count - 1)))
    return (np.diff(edges, axis=1) - 1)[::-1] / STEPS


def clearly_better(first: Prediction, second: Prediction, latency_ms: FloatArray) -> bool:
    """Whether errors, in logarithms, are smaller by more than the standard error of the difference."""
    errors = [np.abs(np.log(p.mean_ms / latency_ms)) for p in (first, second)]
    less = errors[1] - errors[0]
    return bool(less.mean() > less.std(ddof=1) / np.sqrt(len(less)))


def gain(first: Prediction, second: Prediction, latency_ms: FloatArray) -> float:
    """Logarithm of how much more probable the errors of the first are than those of the second.

    Of Laplace's distribution, as for shares.
    """
    errors = [np.abs(np.log(p.mean_ms / latency_ms)).mean() for p in (first, second)]
    return float(len(latency_ms) * np.log(max(errors[1], EXACT) / max(errors[0], EXACT)))


def widening(left_out: Prediction, latency_ms: FloatArray) -> float:
    """Factor by which standard deviations were too small for left-out networks, at least 1."""
    away = np.minimum(np.abs(left_out.mean_ms - latency_ms) / left_out.std_ms, _FAR)
    return max(1.0, float(np.sqrt(np.mean(away**2))))

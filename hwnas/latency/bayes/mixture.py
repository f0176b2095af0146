"""Several forms of a new device, mixed by what each says of networks that it was not fitted to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Protocol

import numpy as np

from hwnas.latency.base import FloatArray, IntArray, Prediction
from hwnas.latency.bayes.known_latency import Combination, KnownLatency
from hwnas.latency.bayes.lognormal import LogNormal
from hwnas.latency.bayes.product import Logs, Product
from hwnas.latency.bayes.proportion import Proportion
from hwnas.latency.bayes.skipping import Counting, SkippingSum

SUM = "a sum"
PRODUCT = "a product"
SKIPPING = "a sum of what counts"
CLEAN = "a sum of clean costs"
COMBINED = "a combination"
COMBINED_LOGS = "a combination of logarithms"

STEPS = 8
"""Shares are tried in as many steps from none to all."""

EXACT = 1e-9
"""Mean error, in logarithms, below which no mixture is better than another."""

_FAR = 4.0  # standard deviations: one network that is as far off, or farther, says no more than this
_FAR_LOG = 3.0  # the same of logarithms


class Form(Protocol):
    """A fitted form."""

    def predict(self, indices: IntArray, /) -> Prediction:
        """Latency of architectures of shape (n, choices)."""


Fit = Callable[[IntArray, FloatArray], Form]
"""Fits a form to measured networks, shapes (n, choices) and (n,), n at least 1."""

FORMS = (PRODUCT, SKIPPING, CLEAN, COMBINED, COMBINED_LOGS)
"""Forms beside the sum."""


def fits(known: KnownLatency) -> dict[str, Fit]:
    """How each form is fitted, by name; what is skipped is known where a device was measured whole."""
    found: dict[str, Fit] = {
        PRODUCT: partial(Product.fit, Logs(known, over_fastest=True)),
        COMBINED: partial(Combination.fit, known),
        COMBINED_LOGS: partial(Product.fit, Logs(known, factors=False)),
    }
    counting = Counting(known)
    if counting.devices:
        found[SKIPPING] = partial(SkippingSum.fit, counting, True)
        found[CLEAN] = partial(SkippingSum.fit, counting, False)
    return {name: found[name] for name in FORMS if name in found}


@dataclass(frozen=True)
class Mixture:
    """Forms with their shares.

    Attributes:
        shares: Of each form in the logarithm of a prediction, the sum's included if it has any.
        forms: The forms that have one, but for the sum.
        near: What no prediction is far off.
        least_ms: No prediction is less, but where all known devices say so.
        wider: What standard deviations of logarithms are multiplied by in intervals.
    """

    shares: Mapping[str, float]
    forms: Mapping[str, Form]
    near: Proportion
    least_ms: float
    wider: float = 1.0

    def predict(self, summed: Prediction, indices: IntArray) -> Prediction:
        """Predictions of architectures of shape (n, choices), of which the sum's are given."""
        found = {name: form.predict(indices) for name, form in self.forms.items()}
        mixed = self.mixed({SUM: summed, **found}, indices)
        return self.said(mixed, self.unheard(self.near.unheard(indices)), indices)

    def mixed(self, found: Mapping[str, Prediction], indices: IntArray) -> LogNormal:
        """Logarithms of predictions, mixed; where they disagree, any may be right."""
        shares = np.array(list(self.shares.values()))
        logs = np.log([found[name].mean_ms for name in self.shares])
        relative = np.array([found[name].std_ms / found[name].mean_ms for name in self.shares])
        centre = shares @ logs
        # a variance is that of a logarithm, also where an error may be many times a small mean
        variance = shares @ (np.log1p(relative**2) + (logs - centre) ** 2)
        return LogNormal(np.clip(centre, *np.log(self.near.bounds(indices))), np.sqrt(variance))

    def unheard(self, variance: FloatArray) -> FloatArray:
        """The part of a variance between known devices that matters: sums over all choices have none."""
        return (1.0 - self.shares.get(SUM, 0.0) - self.shares.get(CLEAN, 0.0)) * variance

    def said(self, mixed: LogNormal, unheard: FloatArray, indices: IntArray) -> Prediction:
        """What is expected to be wrong by the least share, and intervals that are as wide as errors were."""
        doubted = LogNormal(mixed.centre, np.sqrt(mixed.std**2 + unheard))
        least = np.minimum(self.near.bounds(indices)[0], self.least_ms)
        widened = LogNormal(mixed.centre, np.sqrt((self.wider * mixed.std) ** 2 + unheard))
        return widened.around(np.maximum(doubted.least_wrong_ms, least))


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


def rescaling(left_out: LogNormal, latency_ms: FloatArray) -> float:
    """Factor by which standard deviations of logarithms were too small for left-out networks.

    Where they were too large it is half believed: shares were chosen by the same networks.
    """
    away = np.minimum(np.abs(left_out.centre - np.log(latency_ms)) / left_out.std, _FAR_LOG)
    square = float(np.mean(away**2))
    return float(np.sqrt(max(square, (1.0 + square) / 2)))

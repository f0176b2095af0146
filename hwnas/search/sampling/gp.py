"""A Gaussian process on architectures, fitted by marginal likelihood. In closed form, in numpy.

The covariance is a sum of three parts: linear in the one-hot view (every candidate in its place
adds something), exponential in the share of choices that differ (interactions in place), and
exponential in the squared distance of physical features (what networks are like as a whole).
Rasmussen & Williams, Gaussian Processes for Machine Learning, sections 2.2 and 5.4.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from hwnas.latency.base import FloatArray, IntArray
from hwnas.search.sampling.features import Features

NAMES = ("linear", "hamming", "physical", "hamming_length", "physical_length", "noise")

CENTRES = np.log([0.3, 0.35, 0.35, 0.5, 1.0, 0.05])
"""Medians of the log-normal priors: variances of standardised scores in the order of ``NAMES``,
lengths as a share of the choices and in standard deviations squared."""

SPREAD = 2.0
"""Standard deviation of each logarithm around its centre: a factor of 7."""


@dataclass(frozen=True)
class Points:
    """Architectures as the covariance needs them.

    Attributes:
        one_hot: Shape (n, candidates), rows of squared length 1.
        physical: Shape (n, features), standardised, rows over the root of their number.
    """

    one_hot: FloatArray
    physical: FloatArray

    def __getitem__(self, rows: Any) -> Points:
        return Points(self.one_hot[rows], self.physical[rows])

    def __len__(self) -> int:
        return len(self.one_hot)


@dataclass(frozen=True)
class Standardiser:
    """Turns indices into points; features are standardised on reference architectures."""

    features: Features
    reference: IntArray

    def __call__(self, indices: IntArray) -> Points:
        """Indices of shape (n, choices) to points."""
        mean, deviation = self._moments
        varying = deviation > 1e-9 * np.maximum(np.abs(mean), 1.0)
        raw = (self.features.physical(indices) - mean)[:, varying] / deviation[varying]
        return Points(self.features.one_hot(indices), raw / np.sqrt(max(varying.sum(), 1)))

    @cached_property
    def _moments(self) -> tuple[FloatArray, FloatArray]:
        raw = self.features.physical(self.reference)
        return raw.mean(axis=0), raw.std(axis=0)


@dataclass(frozen=True)
class GaussianProcess:
    """Belief about scores after some were seen.

    Attributes:
        points: What was seen, shape (n,); may repeat.
        scores: Shape (n,).
        log_parameters: Logarithms in the order of ``NAMES``, of standardised scores.
    """

    points: Points
    scores: FloatArray
    log_parameters: FloatArray = field(default_factory=CENTRES.copy)

    def fitted(self) -> GaussianProcess:
        """With the parameters that make the scores most probable, from the present ones on."""
        from scipy.optimize import minimize

        parts, standard = _Parts.between(self.points, self.points), self._standard

        def loss(theta: FloatArray) -> tuple[float, FloatArray]:
            value, gradient = _negative_log_likelihood(theta, parts, standard)
            away = (theta - CENTRES) / SPREAD
            return value + 0.5 * float(away @ away), gradient + away / SPREAD

        bounds = [(centre - 3 * SPREAD, centre + 3 * SPREAD) for centre in CENTRES]
        found = minimize(loss, self.log_parameters, jac=True, method="L-BFGS-B", bounds=bounds)
        return GaussianProcess(self.points, self.scores, found.x)

    def predict(self, points: Points) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the true score, without noise, each of shape (n,)."""
        mean, deviation, inverse, weights = *self._location, *self._solved
        cross = self._cross(points)
        prior = np.exp(self.log_parameters[:3]).sum()
        variance = prior - np.einsum("ij,ij->i", cross @ inverse, cross)
        return mean + deviation * (cross @ weights), deviation * np.sqrt(np.maximum(variance, 1e-12))

    def mean(self, points: Points) -> FloatArray:
        """The mean of ``predict``, which takes less by a power than its deviation."""
        location, deviation = self._location
        return np.asarray(location + deviation * (self._cross(points) @ self._solved[1]))

    def _cross(self, points: Points) -> FloatArray:
        return _Parts.between(points, self.points).covariance(self.log_parameters)

    @property
    def noise(self) -> float:
        """Standard deviation of one score around the truth."""
        return float(self._location[1] * np.exp(0.5 * self.log_parameters[5]))

    @property
    def parameters(self) -> dict[str, float]:
        """Variances and lengths by name."""
        return dict(zip(NAMES, np.exp(self.log_parameters).tolist(), strict=True))

    @property
    def _location(self) -> tuple[float, float]:
        """Mean and standard deviation of the scores."""
        return float(self.scores.mean()), float(self.scores.std()) or 1.0

    @property
    def _standard(self) -> FloatArray:
        mean, deviation = self._location
        return (self.scores - mean) / deviation

    @cached_property
    def _solved(self) -> tuple[FloatArray, FloatArray]:
        """Inverse covariance, and the weights that it gives to the standardised scores."""
        own = _Parts.between(self.points, self.points).covariance(self.log_parameters)
        inverse = np.linalg.inv(own + np.exp(self.log_parameters[5]) * np.eye(len(own)))
        return inverse, inverse @ self._standard


@dataclass(frozen=True)
class _Parts:
    """What two sets of points have in common, each array of shape (n, m)."""

    agreeing: FloatArray
    differing: FloatArray
    distance: FloatArray

    @classmethod
    def between(cls, one: Points, other: Points) -> _Parts:
        agreeing = one.one_hot @ other.one_hot.T
        squares = (one.physical**2).sum(axis=1)[:, None] + (other.physical**2).sum(axis=1)
        distance = np.maximum(squares - 2 * one.physical @ other.physical.T, 0.0)
        return cls(agreeing, np.maximum(1.0 - agreeing, 0.0), distance)

    def terms(self, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        linear, hamming, physical, hamming_length, physical_length, _ = np.exp(theta)
        return (
            linear * self.agreeing,
            hamming * np.exp(-self.differing / hamming_length),
            physical * np.exp(-self.distance / physical_length),
        )

    def covariance(self, theta: FloatArray) -> FloatArray:
        first, second, third = self.terms(theta)
        return first + second + third


def _negative_log_likelihood(
    theta: FloatArray, parts: _Parts, standard: FloatArray
) -> tuple[float, FloatArray]:
    """Of standardised scores, and its gradient (equation 5.9), up to a constant."""
    first, second, third = parts.terms(theta)
    noise = np.exp(theta[5])
    covariance = first + second + third + noise * np.eye(len(standard))
    lower = np.linalg.cholesky(covariance)
    inverse = np.linalg.inv(covariance)
    weights = inverse @ standard
    value = 0.5 * standard @ weights + np.log(np.diag(lower)).sum()
    slope = 0.5 * (inverse - np.outer(weights, weights))
    gradient = [
        (slope * first).sum(),
        (slope * second).sum(),
        (slope * third).sum(),
        (slope * second * parts.differing).sum() / np.exp(theta[3]),
        (slope * third * parts.distance).sum() / np.exp(theta[4]),
        noise * np.trace(slope),
    ]
    return float(value), np.array(gradient)

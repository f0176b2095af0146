"""Bayesian search: a Gaussian process on architectures, and the most promising one next.

What is promising is told by expected improvement (Jones et al., 1998) over the best posterior
mean so far, not over the best score: scores are noisy. The same mean picks what is returned, so
that the luckiest sample is not mistaken for the best network. Scoring a leader again is worth
what it is expected to change that pick (knowledge gradient, Frazier et al., 2008).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from hwnas.latency.base import FloatArray, IntArray
from hwnas.runs.trial import Trial
from hwnas.search.problem import Problem
from hwnas.search.sampling.features import Features
from hwnas.search.sampling.gp import GaussianProcess, Standardiser
from hwnas.search.sampling.loop import Sampler, SamplingStrategy, require
from hwnas.search.sampling.neighbours import around, as_tuple

ENUMERABLE = 20_000
"""Index vectors up to which every architecture is a candidate."""

LEADERS = 10
"""In a larger space, architectures whose neighbourhood is looked at."""

CLIMBS = 3
"""Times that the neighbourhood of the best candidates is added to the pool."""

ERROR_FLOOR = 1e-3
"""Added to the error rate, so that a perfect score stays finite on the logarithmic scale."""


@dataclass(frozen=True, kw_only=True)
class Surrogate(SamplingStrategy):
    """Search by expected improvement of a Gaussian process.

    Attributes:
        initial: Random architectures to begin with.
        pool: Random candidates a query, in a space too large to look at every architecture.
    """

    name: ClassVar[str] = "surrogate"
    is_anytime: ClassVar[bool] = True

    initial: int = 5
    pool: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.initial >= 2, f"initial must be at least 2, but got {self.initial}")
        require(self.pool >= 1, f"pool must be at least 1, but got {self.pool}")

    def sampler(self, problem: Problem, rng: np.random.Generator) -> Sampler:
        """A model that has seen nothing."""
        return _Model(problem, rng, self)


class _Model(Sampler):
    def __init__(self, problem: Problem, rng: np.random.Generator, settings: Surrogate) -> None:
        super().__init__(problem, rng)
        self.settings = settings
        self.pending: list[tuple[int, ...]] = []
        self.started = 0
        self.process: GaussianProcess | None = None
        self.fitted_at = 0

    def ask(self) -> tuple[int, ...] | None:
        """Random at first, then the candidate of the highest expected improvement."""
        if self.started < self.settings.initial or self.process is None:
            self.started += 1
            asked = self.archive.fresh(self.rng)
        else:
            asked = self._most_promising(self._with_pending(self.process))
        if asked is not None:
            self.pending.append(asked)
        return asked

    def ask_again(self) -> tuple[int, ...] | None:
        """The leader whose next score is expected to improve the final pick most."""
        if self.process is None:
            return super().ask_again()
        rows = self.archive.scored()
        mean, deviation = self.process.predict(self._points(rows))
        gain = knowledge_gradient(mean, deviation, self.process.noise)
        return as_tuple(rows[gain.argmax()]) if gain.max() > 0 else None

    def tell(self, trial: Trial) -> None:
        """Learn a score; the model's parameters are fitted again for each tenth more scores."""
        super().tell(trial)
        if trial.indices in self.pending:
            self.pending.remove(trial.indices)
        trials = self.archive.trials
        if len(trials) < self.settings.initial:
            return
        points = self._points(np.array([t.indices for t in trials]))
        scores = _log_quality(np.array([t.quality for t in trials]))
        known = {"log_parameters": self.process.log_parameters} if self.process else {}
        self.process = GaussianProcess(points, scores, **known)
        if len(trials) >= 1.1 * self.fitted_at:
            self.process, self.fitted_at = self.process.fitted(), len(trials)

    def best(self) -> Trial | None:
        """The scored feasible network of the highest posterior mean."""
        rows = self.archive.scored()
        if self.process is None or not len(rows):
            return super().best()
        mean = self.process.mean(self._points(rows))
        best = rows[mean.argmax()]
        quality = float(np.clip(1.0 + ERROR_FLOOR - np.exp(-mean.max()), 0.0, 1.0))
        return self.archive.problem.described(as_tuple(best), quality)

    def report(self) -> Mapping[str, Any]:
        """The parameters of the model at the end."""
        return {"model": self.process.parameters} if self.process else {}

    @cached_property
    def _every(self) -> IntArray | None:
        """All distinct feasible architectures; None where there are too many to list."""
        problem = self.archive.problem
        if problem.blocks.num_architectures > ENUMERABLE:
            return None
        rows = np.array(list(itertools.product(*map(range, problem.space.sizes))))
        rows = rows[problem.feasible(rows)]
        _, first = np.unique(self.archive.canonical(rows), axis=0, return_index=True)
        return np.asarray(rows[np.sort(first)])

    @cached_property
    def _points(self) -> Standardiser:
        """Turns indices into what the model reads; standardised on feasible architectures."""
        reference = self._every
        if reference is None:
            reference = self.archive.feasible.sample(self.settings.pool, self.rng)
        return Standardiser(Features(self.archive.problem.blocks), reference)

    def _with_pending(self, process: GaussianProcess) -> GaussianProcess:
        """As if what was asked and is not yet told had come out as expected."""
        if not self.pending:
            return process
        points = self._points(np.array([t.indices for t in self.archive.trials] + self.pending))
        expected = process.mean(points[len(self.archive.trials) :])
        return GaussianProcess(points, np.concatenate([process.scores, expected]), process.log_parameters)

    def _most_promising(self, process: GaussianProcess) -> tuple[int, ...] | None:
        """Claim the best new candidate: of all, or of a random pool and what surrounds the leaders."""
        told = self.archive.scored()
        mean = process.mean(self._points(told))
        target = float(mean.max())
        if self._every is not None:
            rows, rounds = self._every, 1
        else:
            rows, rounds = self.archive.feasible.sample(self.settings.pool, self.rng), CLIMBS
        centres = told[np.argsort(-mean)[:LEADERS]]
        for _ in range(rounds):
            if rounds > 1:
                near = around(self.archive.problem, centres, self.rng)
                rows = np.unique(np.concatenate([rows, near]), axis=0)
            rows = self.archive.new(rows)
            if not len(rows):
                return None
            gain = expected_improvement(*process.predict(self._points(rows)), target)
            centres = rows[np.argsort(-gain)[:LEADERS]]
        chosen = as_tuple(centres[0])
        self.archive.claim(chosen)
        return chosen


def expected_improvement(mean: FloatArray, deviation: FloatArray, target: float) -> FloatArray:
    """Expected excess over ``target`` of Gaussian beliefs, shape (n,)."""
    from scipy.special import ndtr

    z = (mean - target) / deviation
    return np.asarray((mean - target) * ndtr(z) + deviation * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi))


def knowledge_gradient(mean: FloatArray, deviation: FloatArray, noise: float) -> FloatArray:
    """By how much one more score of each is expected to raise the best mean, shape (n,).

    Beliefs are taken as independent (Frazier, Powell & Dayanik, 2008, equation 16).
    """
    change = deviation**2 / np.sqrt(deviation**2 + noise**2)
    order = np.argsort(-mean)
    rival = np.full(len(mean), mean[order[0]])
    rival[order[0]] = mean[order[1]] if len(mean) > 1 else -np.inf
    return expected_improvement(-np.abs(mean - rival), change, 0.0)


def _log_quality(quality: FloatArray) -> FloatArray:
    """Minus the logarithm of the error rate: halving the error counts the same everywhere."""
    return np.asarray(-np.log(1.0 + ERROR_FLOOR - quality))

"""ChamNet (Dai et al., arXiv:1812.08934): a Gaussian process predicts accuracy, evolution searches in it.

What the abstract says is kept: an accuracy predictor that is a Gaussian process, samples for it that
Bayesian optimisation picks one batch after the other, and a search by it and by predictors of costs. No more
of the paper could be read, so the rest is ours. A round has some to explore, of which the predictor is least
certain, and some to exploit, which it predicts to be best; exploring ends where it predicted a round well
enough. What is best by prediction within the budgets, a genetic algorithm finds: parents cross, children
mutate, the fittest stay.

There the predictors are built once, for any platform. Here queries are few, and for one problem: evolution
runs in every round, what it finds is scored and learnt from. Costs are known exactly, and a child that
breaks a budget mutates once more and is not born if that does not pay for it. The covariance is that of
``gp``, as choices have no order. What is returned is the network that is predicted to be best of those that
were scored: the best score is a lucky one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from hwnas.search.sampling.neighbours import as_tuple

POOL = 1000
"""Random architectures that are looked at in each round."""

POPULATION, GENERATIONS = 100, 20
"""Architectures that stay, and how often they have as many children; no query is spent on them."""


@dataclass(frozen=True, kw_only=True)
class ChamNet(SamplingStrategy):
    """Evolution on the predictions of a Gaussian process.

    Attributes:
        initial: Random architectures to begin with.
        explore: Architectures a round that the predictor knows least about.
        exploit: Architectures a round that it predicts to be best; all of a round once exploring has ended.
        tolerance: Exploring ends where the predictor's mean squared error in the last round is at most this
            share of the variance of all scores.
    """

    name: ClassVar[str] = "chamnet"
    is_anytime: ClassVar[bool] = True

    initial: int = 10
    explore: int = 2
    exploit: int = 3
    tolerance: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.initial >= 2, f"initial must be at least 2, but got {self.initial}")
        require(self.explore >= 0, f"explore must be at least 0, but got {self.explore}")
        require(self.exploit >= 1, f"exploit must be at least 1, but got {self.exploit}")
        require(0.0 <= self.tolerance <= 1.0, f"tolerance must be in [0, 1], but got {self.tolerance}")

    def sampler(self, problem: Problem, rng: np.random.Generator) -> Sampler:
        """A predictor that has seen nothing."""
        return _Adapter(problem, rng, self)


class _Adapter(Sampler):
    def __init__(self, problem: Problem, rng: np.random.Generator, settings: ChamNet) -> None:
        super().__init__(problem, rng)
        self.settings = settings
        self.started = 0
        self.predictor: GaussianProcess | None = None
        self.round: list[tuple[int, ...]] = []
        self.predicted: dict[tuple[int, ...], float] = {}
        self.unexplained = 1.0

    def ask(self) -> tuple[int, ...] | None:
        """Random at first, then the architectures of a round, one after the other."""
        if self.started < self.settings.initial or self.predictor is None:
            self.started += 1
            return self.archive.fresh(self.rng)
        if not self.round:
            self.round = self._selected(self.predictor)
        return self.round.pop(0) if self.round else self.archive.fresh(self.rng)

    def tell(self, trial: Trial) -> None:
        """Learn a score; the predictor's parameters wait for the end of the round."""
        super().tell(trial)
        trials = self.archive.trials
        if len(trials) < 2:
            return
        points = self._points(np.array([t.indices for t in trials]))
        known = {"log_parameters": self.predictor.log_parameters} if self.predictor else {}
        self.predictor = GaussianProcess(points, np.array([t.quality for t in trials]), **known)

    def best(self) -> Trial | None:
        """The scored feasible network of the highest predicted accuracy."""
        rows = self.archive.scored()
        if self.predictor is None or not len(rows):
            return super().best()
        mean, _ = self.predictor.predict(self._points(rows))
        return self.archive.problem.described(
            as_tuple(rows[mean.argmax()]), float(np.clip(mean.max(), 0.0, 1.0))
        )

    def state(self) -> Mapping[str, float]:
        """How far the predictor was off when it last was trained, as a share of the scores' variance."""
        return {"unexplained": self.unexplained}

    def report(self) -> Mapping[str, Any]:
        """The parameters of the predictor at the end."""
        return {"model": self.predictor.parameters} if self.predictor else {}

    def _selected(self, predictor: GaussianProcess) -> list[tuple[int, ...]]:
        """Train the predictor anew, and claim the samples of a round; none where none are left."""
        settings, problem = self.settings, self.archive.problem
        self._judge()
        self.predictor = predictor = predictor.fitted()
        explore = 0 if self.unexplained <= settings.tolerance else settings.explore
        pool = self.archive.feasible.sample(POOL, self.rng)
        _, deviation = predictor.predict(self._points(pool))
        unsure = self._claimed(pool[np.argsort(-deviation, kind="stable")], explore)
        founders = np.concatenate([self.archive.scored(), pool])
        fittest = evolved(problem, founders, lambda rows: predictor.predict(self._points(rows))[0], self.rng)
        found = unsure + self._claimed(fittest, settings.explore + settings.exploit - len(unsure))
        if found:
            mean, _ = predictor.predict(self._points(np.array(found)))
            self.predicted = dict(zip(found, mean.tolist(), strict=True))
        return found

    def _judge(self) -> None:
        """Compare what was predicted of the last round with its scores."""
        scores = {indices: self.archive.score(indices) for indices in self.predicted}
        errors = [score - self.predicted[indices] for indices, score in scores.items() if score is not None]
        spread = float(np.var([t.quality for t in self.archive.trials]))
        if errors and spread > 0:
            self.unexplained = float(np.square(errors).mean()) / spread

    def _claimed(self, rows: IntArray, count: int) -> list[tuple[int, ...]]:
        """The first new ones."""
        found: list[tuple[int, ...]] = []
        for indices in map(as_tuple, rows):
            if len(found) < count and self.archive.claim(indices):
                found.append(indices)
        return found

    @cached_property
    def _points(self) -> Standardiser:
        """Turns indices into what the predictor reads."""
        reference = self.archive.feasible.sample(POOL, self.rng)
        return Standardiser(Features(self.archive.problem.blocks), reference)


def evolved(
    problem: Problem, founders: IntArray, fitness: Callable[[IntArray], FloatArray], rng: np.random.Generator
) -> IntArray:
    """What is left after some generations, the fittest first, shape (n, choices); all keep the budgets.

    Args:
        problem: The budgets.
        founders: Feasible architectures, shape (n, choices).
        fitness: Of architectures, shape (n,).
        rng: All randomness.
    """
    population = np.unique(founders, axis=0)
    for generation in range(GENERATIONS + 1):
        if generation:
            born = _children(problem, population, rng)
            population = np.unique(np.concatenate([population, born]), axis=0)
        population = population[np.argsort(-fitness(population), kind="stable")[:POPULATION]]
    return population


def _children(problem: Problem, parents: IntArray, rng: np.random.Generator) -> IntArray:
    """Of random couples: each choice from either, one changed, a second one where that breaks a budget."""
    mothers, fathers = parents[rng.integers(len(parents), size=(2, POPULATION))]
    children = np.where(rng.random(mothers.shape) < 0.5, mothers, fathers)
    sizes = np.array(problem.space.sizes)
    broken = np.arange(POPULATION)
    for _ in range(2):
        places = rng.integers(len(sizes), size=len(broken))
        children[broken, places] = rng.integers(sizes[places])
        broken = np.flatnonzero(~problem.feasible(children))
    return np.asarray(children[problem.feasible(children)])

"""BANANAS (White et al., arXiv:1910.11858): small networks predict accuracy, Thompson sampling chooses.

The best architectures so far are mutated. Of each mutation an accuracy is drawn, from a normal distribution
with the mean and the deviation of what an ensemble of networks predicts (independent Thompson sampling); the
highest are asked for next, and then the networks are trained anew.

What is not as in the paper: it describes a cell by the paths through it, but one choice after the other makes
a chain, with one path, the whole network. Here the networks read which candidate stands where, and what the
architecture is like as a whole (``Features``), which different ones can have in common as they have paths
there. They are trained by the mean absolute error, as in the authors' later code: the percentage error of the
paper needs the least error that can be reached, which a new task does not tell. And mutations keep the
budgets: where one change breaks a budget, a second one at random may pay for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import ClassVar

import numpy as np

from hwnas.latency.base import FloatArray, IntArray
from hwnas.search.problem import Problem
from hwnas.search.sampling.features import Features
from hwnas.search.sampling.gp import Standardiser
from hwnas.search.sampling.loop import Sampler, SamplingStrategy, require
from hwnas.search.sampling.neighbours import around, as_tuple

LAYERS, WIDTH = 10, 20
"""Hidden layers of a network, and units of each; these and what follows as in the paper or its code."""

EPOCHS, BATCH, RATE = 150, 32, 0.01
"""How a network is trained: passes over the scores, scores a step, Adam's learning rate."""

DECAYS = (0.9, 0.99)
"""Of Adam's averages, of gradients and of their squares."""

CANDIDATES = 100
"""Mutations that are looked at."""

REFERENCE = 1000
"""Feasible architectures that features are standardised on."""


@dataclass(frozen=True, kw_only=True)
class Bananas(SamplingStrategy):
    """Search by an ensemble of neural predictors.

    Attributes:
        initial: Random architectures to begin with.
        batch: Architectures that are asked for before the networks are trained anew. The paper's 10 are
            trained in parallel, of 150 in all; with 5 they learn about as often in a hundred queries.
        ensemble: Networks that predict.
    """

    name: ClassVar[str] = "bananas"
    is_anytime: ClassVar[bool] = True

    initial: int = 10
    batch: int = 5
    ensemble: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.initial >= 2, f"initial must be at least 2, but got {self.initial}")
        require(self.batch >= 1, f"batch must be at least 1, but got {self.batch}")
        require(self.ensemble >= 2, f"ensemble must be at least 2, but got {self.ensemble}")

    def sampler(self, problem: Problem, rng: np.random.Generator) -> Sampler:
        """Networks that have seen nothing."""
        return _Learner(problem, rng, self)


class _Learner(Sampler):
    def __init__(self, problem: Problem, rng: np.random.Generator, settings: Bananas) -> None:
        super().__init__(problem, rng)
        self.settings = settings
        self.started = 0
        self.chosen: list[tuple[int, ...]] = []

    def ask(self) -> tuple[int, ...] | None:
        """Random at first, then what was chosen by the ensemble."""
        if self.started < self.settings.initial or len(self.archive.trials) < 2:
            self.started += 1
            return self.archive.fresh(self.rng)
        if not self.chosen:
            self.chosen = self._choose()
        return self.chosen.pop(0) if self.chosen else self.archive.fresh(self.rng)

    def _choose(self) -> list[tuple[int, ...]]:
        """Claim a batch of mutations, the most promising first; none where all mutations are known."""
        candidates = self._candidates()
        if not len(candidates):
            return []
        drawn = thompson(self._ensemble().predict(self._encoded(candidates)), self.rng)
        found: list[tuple[int, ...]] = []
        for indices in map(as_tuple, candidates[np.argsort(-drawn)]):
            if len(found) < self.settings.batch and self.archive.claim(indices):
                found.append(indices)
        return found

    def _candidates(self) -> IntArray:
        """New mutations of the best; of the next best as well, as long as those are too few."""
        scored = self.archive.scored()
        scores = [self.archive.score(as_tuple(row)) or 0.0 for row in scored]
        found = scored[:0]
        for number in np.argsort(-np.array(scores), kind="stable"):
            if len(found) >= CANDIDATES:
                break
            near = around(self.archive.problem, scored[number : number + 1], self.rng)
            near = self.rng.permutation(self.archive.new(np.unique(near, axis=0)))
            found = np.concatenate([found, near])
        return found[:CANDIDATES]

    def _ensemble(self) -> Ensemble:
        """Trained on all scores."""
        trials = self.archive.trials
        points = self._encoded(np.array([t.indices for t in trials]))
        ensemble = Ensemble(points.shape[1], self.settings.ensemble, self.rng)
        ensemble.fit(points, np.array([t.quality for t in trials]), self.rng)
        return ensemble

    def _encoded(self, indices: IntArray) -> FloatArray:
        """What a network reads: zeros and ones, and features of mean 0 and deviation 1."""
        points = self._points(indices)
        hot = points.one_hot * np.sqrt(indices.shape[1])
        return np.concatenate([hot, points.physical * np.sqrt(points.physical.shape[1])], axis=1)

    @cached_property
    def _points(self) -> Standardiser:
        reference = self.archive.feasible.sample(REFERENCE, self.rng)
        return Standardiser(Features(self.archive.problem.blocks), reference)


def thompson(predictions: FloatArray, rng: np.random.Generator) -> FloatArray:
    """One draw of each score, independent of the others: (members, n) to (n,)."""
    return np.asarray(rng.normal(predictions.mean(axis=0), predictions.std(axis=0)))


class Ensemble:
    """Feed-forward networks with one output, trained side by side by the mean absolute error.

    They differ in their first weights and in the order in which they see the scores. A layer of all of them
    is one product of batches: in numpy, that is several times faster for nets this small than torch.

    Args:
        inputs: Numbers that describe an architecture.
        members: How many networks.
        rng: For the first weights (uniform, Glorot).
    """

    def __init__(self, inputs: int, members: int, rng: np.random.Generator) -> None:
        shapes = [(members, *pair) for pair in pairwise((inputs, *[WIDTH] * LAYERS, 1))]
        self.members = members
        self.weights = [rng.uniform(-1.0, 1.0, shape) * np.sqrt(6 / sum(shape[1:])) for shape in shapes]
        self.biases = [np.zeros((members, 1, shape[2])) for shape in shapes]
        self.mean, self.deviation = 0.0, 1.0

    def fit(self, points: FloatArray, scores: FloatArray, rng: np.random.Generator) -> None:
        """Learn scores, shape (n,), of points, shape (n, inputs)."""
        self.mean, self.deviation = float(scores.mean()), float(scores.std()) or 1.0
        targets, adam = (scores - self.mean) / self.deviation, _Adam([*self.weights, *self.biases])
        for _ in range(EPOCHS):
            order = rng.permuted(np.tile(np.arange(len(scores)), (self.members, 1)), axis=1)
            for start in range(0, len(scores), BATCH):
                seen = order[:, start : start + BATCH]
                adam.step(self.gradient(points[seen], targets[seen]))

    def predict(self, points: FloatArray) -> FloatArray:
        """What each member says: (n, inputs) to (members, n)."""
        outputs = self._forward(np.broadcast_to(points, (self.members, *points.shape)))[-1]
        return np.asarray(self.mean + self.deviation * outputs[..., 0])

    def gradient(self, points: FloatArray, targets: FloatArray) -> list[FloatArray]:
        """Of each member's mean absolute error, for all weights, then all biases.

        Args:
            points: Shape (members, n, inputs).
            targets: Shape (members, n), of mean 0 and deviation 1.
        """
        *inputs, outputs = self._forward(points)
        slope = np.sign(outputs - targets[..., None]) / targets.shape[1]
        weights, biases = [], []
        for layer, entering in reversed(list(zip(self.weights, inputs, strict=True))):
            weights.append(entering.swapaxes(1, 2) @ slope)
            biases.append(slope.sum(axis=1, keepdims=True))
            slope = (slope @ layer.swapaxes(1, 2)) * (entering > 0)  # of the rectifier before it
        return [*weights[::-1], *biases[::-1]]

    def _forward(self, points: FloatArray) -> list[FloatArray]:
        """What enters each layer, then the outputs, shape (members, n, 1)."""
        entering = [points]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            entering.append(np.maximum(entering[-1] @ weight + bias, 0.0))
        return [*entering, entering[-1] @ self.weights[-1] + self.biases[-1]]


class _Adam:
    """Moves parameters in place (arXiv:1412.6980)."""

    def __init__(self, parameters: list[FloatArray]) -> None:
        self.parameters, self.steps = parameters, 0
        self.first = [np.zeros_like(p) for p in parameters]
        self.second = [np.zeros_like(p) for p in parameters]

    def step(self, gradients: list[FloatArray]) -> None:
        self.steps += 1
        rate = RATE * np.sqrt(1 - DECAYS[1] ** self.steps) / (1 - DECAYS[0] ** self.steps)
        for value, first, second, gradient in zip(
            self.parameters, self.first, self.second, gradients, strict=True
        ):
            first += (1 - DECAYS[0]) * (gradient - first)
            second += (1 - DECAYS[1]) * (gradient**2 - second)
            value -= rate * first / (np.sqrt(second) + 1e-7)

"""A tabular benchmark in place of training: what somebody found by training every network of a space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hwnas.errors import DataError
from hwnas.evaluators.base import Traits
from hwnas.latency.base import FloatArray, IntArray
from hwnas.space import Architecture, SearchSpace
from hwnas.spaces.canonical import Canonical


@dataclass(frozen=True)
class Benchmark:
    """Accuracies of every network of a space, each trained several times.

    Attributes:
        space: The space.
        runs: Accuracies in [0, 1] of the trainings of each network, by canonical indices.
    """

    space: SearchSpace
    runs: Mapping[tuple[int, ...], FloatArray]

    @property
    def networks(self) -> IntArray:
        """Canonical indices of the distinct networks, shape (networks, choices)."""
        return np.array(list(self.runs), dtype=np.int64)

    def accuracy(self, indices: tuple[int, ...]) -> float:
        """Mean accuracy of all trainings of a network; raises DataError where it is unknown."""
        return float(self.runs_of(indices).mean())

    def oracle(self, feasible: Callable[[IntArray], np.ndarray]) -> float:
        """The highest mean accuracy of what is feasible.

        Args:
            feasible: Which networks are: indices (n, choices) to (n,) of bool.
        """
        means = np.array([runs.mean() for runs in self.runs.values()])
        return float(means[feasible(self.networks)].max())

    def evaluator(self, rng: np.random.Generator) -> Tabular:
        """Answers each query with the accuracy of one random training, drawn anew every time."""
        return Tabular(self, rng)

    @property
    def noise(self) -> float:
        """Standard deviation of the trainings of one network, pooled over all networks."""
        several = [runs for runs in self.runs.values() if len(runs) > 1]
        return float(np.sqrt(np.mean([runs.var(ddof=1) for runs in several]))) if several else 0.0

    def runs_of(self, indices: tuple[int, ...]) -> FloatArray:
        """Accuracies of all trainings of a network; raises DataError where it is unknown."""
        key = Canonical(self.space).key(indices)
        if key not in self.runs:
            raise DataError(f"a network must be in the benchmark, but {list(indices)} is not")
        return self.runs[key]


@dataclass(frozen=True)
class Tabular:
    """Evaluates by a benchmark: one random training of a network, drawn anew every time.

    Attributes:
        benchmark: What is known.
        rng: Draws trainings. It is not sendable: every process would draw the same.
    """

    benchmark: Benchmark
    rng: np.random.Generator

    def __call__(self, arch: Architecture) -> float:
        """Accuracy of a training; raises DataError where the network is unknown."""
        runs = self.benchmark.runs_of(arch.indices)
        return float(runs[self.rng.integers(len(runs))])

    @property
    def traits(self) -> Traits:
        """Noisy: trainings of one network differ. Of networks that were trained to their end."""
        return Traits("trained to its end, from a table", noise=self.benchmark.noise)

    def identity(self) -> None:
        """Nothing: what the history of a search on a benchmark has always said."""
        return

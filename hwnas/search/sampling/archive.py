"""What a sampling search has asked and learned, each distinct network once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from hwnas.latency.base import IntArray
from hwnas.runs.trial import Trial
from hwnas.search.feasible import FeasibleSampler
from hwnas.search.problem import Problem
from hwnas.spaces.canonical import Canonical

MEASUREMENTS = 3
"""A leader that was scored so often is believed."""

AT_ONCE, DRAWS = 64, 1000
"""Random architectures drawn at once, and tried before the space counts as used up."""


@dataclass
class _Network:
    """The trials of one network."""

    trials: list[Trial]
    feasible: bool
    mean: float = 0.0

    def add(self, trial: Trial) -> None:
        self.trials.append(trial)
        self.mean = fmean(t.quality for t in self.trials)


class Archive:
    """The networks that were claimed for scoring, and their scores.

    Attributes:
        problem: What is searched.
        canonical: Tells which indices describe the same network.
        feasible: Draws architectures that keep every budget.
        trials: What was told, in order.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.canonical = Canonical(problem.blocks)
        self.feasible = FeasibleSampler(problem)
        self.trials: list[Trial] = []
        self._claimed: set[tuple[int, ...]] = set()
        self._networks: dict[tuple[int, ...], _Network] = {}
        self._drawn: list[tuple[int, ...]] = []

    def claim(self, indices: tuple[int, ...]) -> bool:
        """Whether this network is new; from now on it is not."""
        key = self.canonical.key(indices)
        new = key not in self._claimed
        self._claimed.add(key)
        return new

    def is_new(self, indices: IntArray) -> np.ndarray:
        """Whether the network of each row was not claimed: (n, choices) to (n,) of bool."""
        keys = map(tuple, self.canonical(indices).tolist())
        return np.array([key not in self._claimed for key in keys], dtype=bool)

    def new(self, indices: IntArray) -> IntArray:
        """Those rows whose network was not claimed: (n, choices) to (m, choices)."""
        return np.asarray(indices[self.is_new(indices)])

    def fresh(self, rng: np.random.Generator) -> tuple[int, ...] | None:
        """Claim a random new feasible architecture; None where there seems to be none left."""
        for _ in range(DRAWS):
            if not self._drawn:
                self._drawn = [tuple(row) for row in self.feasible.sample(AT_ONCE, rng).tolist()]
            indices = self._drawn.pop()
            if self.claim(indices):
                return indices
        return None

    def add(self, trial: Trial) -> None:
        """Keep a score; several of one network are averaged."""
        self.trials.append(trial)
        key = self.canonical.key(trial.indices)
        if key not in self._networks:
            feasible = bool(self.problem.feasible(np.array([trial.indices]))[0])
            self._networks[key] = _Network([], feasible)
        self._networks[key].add(trial)

    def score(self, indices: tuple[int, ...]) -> float | None:
        """Mean score of a network; None where it has none."""
        network = self._networks.get(self.canonical.key(indices))
        return network.mean if network else None

    def scored(self) -> IntArray:
        """The feasible networks that have a score, as they were asked for, shape (n, choices)."""
        rows = [n.trials[0].indices for n in self._networks.values() if n.feasible]
        return np.array(rows, dtype=np.int64).reshape(len(rows), len(self.problem.space.sizes))

    def best(self) -> Trial | None:
        """The feasible network of the highest mean score.

        A single score is a lucky draw at the top: where some networks were scored more than
        once, the best of those.
        """
        found = [n for n in self._networks.values() if n.feasible]
        confirmed = [n for n in found if len(n.trials) > 1]
        if not found:
            return None
        best = max(confirmed or found, key=lambda n: n.mean)
        return replace(best.trials[0], quality=best.mean)

    def doubtful(self) -> tuple[int, ...] | None:
        """The leader that should be scored again; None where all are believed."""
        open_ = [n for n in self._networks.values() if n.feasible and len(n.trials) < MEASUREMENTS]
        return max(open_, key=lambda n: n.mean).trials[0].indices if open_ else None

"""What a sampling search has asked and learned, each distinct network once."""

from __future__ import annotations

from statistics import fmean

import numpy as np

from hwnas.latency.base import IntArray
from hwnas.search.base import SearchTask, Trial
from hwnas.search.canonical import Canonical
from hwnas.search.feasible import FeasibleSampler

MEASUREMENTS = 3
"""A leader that was scored so often is believed."""

DRAWS, BATCHES = 64, 20
"""Random architectures that are tried before the space counts as used up."""


class Archive:
    """The networks that were claimed for scoring, and their scores.

    Attributes:
        task: What is searched.
        canonical: Tells which indices describe the same network.
        feasible: Draws architectures that keep every budget.
        trials: What was told, in order.
    """

    def __init__(self, task: SearchTask) -> None:
        self.task = task
        self.canonical = Canonical(task.space)
        self.feasible = FeasibleSampler(task)
        self.trials: list[Trial] = []
        self._claimed: set[tuple[int, ...]] = set()
        self._told: dict[tuple[int, ...], list[Trial]] = {}

    def claim(self, indices: tuple[int, ...]) -> bool:
        """Whether this network is new; from now on it is not."""
        key = self.canonical.key(indices)
        new = key not in self._claimed
        self._claimed.add(key)
        return new

    def new(self, indices: IntArray) -> IntArray:
        """Those rows whose network was not claimed: (n, choices) to (m, choices)."""
        keys = map(tuple, self.canonical(indices).tolist())
        return indices[[key not in self._claimed for key in keys]]

    def fresh(self, rng: np.random.Generator) -> tuple[int, ...] | None:
        """Claim a random new feasible architecture; None where there seems to be none left."""
        for _ in range(BATCHES):
            for row in self.feasible.sample(DRAWS, rng):
                indices = tuple(int(i) for i in row)
                if self.claim(indices):
                    return indices
        return None

    def add(self, trial: Trial) -> None:
        """Keep a score; several of one network are averaged."""
        self.trials.append(trial)
        self._told.setdefault(self.canonical.key(trial.indices), []).append(trial)

    def score(self, indices: tuple[int, ...]) -> float | None:
        """Mean score of a network; None where it has none."""
        told = self._told.get(self.canonical.key(indices))
        return fmean(t.accuracy for t in told) if told else None

    def best(self) -> Trial | None:
        """The feasible network of the highest mean score.

        A single score is a lucky draw at the top: where some networks were scored more than
        once, the best of those.
        """
        leaders = self._leaders()
        confirmed = [trials for trials in leaders if len(trials) > 1]
        return _mean(confirmed[0] if confirmed else leaders[0]) if leaders else None

    def doubtful(self) -> tuple[int, ...] | None:
        """The leader that should be scored again; None where all are believed."""
        for trials in self._leaders():
            if len(trials) < MEASUREMENTS:
                return trials[0].indices
        return None

    def _leaders(self) -> list[list[Trial]]:
        """Trials of each feasible network, the highest mean first."""
        limits = [c.limit_ms for c in self.task.constraints]
        found = [
            trials
            for trials in self._told.values()
            if all(ms <= limit for ms, limit in zip(trials[0].latencies_ms, limits, strict=True))
        ]
        return sorted(found, key=lambda trials: -fmean(t.accuracy for t in trials))


def _mean(trials: list[Trial]) -> Trial:
    return Trial(trials[0].indices, fmean(t.accuracy for t in trials), trials[0].latencies_ms)

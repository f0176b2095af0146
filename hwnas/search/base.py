"""What every strategy shares: what it is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, ClassVar, Protocol

import numpy as np

from hwnas.errors import SpaceError
from hwnas.evaluators.base import (
    Evaluator,
    block_errors,
    fidelities,
    shared_weights,
)
from hwnas.runs.trial import Trial
from hwnas.search.problem import Problem
from hwnas.search.session import Session
from hwnas.space import Architecture
from hwnas.spaces.canonical import Canonical
from hwnas.statistics.metric import ACCURACY


@dataclass(frozen=True)
class Needs:
    """What a strategy needs of an evaluator beside its scores.

    Attributes:
        shared_weights: A supernet, which the strategy trains itself.
        fidelities: Scores of networks that were trained for less.
        block_errors: An error of every candidate in its place, whose sum says what a network loses.
    """

    shared_weights: bool = False
    fidelities: bool = False
    block_errors: bool = False

    def require(self, evaluator: Evaluator) -> None:
        """Refuse an evaluator that does not offer it.

        Raises:
            SpaceError: There is no supernet, no training can be cut short, or blocks have no errors.
        """
        if self.shared_weights:
            shared_weights(evaluator)
        if self.fidelities:
            fidelities(evaluator)
        if self.block_errors:
            block_errors(evaluator)


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        strategy: Name of the strategy.
        best: The architecture to use; keeps every budget.
        quality: The score that ``best`` was chosen by (an estimate, not what it does on the test split).
        trials: Everything that was scored, in order.
        config: Settings and seed: what it takes to repeat the search.
        trace: The course of the search, one mapping a step, for plots and logs.
        extra: What only this strategy has to say.
        score: What scores are called in records.
    """

    strategy: str
    best: Architecture
    quality: float
    trials: tuple[Trial, ...]
    config: Mapping[str, Any]
    trace: tuple[Mapping[str, Any], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    score: str = ACCURACY.score_key

    def pareto(self) -> tuple[Trial, ...]:
        """Scored networks that no other beats in everything: quality, latencies, objectives.

        A network that was scored several times counts once, by its mean: the luckiest score of
        a leader is not a point of the front. The fastest one comes first.
        """
        networks: dict[tuple[int, ...], list[Trial]] = {}
        canonical = Canonical(self.best.space)
        for trial in self.trials:
            if trial.share < 1:
                continue  # of a training that was cut short
            networks.setdefault(canonical.key(trial.indices), []).append(trial)
        means = [replace(ts[0], quality=fmean(t.quality for t in ts)) for ts in networks.values()]
        means.sort(key=lambda t: (t.costs, t.objectives, -t.quality))
        front: list[Trial] = []
        values = np.array([(*t.costs, *t.objectives, -t.quality) for t in means])
        kept = np.empty_like(values)
        for trial, own in zip(means, values, strict=True):  # what beats one stands before it: they are sorted
            if not (kept[: len(front)] <= own).all(axis=1).any():
                kept[len(front)] = own
                front.append(trial)
        return tuple(front)


class Strategy(Protocol):
    """A way to search: its settings, and nothing of a run."""

    name: ClassVar[str]
    needs: ClassVar[Needs]

    def search(
        self, problem: Problem, evaluator: Evaluator, rng: np.random.Generator, session: Session
    ) -> SearchResult:
        """Find the best architecture that keeps every budget of the problem.

        Args:
            problem: What is searched.
            evaluator: Scores architectures.
            rng: All randomness.
            session: What the search may use while it runs.

        Raises:
            InfeasibleBudget: No architecture keeps them all.
            SpaceError: The evaluator is not what the strategy needs.
        """


def scored(problem: Problem, arch: Architecture, quality: float, share: float = 1.0) -> Trial:
    """The trial of an architecture that an evaluator scored after a share of a training.

    Raises:
        SpaceError: The score is not in [0, 1].
    """
    quality = float(quality)
    if not 0 <= quality <= 1:
        raise SpaceError(f"a score must be in [0, 1], but got {quality}: divide percents by 100")
    found = problem.described(arch.indices, quality)
    return found if share == 1 else replace(found, share=share)

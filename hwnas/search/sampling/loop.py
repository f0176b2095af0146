"""Sampling: ask for an architecture, score it, tell; bounded, logged and resumable.

A *sampler* is what differs between strategies. The search scores what it asks for, at most
``queries`` times (``course``), writes each score to the history at once, and can be started again
from there: the sampler is a function of its random numbers and of what it is told, so recorded
answers bring it back to where it was.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hwnas.errors import NothingFeasible, SpaceError
from hwnas.evaluators.base import Evaluator
from hwnas.evaluators.scoring import Scoring
from hwnas.pools import opened
from hwnas.runs.trial import Trial
from hwnas.search.base import Needs, SearchResult
from hwnas.search.history import History
from hwnas.search.problem import Problem
from hwnas.search.sampling.archive import Archive
from hwnas.search.sampling.course import SamplingCourse
from hwnas.search.session import Session
from hwnas.search.settings import SamplingSettings
from hwnas.statistics.metric import ACCURACY


class Sampler(ABC):
    """Says which architecture to score next, and learns from the scores.

    Attributes:
        archive: What was asked and told.
        rng: The only source of randomness.
        score: What scores are called in records.
    """

    score = ACCURACY.score_key

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self.archive = Archive(problem)
        self.rng = rng

    @abstractmethod
    def ask(self) -> tuple[int, ...] | None:
        """An architecture whose network was not asked before; None where there is none.

        Where scores of earlier ones are still to come, this is called once more when one is told.

        One that is trained for longer than before may be asked for once more; ``share`` says how long.
        """

    def ask_again(self) -> tuple[int, ...] | None:
        """One of the best so far, to be scored once more; None where that would not help."""
        return self.archive.doubtful()

    def share(self, indices: tuple[int, ...]) -> float:
        """What part of a training an architecture is scored after that was asked for."""
        return 1.0

    def tell(self, trial: Trial) -> None:
        """Learn the score of an architecture."""
        self.archive.add(trial)

    def best(self) -> Trial | None:
        """The architecture to use, with its estimated quality; keeps every budget."""
        return self.archive.best()

    def state(self) -> Mapping[str, float]:
        """What to show and keep beside each score."""
        return {}

    def report(self) -> Mapping[str, Any]:
        """What only this strategy has to say at the end."""
        return {}


@dataclass(frozen=True, kw_only=True)
class SamplingStrategy(SamplingSettings, ABC):
    """What all sampling strategies share.

    A class that says ``is_anytime`` promises that a search of fewer queries is the beginning of one of
    more, as nothing in its course depends on how many there are. A schedule over the queries breaks that.
    """

    name: ClassVar[str]
    needs: ClassVar[Needs] = Needs()
    is_anytime: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(self.queries >= 1, f"queries must be at least 1, but got {self.queries}")
        require(0.0 <= self.remeasure < 1.0, f"remeasure must be in [0, 1), but got {self.remeasure}")
        require(self.parallel >= 1, f"parallel must be at least 1, but got {self.parallel}")

    @property
    def explored(self) -> int:
        """Queries that ask for new networks; the rest scores the leaders again."""
        return max(1, self.queries - round(self.remeasure * self.queries))

    @abstractmethod
    def sampler(self, problem: Problem, rng: np.random.Generator) -> Sampler:
        """A sampler that has not been told anything."""

    def begin(self, problem: Problem, evaluator: Evaluator, rng: np.random.Generator) -> Sampler:
        """The sampler of a search; for strategies that ask the evaluator for more than scores."""
        return self.sampler(problem, rng)

    def settings(self) -> dict[str, Any]:
        """What determines the course of the search, the random numbers aside; plain JSON."""
        names = [f.name for f in dataclasses.fields(self) if f.name != "queries"]
        return {name: getattr(self, name) for name in names}

    def search(
        self, problem: Problem, evaluator: Evaluator, rng: np.random.Generator, session: Session
    ) -> SearchResult:
        """Find the best architecture that keeps every budget of the problem.

        Raises:
            InfeasibleBudget: No architecture keeps them all.
            NothingFeasible: None that was scored does.
            SchemaMismatch: The history is of another search.
            SpaceError: A score is not in [0, 1], or the evaluator is not what the strategy needs.
        """
        self.needs.require(evaluator)
        start = dict(rng.bit_generator.state)
        sampler = self.begin(problem, evaluator, rng)
        sampler.score = session.score
        _ = sampler.archive.feasible.feasible  # refuses budgets that do not go together
        history = History.open(session.history, _identity(self, problem, evaluator), session.score)
        with opened(session.workers) as pool:
            scores = Scoring(evaluator, pool)
            trace = SamplingCourse(self, problem, sampler, scores, history, session).run()
        best = sampler.best()
        if best is None:
            raise NothingFeasible(
                f"at least one scored architecture must keep the budgets, but none of "
                f"{len(sampler.archive.trials)} does: allow more queries"
            )
        return SearchResult(
            strategy=self.name,
            best=problem.blocks.architecture(best.indices),
            quality=best.quality,
            trials=tuple(sampler.archive.trials),
            config={"queries": self.queries, **self.settings(), "rng": start},
            trace=tuple(trace),
            extra=dict(sampler.report()),
            score=session.score,
        )


def require(condition: bool, message: str) -> None:
    """Raise SpaceError where a setting of a search makes no sense."""
    if not condition:
        raise SpaceError(message)


def _identity(strategy: SamplingStrategy, problem: Problem, evaluator: Evaluator) -> dict[str, Any]:
    return {
        "strategy": strategy.name,
        "settings": strategy.settings(),
        "space": problem.space.name,
        "space_fingerprint": problem.blocks.fingerprint,
        "limits_ms": {c.name: c.usable for c in problem.constraints},
        "objectives": [objective.name for objective in problem.objectives],
        "evaluate": evaluator.identity(),
    }

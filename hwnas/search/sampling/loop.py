"""The sampling loop: ask for an architecture, score it, tell; bounded, logged and resumable.

A *sampler* is what differs between strategies. The loop scores what it asks for, at most
``queries`` times, writes each score to the history at once, and can be started again from
there: the sampler is a function of its random numbers and of what it is told, so recorded
answers bring it back to where it was.
"""

from __future__ import annotations

import dataclasses
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, ClassVar

import numpy as np

from hwnas.errors import NothingFeasible, SchemaMismatch, SpaceError
from hwnas.evaluators.base import Evaluator
from hwnas.evaluators.pool import Score, scoring
from hwnas.runs.trial import Trial
from hwnas.search.base import Needs, SearchResult, scored
from hwnas.search.history import History
from hwnas.search.problem import Problem
from hwnas.search.sampling.archive import Archive
from hwnas.search.session import Session
from hwnas.search.settings import SamplingSettings
from hwnas.statistics.metric import ACCURACY

_ROUNDING = 1e-9  # queries are sums of shares of a training


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
        """An architecture whose network was not asked before; None where there is none left.

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
        with scoring(evaluator, session.workers) as score:
            trace = _run(self, problem, sampler, score, history, session)
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


def _run(
    strategy: SamplingStrategy,
    problem: Problem,
    sampler: Sampler,
    score: Score,
    history: History,
    session: Session,
) -> list[Mapping[str, Any]]:
    """Ask, score and tell until the queries are used up or nothing is left to ask."""
    explored: float = strategy.explored
    trace: list[Mapping[str, Any]] = []
    began, spent, known = time.monotonic(), 0.0, sum(trial.share for trial in history.known)
    while spent < strategy.queries - _ROUNDING:
        ask, end = (
            (sampler.ask, explored) if spent < explored - _ROUNDING else (sampler.ask_again, strategy.queries)
        )
        count = min(strategy.parallel, math.ceil(end - spent - _ROUNDING))
        asked = [(found, sampler.share(found)) for _ in range(count) if (found := ask()) is not None]
        if not asked and spent < explored and strategy.remeasure:
            explored = spent  # nothing new is left: what remains of the queries confirms the leaders
            continue
        if not asked:
            break
        for trial in _scores(problem, asked, score, history, len(trace)):
            sampler.tell(trial)
            trace.append(_entry(len(trace) + 1, sampler))
            spent += trial.share
            left = (time.monotonic() - began) / max(spent - known, trial.share) * (strategy.queries - spent)
            session.tell({**trace[-1], **_totals(strategy, problem), "eta_s": left})
    return trace


def _scores(
    problem: Problem, asked: list[tuple[tuple[int, ...], float]], score: Score, history: History, query: int
) -> Iterable[Trial]:
    """The trials of what was asked: from the history where it has them, else scored and added."""
    known = history.known[query : query + len(asked)]
    for (indices, share), trial in zip(asked, known, strict=False):
        if (trial.indices, trial.share) != (indices, share):
            raise SchemaMismatch(
                f"a history must be of the search that continues it, but {history.path} answers "
                f"{list(trial.indices)} where {list(indices)} is asked: use the same seed",
                field="indices",
            )
        yield trial
    began, number = time.monotonic(), query + len(known)
    for share, those in groupby(asked[len(known) :], key=itemgetter(1)):
        new = [problem.blocks.architecture(indices) for indices, _ in those]
        for arch, quality in zip(new, score(new, share), strict=True):
            number += 1
            trial = scored(problem, arch, quality, share)
            history.append(number, trial, time.monotonic() - began)
            began = time.monotonic()
            yield trial


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


def _entry(query: int, sampler: Sampler) -> Mapping[str, Any]:
    best = sampler.best()
    entry: dict[str, Any] = {"query": query, sampler.score: sampler.archive.trials[-1].quality}
    if best is not None:
        entry |= {
            "best": list(best.indices),
            f"best_{sampler.score}": best.quality,
            **best.shown(),
        }
    return {**entry, **sampler.state()}


def _totals(strategy: SamplingStrategy, problem: Problem) -> dict[str, Any]:
    return {"strategy": strategy.name, "queries": strategy.queries, **problem.shown()}

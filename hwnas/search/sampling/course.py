"""The course of a sampling search: who is asked for, what is in hand, and what was told.

With ``parallel = 1`` the next architecture is asked for as soon as a worker is free, and nobody waits for the
slowest. With more, so many are asked for together and told in that order: the search then is the same by any
number of workers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hwnas.errors import SchemaMismatch
from hwnas.evaluators.scoring import Scoring
from hwnas.search.base import scored
from hwnas.search.history import Ask, History, Told
from hwnas.search.problem import Problem
from hwnas.search.session import Session
from hwnas.space import Architecture

if TYPE_CHECKING:
    from hwnas.search.sampling.loop import Sampler, SamplingStrategy

_ROUNDING = 1e-9  # queries are sums of shares of a training
_NONE = Ask(0, None)


class SamplingCourse:
    """One search.

    Args:
        strategy: Its settings.
        problem: What is searched.
        sampler: Says whom to ask for.
        scoring: Gives the scores.
        history: What is known already, and where it is written down.
        session: Who is told.
    """

    def __init__(
        self,
        strategy: SamplingStrategy,
        problem: Problem,
        sampler: Sampler,
        scoring: Scoring,
        history: History,
        session: Session,
    ) -> None:
        self.strategy, self.problem, self.sampler = strategy, problem, sampler
        self.scoring, self.history, self.session = scoring, history, session
        self.explored: float = strategy.explored
        self.spent = 0.0
        self.asked = 0
        self.in_hand: dict[int, Ask] = {}
        self.trace: list[Mapping[str, Any]] = []
        self.is_written = strategy.parallel == 1 and scoring.pool.is_elsewhere
        self._written: set[int] = set()
        self._answers: dict[int, tuple[Architecture, float]] = {}
        self._began, self._last = time.monotonic(), time.monotonic()
        self._known = sum(trial.share for trial in history.known)

    def run(self) -> list[Mapping[str, Any]]:
        """Ask, score and tell until the queries are used up or nothing is left to ask; returns the trace."""
        for event in self.history.events:
            self._repeat(event)
        for ask in self.in_hand.values():
            self._submit(ask)
        self._last = time.monotonic()
        while True:
            while asks := self._due():
                self._ask(asks)
                if asks[-1].indices is None:
                    break
            if not self.in_hand:
                return self.trace
            number, arch, quality = self.scoring.next()
            self._answers[number] = arch, quality
            for ask in self._done():
                self._score(ask, *self._answers.pop(ask.number))

    def _due(self) -> list[Ask]:
        """Whom to ask for now."""
        together = self.strategy.parallel
        if together == 1:
            return self._next(self.scoring.pool.size - len(self.in_hand))
        return [] if self.in_hand else self._next(together)

    def _next(self, count: int) -> list[Ask]:
        """At most so many asks of one phase; the last one of none where the sampler had none for now."""
        found: list[Ask] = []
        is_new = self._promised() < self.explored - _ROUNDING
        end = self.explored if is_new else float(self.strategy.queries)
        while len(found) < count and self._promised() < end - _ROUNDING:
            indices = self.sampler.ask() if is_new else self.sampler.ask_again()
            if indices is None and not self.in_hand:
                if not is_new or not self.strategy.remeasure:
                    return []
                self.explored = self.spent  # nothing new is left: the rest confirms the leaders
                return self._next(count)
            self.asked += 1
            share = 1.0 if indices is None else self.sampler.share(indices)
            found.append(Ask(self.asked, indices, share))
            if indices is None:
                break
            self.in_hand[self.asked] = found[-1]
        return found

    def _promised(self) -> float:
        """Queries that are spent once all that is in hand is told."""
        return self.spent + sum(ask.share for ask in self.in_hand.values())

    def _ask(self, asks: list[Ask]) -> None:
        if self.is_written:
            self.history.asked(asks)
            self._written.update(ask.number for ask in asks)
        for ask in asks:
            self._submit(ask)

    def _submit(self, ask: Ask) -> None:
        if ask.indices is not None:
            self.scoring.submit(ask.number, self.problem.blocks.architecture(ask.indices), ask.share)

    def _done(self) -> list[Ask]:
        """What can be told now: what was asked for together in that order, else whatever has a score."""
        found = []
        for number, ask in self.in_hand.items():
            if number in self._answers:
                found.append(ask)
            elif self.strategy.parallel > 1:
                break
        return found

    def _score(self, ask: Ask, arch: Architecture, quality: float) -> None:
        """Write a score down and tell it."""
        trial = scored(self.problem, arch, quality, ask.share)
        told = Told(trial, ask.number if ask.number in self._written else None)
        now = time.monotonic()
        self.history.append(len(self.trace) + 1, told, now - self._last)
        self._last = now
        self._tell(ask, told)

    def _tell(self, ask: Ask, told: Told) -> None:
        del self.in_hand[ask.number]
        self.sampler.tell(told.trial)
        self.trace.append(_entry(len(self.trace) + 1, self.sampler))
        self.spent += told.trial.share
        rate = (time.monotonic() - self._began) / max(self.spent - self._known, told.trial.share)
        left = rate * (self.strategy.queries - self.spent)
        totals = {"strategy": self.strategy.name, "queries": self.strategy.queries, **self.problem.shown()}
        self.session.tell({**self.trace[-1], **totals, "eta_s": left})

    def _repeat(self, event: Ask | Told) -> None:
        """Do once more what the history says; raises SchemaMismatch where it came otherwise."""
        if isinstance(event, Ask):
            ask = next(iter(self._next(1)), _NONE)
            self._require(ask, event.indices, event.share)
            self._written.add(ask.number)
            return
        if event.ask is None and not self.in_hand:
            self._next(self.strategy.parallel)
        number = next(iter(self.in_hand), 0) if event.ask is None else event.ask
        ask = self.in_hand.get(number, _NONE)
        self._require(ask, event.trial.indices, event.trial.share)
        self._tell(ask, event)

    def _require(self, ask: Ask, indices: tuple[int, ...] | None, share: float) -> None:
        if (ask.indices, ask.share) != (indices, share):
            raise SchemaMismatch(
                f"a history must be of the search that continues it, but {self.history.path} has "
                f"{_listed(indices)} where {_listed(ask.indices)} is asked: use the same seed",
                field="indices",
            )


def _listed(indices: tuple[int, ...] | None) -> str:
    return "none" if indices is None else str(list(indices))


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

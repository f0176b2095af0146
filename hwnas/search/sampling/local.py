"""Local search (White et al., arXiv:2005.02960): climb from neighbour to neighbour, begin again at the top.

A climb begins at the best of a few random architectures, and looks at the neighbours of where it stands in
random order. Where no neighbour is better, it is at a local optimum, and another climb begins. "first" moves
as soon as a neighbour is better (the paper's "query until lower"), "best" looks at all of them before. A
neighbourhood has 16 networks in a small space and over a hundred in a usual one, so that with a hundred
queries "best" would hardly move: "first" is the default.

Two things are not as in the paper. A neighbour is one change away, but where that breaks a budget, a second
one at random may pay for it: a good network spends nearly all of its budget, and with single changes, which
can then only make it cheaper, any such network would be a local optimum. And a neighbour whose score is known
counts with it, without a query.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hwnas.search.problem import Problem
from hwnas.search.sampling.loop import Sampler, SamplingStrategy, require
from hwnas.search.sampling.neighbours import around, as_tuple

MOVES = ("first", "best")


@dataclass(frozen=True, kw_only=True)
class Local(SamplingStrategy):
    """Local search with restarts.

    Attributes:
        initial: Random architectures of which the best is where a climb begins. The 10 of the paper's code
            are for half as many queries again, and every climb spends them.
        move: To the "first" better neighbour, or to the "best" of all of them.
    """

    name: ClassVar[str] = "local"
    is_anytime: ClassVar[bool] = True

    initial: int = 5
    move: str = "first"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.initial >= 1, f"initial must be at least 1, but got {self.initial}")
        require(self.move in MOVES, f"move must be one of {MOVES}, but got {self.move!r}")

    def sampler(self, problem: Problem, rng: np.random.Generator) -> Sampler:
        """A climb that has not begun."""
        return _Climber(problem, rng, self)


class _Climber(Sampler):
    def __init__(self, problem: Problem, rng: np.random.Generator, settings: Local) -> None:
        super().__init__(problem, rng)
        self.settings = settings
        self.starts: list[tuple[int, ...]] = []
        self.place: tuple[int, ...] | None = None
        self.near: list[tuple[int, ...]] = []
        self.unseen: list[tuple[int, ...]] = []
        self.climbs = 0

    def ask(self) -> tuple[int, ...] | None:
        """A neighbour of where the climb stands; where there is none, a random start of the next climb."""
        self._advance()
        while self.unseen:
            indices = self.unseen.pop()
            if self.archive.claim(indices):
                return indices
        start = self.archive.fresh(self.rng)
        if start is not None:
            self.starts.append(start)
        return start

    def report(self) -> Mapping[str, Any]:
        """How many climbs there were."""
        return {"climbs": self.climbs}

    def _advance(self) -> None:
        """Begin, move or end the climb, as far as the scores that are known by now allow."""
        while self._begins() if self.place is None else self._moves(self.place):
            pass

    def _begins(self) -> bool:
        """Stand at the best start, once enough of them have a score."""
        scores = self._scores(self.starts)
        if len(scores) < self.settings.initial:
            return False
        self.starts = [start for start in self.starts if start not in scores]
        self.climbs += 1
        self._stand(max(scores, key=scores.__getitem__))
        return True

    def _moves(self, place: tuple[int, ...]) -> bool:
        """Go to the best neighbour if it is better; end the climb if all are known and none is."""
        scores = self._scores(self.near)
        best = max(scores, key=scores.__getitem__, default=place)
        is_known = len(scores) == len(self.near)
        if self._scores([best])[best] > self._scores([place])[place]:
            if is_known or self.settings.move == "first":
                self._stand(best)
                return True
        elif is_known:
            self.place = None
            return True
        return False

    def _stand(self, place: tuple[int, ...]) -> None:
        """Here, with all neighbours in random order before it."""
        rows = np.unique(around(self.archive.problem, np.array([place]), self.rng), axis=0)
        near = [as_tuple(row) for row in self.rng.permutation(rows)]
        self.place, self.near = place, [indices for indices in near if indices != place]
        self.unseen = list(self.near)

    def _scores(self, asked: list[tuple[int, ...]]) -> dict[tuple[int, ...], float]:
        """Of those that have one."""
        scores = {indices: self.archive.score(indices) for indices in asked}
        return {indices: score for indices, score in scores.items() if score is not None}

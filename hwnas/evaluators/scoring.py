"""Scores of one evaluator by the workers of a pool."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hwnas.evaluators.base import Evaluator, Movable, fidelities, require_sendable
from hwnas.pools import WorkerPool
from hwnas.space import Architecture

Function = Callable[[Architecture], Any]
Received = Callable[[Architecture, Any], float]


class Scoring:
    """An evaluator in a pool: architectures go in by a number, and scores come out as they are done.

    Args:
        evaluator: Whose scores they are.
        pool: Who works.

    Raises:
        SpaceError: The pool is of other processes, and the evaluator cannot be sent.
    """

    def __init__(self, evaluator: Evaluator, pool: WorkerPool) -> None:
        if pool.is_elsewhere:
            require_sendable(evaluator)
        self._evaluator, self.pool = evaluator, pool
        self._ways: dict[float, tuple[Function, Received]] = {}  # by share
        self._asked: dict[int, tuple[Architecture, Received]] = {}

    def submit(self, number: int, arch: Architecture, share: float = 1.0) -> None:
        """Ask for the score of an architecture after a share of a training.

        Raises:
            SpaceError: The evaluator cannot train for less.
        """
        if share not in self._ways:
            self._ways[share] = self._way(share)
        function, received = self._ways[share]
        self._asked[number] = arch, received
        self.pool.submit(number, function, arch)

    def next(self) -> tuple[int, Architecture, float]:
        """Number, architecture and score of one that is done; waits for it, as ``WorkerPool.next`` does."""
        number, answer = self.pool.next()
        arch, received = self._asked.pop(number)
        return number, arch, received(arch, answer)

    def all(self, architectures: Iterable[Architecture]) -> list[float]:
        """The scores of several, in their order."""
        asked = list(architectures)
        for number, arch in enumerate(asked):
            self.submit(number, arch)
        try:
            found = {number: score for number, _, score in (self.next() for _ in asked)}
        finally:
            self.pool.abandon()
        return [found[number] for number in range(len(asked))]

    def _way(self, share: float) -> tuple[Function, Received]:
        """What the pool is given for a share of a training, and what makes scores of its answers."""
        own = self._evaluator if share == 1 else fidelities(self._evaluator).at(share)
        if isinstance(own, Movable) and not self.pool.has_files:
            return own.moved(), own.received
        return own, lambda _, answer: float(answer)

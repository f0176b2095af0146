"""Scores of one evaluator by the workers of a pool."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hwnas.evaluators.base import Evaluator, Movable, fidelities, require_sendable
from hwnas.pools import WorkerPool
from hwnas.space import Architecture


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
        self._sent: dict[float, tuple[Evaluator, Callable[[Architecture], Any]]] = {}  # by share
        self._asked: dict[int, tuple[Architecture, float]] = {}

    def submit(self, number: int, arch: Architecture, share: float = 1.0) -> None:
        """Ask for the score of an architecture after a share of a training.

        Raises:
            SpaceError: The evaluator cannot train for less.
        """
        _, function = self._at(share)
        self._asked[number] = arch, share
        self.pool.submit(number, function, arch)

    def next(self) -> tuple[int, float]:
        """Number and score of one that is done; waits for it, as ``WorkerPool.next`` does."""
        number, answer = self.pool.next()
        arch, share = self._asked.pop(number)
        evaluator, function = self._at(share)
        if function is not evaluator and isinstance(evaluator, Movable):
            return number, evaluator.received(arch, answer)
        return number, float(answer)

    def all(self, architectures: Iterable[Architecture]) -> list[float]:
        """The scores of several, in their order."""
        asked = list(architectures)
        for number, arch in enumerate(asked):
            self.submit(number, arch)
        try:
            found = dict(self.next() for _ in asked)
        finally:
            self.pool.abandon()
        return [found[number] for number in range(len(asked))]

    def _at(self, share: float) -> tuple[Evaluator, Callable[[Architecture], Any]]:
        """The evaluator of a share, and what the pool is given of it, which is always the same."""
        if share not in self._sent:
            own = self._evaluator if share == 1 else fidelities(self._evaluator).at(share)
            is_moved = not self.pool.has_files and isinstance(own, Movable)
            self._sent[share] = own, own.moved() if is_moved and isinstance(own, Movable) else own
        return self._sent[share]

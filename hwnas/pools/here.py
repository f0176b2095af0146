"""A pool that is this very process: a task is done when its answer is asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any


class ThisProcess:
    """One worker, this process: ``base.WorkerPool``."""

    size = 1
    is_elsewhere = False
    has_files = True

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Callable[[Any], Any], Any]] = deque()

    def submit(self, number: int, function: Callable[[Any], Any], item: Any) -> None:
        """As of ``WorkerPool``."""
        self._waiting.append((number, function, item))

    def next(self) -> tuple[int, Any]:
        """Do the task that has waited longest; what it raises is raised as it is."""
        number, function, item = self._waiting.popleft()
        return number, function(item)

    def abandon(self) -> None:
        """Forget what waits."""
        self._waiting.clear()

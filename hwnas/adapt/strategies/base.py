"""What proposes widths."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from hwnas.adapt.subject import Subject
from hwnas.budget import Budget
from hwnas.latency.base import Cost
from hwnas.search.problem import Constraint, Problem

_NEAR = 0.15
"""Of a limit: what was learnt for one that is no further away serves another as well."""

Indices = tuple[int, ...]
Tell = Callable[[str], None]


class WidthStrategy(Protocol):
    """Knows a network, and what its widths cost."""

    def propose(self, limit_ms: float) -> Indices:
        """Widths that are predicted to take at most so much.

        Raises:
            InfeasibleBudget: None do.
        """


Make = Callable[[Subject, Cost, Tell], WidthStrategy]
"""A strategy for a network, the predicted cost of its widths, and who is told what is being done."""


def within(subject: Subject, costs: Cost, limit_ms: float) -> Problem:
    """To find widths that are predicted to take at most so much.

    Raises:
        InfeasibleBudget: None do.
    """
    return Problem(subject.space, (Constraint(Budget(subject.target, limit_ms), costs),))


def nearest(known_ms: Iterable[float], limit_ms: float) -> float | None:
    """The limit that what was learnt for another serves as well; None where all are too far away."""
    found = min(known_ms, key=lambda each: abs(each - limit_ms), default=None)
    return found if found is not None and abs(found - limit_ms) <= _NEAR * limit_ms else None

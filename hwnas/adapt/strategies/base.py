"""What proposes widths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from hwnas.adapt.subject import Subject
from hwnas.latency.base import Cost

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

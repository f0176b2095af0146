"""What chooses precisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from hwnas.bits.prices import Indices
from hwnas.bits.subject import BitSubject


class BitStrategy(Protocol):
    """Knows a network that loses too much in int8, and no more than is allowed in fp32."""

    def choose(self) -> Indices:
        """Precisions that lose at most what is allowed, as cheap as it finds."""


Make = Callable[[BitSubject], BitStrategy]
"""A strategy for a network."""

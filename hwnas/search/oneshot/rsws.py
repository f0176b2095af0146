"""Random search with weight sharing (arXiv:1902.07638): the control of every one-shot strategy.

The supernet learns on random paths, then random architectures within the budgets are scored by it. What a
strategy with gates finds must beat this at equal cost, or its gates have added nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hwnas.errors import SpaceError
from hwnas.search.oneshot.spos import SPOS


@dataclass(frozen=True, kw_only=True)
class RSWS(SPOS):
    """SPOS whose sampler is chance.

    Attributes:
        sampler: Always "random".
    """

    name: ClassVar[str] = "rsws"

    sampler: str = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sampler != "random":
            raise SpaceError(
                "random search with weight sharing must draw at random, but got the sampler "
                f"{self.sampler!r}: take spos"
            )

"""What a bench is asked for, and in which order its searches run."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hwnas.bench.entrants import RANDOM, Entrant
from hwnas.bench.ground import Ground, Sources
from hwnas.errors import SpaceError


@dataclass(frozen=True)
class BenchJob:
    """One search, whose course is read at one or several numbers of queries.

    Attributes:
        entrant: Name of what searches.
        budget: What networks may cost.
        seed: Of all its chance, together with entrant and budget.
        queries: Where its course is read; the largest is how many there are.
        sources: What is searched.
    """

    entrant: str
    budget: float
    seed: int
    queries: tuple[int, ...]
    sources: Sources

    def __str__(self) -> str:
        return f"{self.entrant} under {self.budget:g} with seed {self.seed}"


@dataclass(frozen=True)
class BenchAsked:
    """What is compared, and on what.

    Attributes:
        sources: Files and space.
        strategies: As they are typed; random search is added where it is not named.
        budgets: In the unit of the costs, or as "50%" of their range.
        queries: Numbers of queries that strategies are compared at.
        seeds: Searches of each strategy under each budget.
        entrants: Those strategies, the control among them.
    """

    sources: Sources
    strategies: Sequence[str]
    budgets: Sequence[str]
    queries: Sequence[int]
    seeds: int = 20
    entrants: tuple[Entrant, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = dict.fromkeys((*self.strategies, *(RANDOM,) * (RANDOM not in self.strategies)))
        object.__setattr__(self, "entrants", tuple(map(Entrant, names)))
        object.__setattr__(self, "queries", tuple(sorted(set(self.queries))))
        if not self.queries or self.queries[0] < 1:
            raise SpaceError(
                f"queries must be at least 1, but got {list(self.queries)}: name a number or more"
            )
        if self.seeds < 1:
            raise SpaceError(f"seeds must be at least 1, but got {self.seeds}: 20 tell most differences")
        if not self.budgets:
            raise SpaceError("a bench must have a budget, but got none: name one, as 50%")
        for text in self.budgets:
            read_budget(text)

    def limits(self, ground: Ground) -> tuple[tuple[str, float], ...]:
        """The budgets as they were typed and in the unit of the costs, each once."""
        found: dict[float, str] = {}
        for text in self.budgets:
            found.setdefault(ground.limit(*read_budget(text)), text.strip())
        return tuple((text, limit) for limit, text in found.items())

    def jobs(
        self, limits: Sequence[float], known: Collection[tuple[str, float, int, int]]
    ) -> Iterator[BenchJob]:
        """Searches that are missing, seed by seed, so that all strategies are interleaved.

        Args:
            limits: The budgets.
            known: Entrant, budget, seed and queries of what was found before.
        """
        for seed, limit, entrant in itertools.product(range(self.seeds), limits, self.entrants):
            left = tuple(q for q in self.queries if (entrant.name, limit, seed, q) not in known)
            for queries in [left] * bool(left) if entrant.is_anytime else [(q,) for q in left]:
                yield BenchJob(entrant.name, limit, seed, queries, self.sources)


def read_budget(text: str) -> tuple[float, bool]:
    """A number, and whether it is a share of the range in percent.

    Raises:
        SpaceError: It is none that can be a budget.
    """
    is_share = text.strip().endswith("%")
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        value = math.nan
    if not (0 < value < math.inf) or (is_share and value > 100):
        raise SpaceError(
            "a budget must be a number over 0 in the unit of the costs, or a share of their range up to "
            f'"100%", but got {text!r}: give one as 60 or 50%'
        )
    return value, is_share


def sources(file: Path, space: str | None, costs: Path | None = None, dataset: str | None = None) -> Sources:
    """Files of a bench, wherever its processes work."""
    return Sources(file.absolute(), space, None if costs is None else costs.absolute(), dataset)

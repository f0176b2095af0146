"""What a bench found, and its JSON, schema ``hwnas-bench/1``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np

from hwnas import __version__
from hwnas.bench.asked import BenchAsked
from hwnas.bench.entrants import LARGEST, RANDOM, called
from hwnas.bench.ground import Ground, identity
from hwnas.bench.record import BenchFound, Key
from hwnas.bench.statistics import Pairing, least_chance, mean_interval, pairings
from hwnas.latency.base import FloatArray
from hwnas.statistics.intervals import SIGNIFICANT

SCHEMA = "hwnas-bench/1"


@dataclass(frozen=True)
class BenchBudget:
    """A budget, and what the table has under it; accuracies in percent.

    Attributes:
        asked: As it was typed.
        limit: In the unit of the costs.
        networks: How many keep it.
        oracle: The best of them.
        worst: The worst of them, which a search that found none is given.
        largest: The one with the most multiply-adds: the control that asks nothing.
        largest_indices: Which one that is.
    """

    asked: str
    limit: float
    networks: int
    oracle: float
    worst: float
    largest: float
    largest_indices: tuple[int, ...]

    @classmethod
    def of(cls, asked: str, limit: float, on: Ground) -> BenchBudget:
        """Look it up."""
        feasible = on.problem(limit).feasible(on.networks)
        means, largest = on.accuracies[feasible], on.largest(feasible)
        return cls(
            asked,
            limit,
            len(means),
            float(means.max()),
            float(means.min()),
            float(on.accuracies[largest]),
            tuple(map(int, on.networks[largest])),
        )


@dataclass(frozen=True)
class BenchPoint:
    """What a strategy reaches under a budget after so many queries.

    Attributes:
        entrant: Its name.
        limit: The budget, in the unit of the costs.
        queries: How many.
        regret: By how many points the network that it returns is worse than the best under the budget, in the
            mean over seeds.
        interval: 95 %, over seeds.
        scored: Queries that it used, in the mean.
        distinct: Different networks among them, in the mean.
        query_ms: The search's own time a query, the median of seeds: the first in a process also loads
            libraries.
        nothing: Searches that scored no network that keeps the budget; they count as the worst that does.
    """

    entrant: str
    limit: float
    queries: int
    regret: float
    interval: tuple[float, float]
    scored: float
    distinct: float
    query_ms: float
    nothing: int


@dataclass(frozen=True)
class StrategyBench:
    """All that was found.

    Attributes:
        created: When, as ISO 8601.
        hwnas: Version that searched.
        file: Name of the table.
        identity: What it was run on.
        unit: Of costs and budgets.
        networks: In the table.
        noise: Standard deviation of the trainings of one network, in points.
        seeds: Searches of each strategy under each budget.
        queries: Numbers of queries that strategies are compared at.
        entrants: Names of the strategies, the control without queries last.
        budgets: As asked for.
        points: By budget, strategy and queries.
        pairings: Every two strategies, at the largest number of queries.
    """

    created: str
    hwnas: str
    file: str
    identity: Mapping[str, Any]
    unit: str
    networks: int
    noise: float
    seeds: int
    queries: tuple[int, ...]
    entrants: tuple[str, ...]
    budgets: tuple[BenchBudget, ...]
    points: tuple[BenchPoint, ...]
    pairings: tuple[Pairing, ...]

    def point(self, entrant: str, limit: float, queries: int) -> BenchPoint:
        """One of them."""
        asked = entrant, limit, queries
        return next(p for p in self.points if (p.entrant, p.limit, p.queries) == asked)

    def pairing(self, first: str, second: str) -> Pairing:
        """Two strategies, from the side of the first."""
        for found in self.pairings:
            if (found.first, found.second) == (first, second):
                return found
            if (found.second, found.first) == (first, second):
                return found.swapped
        raise KeyError(f"{first} and {second}")

    @property
    def ranked(self) -> tuple[str, ...]:
        """Names of the strategies, the least mean regret over budgets at the most queries first."""
        return tuple(sorted(self.entrants, key=self.mean))

    def mean(self, entrant: str) -> float:
        """Mean regret over budgets at the most queries."""
        at = [p.regret for p in self.points if p.entrant == entrant and p.queries == self.queries[-1]]
        return float(np.mean(at))

    @property
    def significant(self) -> int:
        """Pairs whose difference chance does not explain."""
        return sum(found.is_significant for found in self.pairings)

    @property
    def said(self) -> tuple[str, ...]:
        """What follows, in sentences."""
        best, *others = self.ranked
        equal = [called(name) for name in others if not self.pairing(best, name).is_significant]
        lead = f"least regret at {self.queries[-1]} queries: {called(best)}, {self.mean(best):.2f} points"
        lead += f"; not shown to be worse: {', '.join(equal)}" if equal else "; all others are worse"
        return (
            lead,
            *(self._against(control) for control in (RANDOM, LARGEST)),
            f"{self.significant} of {len(self.pairings)} pairs differ significantly (Wilcoxon's signed-rank "
            f"test over {self.seeds * len(self.budgets)} matched searches, Holm over all pairs, 5 %)",
            *self._too_few(),
            *self._without(),
        )

    def _against(self, control: str) -> str:
        """Who is not better than a control."""
        others = [name for name in self.entrants if name not in (RANDOM, LARGEST)]
        weak = [
            name
            for name in others
            if not (found := self.pairing(name, control)).is_significant or found.wins <= found.losses
        ]
        if not others:
            return f"nothing but controls was compared with {called(control)}"
        if not weak:
            return f"better than {called(control)}: every strategy"
        return f"not shown to be better than {called(control)}: {', '.join(weak)}"

    def _too_few(self) -> tuple[str, ...]:
        """Where chance could explain even a strategy that always wins."""
        searches = self.seeds * len(self.budgets)
        if least_chance(searches, len(self.pairings)) < SIGNIFICANT:
            return ()
        return (
            f"{searches} matched searches cannot show any difference among {len(self.pairings)} pairs, "
            "whoever wins: raise --seeds, which runs only those that are missing",
        )

    def _without(self) -> tuple[str, ...]:
        """Searches that found nothing, if any."""
        count = sum(point.nothing for point in self.points)
        if not count:
            return ()
        names = dict.fromkeys(point.entrant for point in self.points if point.nothing)
        return (
            f"{count} searches scored no network within their budget, and count as the worst that is: "
            f"{', '.join(names)}",
        )

    def to_json(self) -> dict[str, Any]:
        """One JSON object."""
        return {
            "schema": SCHEMA,
            **asdict(self),
            "pairings": [asdict(p) | {"is_significant": p.is_significant} for p in self.pairings],
            "said": list(self.said),
        }


def of(asked: BenchAsked, on: Ground, found: Mapping[Key, BenchFound]) -> StrategyBench:
    """What searches come to that are all there."""
    budgets = tuple(BenchBudget.of(text, limit, on) for text, limit in asked.limits(on))
    names = (*(entrant.name for entrant in asked.entrants), LARGEST)
    tables = [_Regrets(asked, on, budget, found) for budget in budgets]
    most = asked.queries[-1]
    return StrategyBench(
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
        hwnas=__version__,
        file=asked.sources.file.name,
        identity=identity(asked.sources),
        unit=on.costs.unit,
        networks=len(on.networks),
        noise=100 * on.benchmark.noise,
        seeds=asked.seeds,
        queries=tuple(asked.queries),
        entrants=names,
        budgets=budgets,
        points=tuple(table.point(name, q) for table in tables for name in names for q in asked.queries),
        pairings=pairings({name: np.concatenate([t.regrets(name, most) for t in tables]) for name in names}),
    )


@dataclass(frozen=True)
class _Regrets:
    """Of all searches under one budget."""

    asked: BenchAsked
    on: Ground
    budget: BenchBudget
    found: Mapping[Key, BenchFound]

    def searches(self, entrant: str, queries: int) -> list[BenchFound]:
        """One a seed."""
        limit = self.budget.limit
        return [self.found[entrant, limit, seed, queries] for seed in range(self.asked.seeds)]

    def regrets(self, entrant: str, queries: int) -> FloatArray:
        """In points, one a seed."""
        if entrant == LARGEST:
            return np.full(self.asked.seeds, self.budget.oracle - self.budget.largest)
        reached = [
            self.budget.worst if each.indices is None else self.on.accuracy(each.indices)
            for each in self.searches(entrant, queries)
        ]
        return self.budget.oracle - np.array(reached)

    def point(self, entrant: str, queries: int) -> BenchPoint:
        """Their mean, and what it took."""
        regrets, limit = self.regrets(entrant, queries), self.budget.limit
        mean = float(regrets.mean())
        if entrant == LARGEST:  # no chance is in it
            return BenchPoint(entrant, limit, queries, mean, (mean, mean), 0.0, 0.0, 0.0, 0)
        searches = self.searches(entrant, queries)
        return BenchPoint(
            entrant,
            limit,
            queries,
            mean,
            mean_interval(regrets, self.budget.oracle - self.budget.worst),
            float(np.mean([each.scored for each in searches])),
            float(np.mean([each.distinct for each in searches])),
            1000 * float(np.median([each.seconds / max(1, each.scored) for each in searches])),
            sum(each.indices is None for each in searches),
        )

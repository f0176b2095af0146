"""What a search strategy must keep."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from hwnas import spaces
from hwnas.budget import Budget
from hwnas.errors import InfeasibleBudget
from hwnas.evaluators.base import Evaluator, Traits
from hwnas.latency.base import Cost, FloatArray
from hwnas.search import strategy as strategy_of
from hwnas.search.base import SearchResult, Strategy
from hwnas.search.problem import Constraint, Problem, relative_budget
from hwnas.search.session import Session
from hwnas.space import Architecture, SearchSpace
from hwnas.spaces.canonical import Canonical
from hwnas.testing.claims import claim, refuses, works

_SHARE = 0.4  # of the range between the smallest and the largest network
_DRAWN = 256


@dataclass(frozen=True)
class KnownScores:
    """An evaluator that answers at once: more MACs help, less and less, some candidates more than others.

    Attributes:
        space: Where architectures are from.
    """

    space: SearchSpace

    @property
    def traits(self) -> Traits:
        """Nothing else compares to it."""
        return Traits("known")

    def identity(self) -> Mapping[str, Any] | None:
        """Nothing is known."""
        return None

    def at(self, _share: float, /) -> KnownScores:
        """Short trainings rank as long ones do."""
        return self

    def block_errors(self) -> tuple[FloatArray, ...]:
        """What each candidate gains less than the best of its choice."""
        return tuple(gain.max() - gain for gain in self._gains())

    def _gains(self) -> list[FloatArray]:
        rng = np.random.default_rng(7)
        return [np.log1p(table / 1e6) * rng.uniform(0.5, 1.5) for table in self.space.macs_table()[1]]

    def __call__(self, arch: Architecture, /) -> float:
        """A score in [0, 1], the same for indices that make the same network."""
        gains = self._gains()
        indices = Canonical(self.space).key(arch.indices)
        share = sum(gain[i] for gain, i in zip(gains, indices, strict=True)) / sum(g.max() for g in gains)
        return float(np.clip(0.95 - 0.4 * np.exp(-4 * share), 0.0, 1.0))


def check_strategy(
    strategy: Strategy, space: SearchSpace | None = None, evaluator: Callable[[], Evaluator] | None = None
) -> None:
    """Claim that a strategy keeps budgets, refuses those that nothing keeps, and depends on its seed alone.

    Args:
        strategy: With settings that let it search some seconds at most.
        space: Where it searches; "macro" by default.
        evaluator: Makes a fresh one of that space for each search; by default one whose scores are known at
            once. Strategies that train a supernet need one that has it.

    Raises:
        AssertionError: Something does not hold.
    """
    claim(hasattr(strategy, "search"), f"what is checked must be a strategy, but got {strategy!r}")
    name, space = strategy.name, space or spaces.load("macro")
    fresh = evaluator or partial(KnownScores, space)

    def searched(budgets: Sequence[Constraint]) -> SearchResult:
        problem = Problem(space, tuple(budgets))
        return strategy.search(problem, fresh(), np.random.default_rng(1), Session())

    with works(f"the strategy {name!r}"):
        claim(
            strategy_of(name) is type(strategy),
            f"a strategy must be registered by its name, but {name!r} is {strategy_of(name)}",
        )
        possible, impossible = _budgets(space)
        first, again = searched(possible[:1]), searched(possible[:1])
        _check_result(name, Problem(space, possible[:1]), first)
        _check_result(name, Problem(space, possible), searched(possible))
        claim(
            (first.best, first.trials) == (again.best, again.trials),
            f"{name}: a seed must find the same again, but finds {first.best.key()} and {again.best.key()}",
        )
        what = f"{name} under budgets that no architecture keeps together"
        refuses(InfeasibleBudget, lambda: searched(impossible), what)


def _budgets(space: SearchSpace) -> tuple[tuple[Constraint, ...], tuple[Constraint, ...]]:
    """Two that some network keeps together, and two that none does."""
    fixed, tables = space.macs_table()
    by_macs = Cost(fixed / 1e6, tuple(table / 1e6 for table in tables))
    mirrored = Cost(by_macs.fixed, tuple(max(costs) - costs for costs in by_macs.choices))
    rng = np.random.default_rng(3)
    by_chance = Cost(1.0, tuple(rng.uniform(0.2, 2.0, size) for size in space.sizes))
    drawn = np.array([space.sample(rng).indices for _ in range(_DRAWN)])
    costs = {"by MACs": by_macs, "by chance": by_chance}
    shares = np.stack([(c.of(drawn) - c.range[0]) / np.ptp(c.range) for c in costs.values()])
    share = max(_SHARE, float(shares.max(axis=0).min()))  # so that one that was drawn keeps both
    return (
        tuple(Constraint(Budget(of, relative_budget(c, share)), c) for of, c in costs.items()),
        tuple(
            Constraint(Budget(of, relative_budget(c, 0.1)), c)
            for of, c in (("up", by_macs), ("down", mirrored))
        ),
    )


def _check_result(name: str, problem: Problem, found: SearchResult) -> None:
    claim(found.strategy == name, f"{name}: a result must name its strategy, but names {found.strategy!r}")
    is_kept = bool(problem.feasible(np.array([found.best.indices]))[0])
    claim(is_kept, f"{name}: the best must keep every budget, but {found.best.key()} does not")
    claim(0 <= found.quality <= 1, f"{name}: the score of the best must be in [0, 1], but is {found.quality}")
    claim(found.trials, f"{name}: a result must tell what was scored, but has no trials")
    for trial in found.trials:
        claim(
            len(trial.costs) == len(problem.constraints),
            f"{name}: a trial must have a cost for each budget, but has {trial.costs}",
        )
    json.dumps([found.config, found.trace, found.extra], allow_nan=False)

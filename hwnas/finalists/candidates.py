"""Which architectures may be measured next: from the search, near others, or drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from statistics import NormalDist

import numpy as np

from hwnas.annotations import require_fields
from hwnas.budget import Budget
from hwnas.errors import InfeasibleBudget, SpaceError
from hwnas.finalists.latencies import Posteriors
from hwnas.finalists.neighbours import double_changes, single_changes
from hwnas.finalists.reading import Indices
from hwnas.latency.base import IntArray
from hwnas.search.feasible import FeasibleSampler, near_budget
from hwnas.search.problem import Constraint, Problem
from hwnas.spaces.canonical import Canonical

_DRAWN_USE = 0.95  # of what is drawn close to the budget, at least
_NEAR = 0.03  # of the budget: changes that use it about as much as the one that uses it most


@dataclass(frozen=True)
class FinalistsOptions:
    """How finalists are measured and repaired.

    Attributes:
        finalists: Architectures that are measured first.
        rounds: Rounds of measuring at most, confirmations aside.
        batch: Architectures that a later round measures.
        scored: Architectures that a later round scores with the supernet, at most.
        slack: Share of what can be proven of the tightest budget that may be left unused.
        likely: Chance of keeping the budgets that an architecture must have to be measured.
        sessions: Sessions that the kept architecture is measured in.
        most_sessions: Sessions that an architecture is measured in while its interval straddles a
            budget; ``sessions`` where that is more.
        tuned_epochs: Of tuning, after which what was found is compared with the controls of a search around
            a trained network; 0 leaves it at what was found. None: as ``tuning.Tuner`` does.
    """

    finalists: int = 4
    rounds: int = 6
    batch: int = 3
    scored: int = 16
    slack: float = 0.04
    likely: float = 0.7
    sessions: int = 2
    most_sessions: int = 4
    tuned_epochs: int | None = None

    def __post_init__(self) -> None:
        require_fields(self, SpaceError)
        object.__setattr__(self, "most_sessions", max(self.sessions, self.most_sessions))
        for name in ("finalists", "rounds", "batch", "scored", "sessions", "most_sessions"):
            if getattr(self, name) < 1:
                raise SpaceError(f"{name} must be at least 1, but got {getattr(self, name)}")
        if self.tuned_epochs is not None and self.tuned_epochs < 0:
            raise SpaceError(f"tuned_epochs must not be negative, but got {self.tuned_epochs}")
        for name in ("slack", "likely"):
            if not 0 < getattr(self, name) < 1:
                raise SpaceError(f"{name} must be in (0, 1), but got {getattr(self, name)}")


@dataclass(frozen=True)
class Proposals:
    """What may be measured.

    Attributes:
        posteriors: The constraints, and what is known of latencies.
        options: Bounds.
        pool: Architectures by where they come from (None: the search, or drawn); grows.
        rng: Draws.
    """

    posteriors: Posteriors
    options: FinalistsOptions
    pool: dict[Indices, Indices | None]
    rng: np.random.Generator

    def unmeasured(self) -> list[Indices]:
        """Those of the pool that were not measured yet."""
        return [i for i in self.pool if i not in self.posteriors.readings]

    def likely(self, architectures: Sequence[Indices], chance: float, share: float) -> list[Indices]:
        """Those that take no more than a share of the budgets, with so much chance."""
        if not architectures:
            return []
        found = self.posteriors.chance(np.array(architectures), share)
        return [i for i, kept in zip(architectures, found, strict=True) if kept >= chance]

    def changed(self, bases: Sequence[Indices], chance: float, share: float) -> list[Indices]:
        """Changes of measured architectures that likely take no more than a share of the budgets.

        Half of what may be scored are single changes, those that use the budget most; the rest
        are drawn from the pairs of changes that use it about as much as any.
        """
        found: list[Indices] = []
        room = -(-self.options.scored // len(bases)) if bases else 0
        for base in bases:
            every = (single_changes(self.posteriors.space, base), double_changes(self.posteriors.space, base))
            single, double = (self._fitting(rows, chance, share) for rows in every)
            chosen = [rows[0] for rows in single[: room // 2]]
            near = [i for i, use in double if use >= double[0][1] - _NEAR]
            picks = self.rng.permutation(len(near))[: room - len(chosen)]
            chosen += [near[int(n)] for n in picks]
            found += self._fresh(chosen, base)
        return found

    def grown(self, base: Indices, share: float) -> list[Indices]:
        """What becomes of an architecture by random changes that each use more, up to a share of the budgets.

        As many as may be scored, each grown on its own: by single changes as long as one is
        likely to keep the budgets, then by pairs, of which one may give what the other takes.
        """
        used = float(self.posteriors.use(np.array([base]))[0])
        more = cache(partial(self._more, share=share))  # all walks begin alike, and many meet again
        ends = dict.fromkeys(self._walked(base, used, share, more) for _ in range(self.options.scored))
        return self._fresh([i for i in ends if i != base], base)

    def _walked(
        self,
        base: Indices,
        used: float,
        share: float,
        more: Callable[[Indices, float], Sequence[tuple[Indices, float]]],
    ) -> Indices:
        while used < share * (1 - self.options.slack):
            found = more(base, used)
            if not found:
                break
            base, used = found[int(self.rng.integers(len(found)))]
        return base

    def _more(self, base: Indices, used: float, share: float) -> list[tuple[Indices, float]]:
        for change in (single_changes, double_changes):
            found = self._fitting(change(self.posteriors.space, base), self.options.likely, share, used)
            if found:
                return found
        return []

    def _fresh(self, found: Sequence[Indices], base: Indices) -> list[Indices]:
        """Those that were not measured yet; the pool remembers where they come from."""
        fresh = [i for i in found if i not in self.posteriors.readings]
        for indices in fresh:
            self.pool.setdefault(indices, base)
        return fresh

    def _fitting(
        self, rows: IntArray, chance: float, share: float, used: float = 0.0
    ) -> list[tuple[Indices, float]]:
        """Rows that likely stay below a share and use more, with the share they use, the largest first."""
        if not len(rows):
            return []
        use = self.posteriors.use(rows)
        rows, use = rows[use > used], use[use > used]
        kept = self.posteriors.chance(rows, share) >= chance if len(rows) else np.zeros(0, bool)
        rows, use = rows[kept], use[kept]
        order = np.argsort(-use, kind="stable")
        return [(tuple(int(i) for i in rows[n]), float(use[n])) for n in order]

    def drawn(self, share: float) -> list[Indices]:
        """Architectures drawn close to a share of the budgets, as the conditioned models believe them."""
        try:
            problem = near_budget(self._problem(share), _DRAWN_USE)
            drawn = FeasibleSampler(problem).sample(4 * self.options.scored, self.rng)
        except InfeasibleBudget:
            return []
        canonical = Canonical(self.posteriors.space)
        distinct = list(dict.fromkeys(tuple(int(i) for i in row) for row in canonical(drawn)))
        fresh = [i for i in distinct if i not in self.posteriors.readings]
        if not fresh:
            return []
        order = np.argsort(-self.posteriors.chance(np.array(fresh), share), kind="stable")[
            : self.options.scored
        ]
        found = [fresh[int(n)] for n in order]
        for indices in found:
            self.pool.setdefault(indices, None)
        return found

    def _problem(self, share: float) -> Problem:
        """The search's own constraints, shifted by what measurements say of them on average."""
        some = np.array(list(self.posteriors.readings) or list(self.pool), dtype=np.int64)
        now = self.posteriors.predict(some)
        there = all(constraint.measurable for constraint in self.posteriors.constraints)
        quantile = NormalDist().inv_cdf(
            max(0.5, self.options.likely if there else self.posteriors.confidence)
        )
        shifted = []
        for constraint, found in zip(self.posteriors.constraints, now, strict=True):
            costs = constraint.model.costs(self.posteriors.space)
            factor = float(np.median(found.mean_ms / costs.of(some)))
            margin = min(0.5, quantile * float(np.median(found.std_ms / found.mean_ms)))
            limit_ms = share * constraint.budget_ms / factor * (1 - margin)
            shifted.append(Constraint(Budget(constraint.target, limit_ms), costs))
        return Problem(self.posteriors.space, (*shifted, *self.posteriors.limits))

    def fastest(self) -> Iterator[Indices]:
        """The fastest architecture of every constraint, and the one that relieves all of them most."""
        costs = [
            constraint.model.costs(self.posteriors.space).additive("the fastest network of several budgets")
            for constraint in self.posteriors.constraints
        ]
        budgets = [constraint.budget_ms for constraint in self.posteriors.constraints]
        weighed = [
            sum(c / b for c, b in zip(choice, budgets, strict=True)) for choice in zip(*costs, strict=True)
        ]
        for choices in dict.fromkeys(tuple(int(np.argmin(c)) for c in row) for row in (weighed, *costs)):
            key = Canonical(self.posteriors.space).key(choices)
            self.pool.setdefault(key, None)
            yield key

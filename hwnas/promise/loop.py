"""The bounded loop that keeps a promise: measure finalists, repair, use the slack, confirm.

Each round measures a few architectures and conditions the latency models on what came out:

* *finalists*: the best that are likely to keep the budgets;
* *repair*, while none keeps them: the best of those one or two choices away from the best ones
  that are over budget, which the conditioned models believe to be under it (cheapest in
  estimated accuracy, that is); where none is near enough, others drawn close to the budget;
* *growth*, while the best leaves too much of the budget: the same towards the budget, as long
  as the estimated accuracy does not fall;
* *confirmation*: what is chosen is measured again in a session of its own, so that it is not
  chosen for having been measured too fast;
* *last resort*: the fastest architectures, before the budgets are refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np

from hwnas.errors import InfeasibleBudget, SpaceError
from hwnas.latency.base import IntArray
from hwnas.promise.beliefs import Beliefs, Indices, Readings
from hwnas.promise.changes import changes
from hwnas.promise.judge import Judge
from hwnas.search.base import Constraint, SearchTask
from hwnas.search.canonical import Canonical
from hwnas.search.feasible import FeasibleSampler
from hwnas.search.gates import near_budget

Measure = Callable[[Sequence[Indices], int], Mapping[Indices, Readings]]
"""Measures architectures in at least so many sessions each, on the devices of all goals."""

Tell = Callable[[str], None]

_DRAWN_USE = 0.95  # of what is drawn close to the budget, at least
_NEAR = 0.03  # of the budget: changes that use it about as much as the one that uses it most


@dataclass(frozen=True)
class PromiseOptions:
    """How a promise is kept.

    Attributes:
        finalists: Architectures that are measured first.
        rounds: Rounds of measuring at most, confirmations aside.
        batch: Architectures that a later round measures.
        scored: Architectures that a later round scores with the supernet, at most.
        slack: Share of the tightest budget that may be left unused.
        likely: Chance of keeping the budgets that an architecture must have to be measured.
        sessions: Sessions that the kept architecture is measured in.
    """

    finalists: int = 4
    rounds: int = 6
    batch: int = 3
    scored: int = 16
    slack: float = 0.05
    likely: float = 0.7
    sessions: int = 2

    def __post_init__(self) -> None:
        for name in ("finalists", "rounds", "batch", "scored", "sessions"):
            if getattr(self, name) < 1:
                raise SpaceError(f"{name} must be at least 1, but got {getattr(self, name)}")
        for name in ("slack", "likely"):
            if not 0 < getattr(self, name) < 1:
                raise SpaceError(f"{name} must be in (0, 1), but got {getattr(self, name)}")


@dataclass(frozen=True)
class Step:
    """What a round did.

    Attributes:
        purpose: "finalists", "repair", "growth", "confirmation" or "last resort".
        entries: What was measured: indices, where they come from, estimates, prediction before,
            measurement, and whether the budgets are kept.
        seconds: Of scoring and of measuring.
    """

    purpose: str
    entries: tuple[Mapping[str, Any], ...]
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Settled:
    """What came of it.

    Attributes:
        best: The kept architecture.
        steps: The rounds.
    """

    best: Indices
    steps: tuple[Step, ...]


@dataclass
class Loop:
    """One promise in the making.

    Attributes:
        beliefs: The goals, and what is known of latencies.
        judge: Scores architectures.
        measure: Measures them.
        options: Bounds.
        pool: Architectures that may be measured, by where they come from (None: the search).
        rng: Draws architectures where changes do not reach.
        tell: Told what is being done.
    """

    beliefs: Beliefs
    judge: Judge
    measure: Measure
    options: PromiseOptions
    pool: dict[Indices, Indices | None]
    rng: np.random.Generator
    tell: Tell = lambda _: None
    steps: list[Step] = field(default_factory=list)

    def run(self) -> Settled:
        """Find the best architecture that keeps all budgets.

        Raises:
            InfeasibleBudget: No architecture that was measured keeps them.
        """
        began = time.monotonic()
        batch, purpose = self._finalists(), "finalists"
        there = any(goal.measurable for goal in self.beliefs.goals)
        for _ in range(self.options.rounds if there else 1):
            if not batch:
                break
            self._step(purpose, batch, began)
            best = self._confirmed()
            began = time.monotonic()
            if best is not None and self.beliefs.slack(best) <= self.options.slack:
                break
            purpose = "repair" if best is None else "growth"
            self.tell(f"{purpose}: scoring changes")
            batch = self._repairs() if best is None else self._growth(best)
        best = self._confirmed() or self._last_resort(began)
        return Settled(best, tuple(self.steps))

    def _finalists(self) -> list[Indices]:
        """The best of the search that are likely to keep the budgets, or others drawn close to them."""
        likely = self._likely(list(self.pool), self.options.likely)
        if not likely:
            likely = self._drawn()
        return self.judge.best(likely, self.options.finalists)

    def _repairs(self) -> list[Indices]:
        """Where nothing keeps the budgets: near architectures that are believed to."""
        over = sorted(self.beliefs.readings, key=self.judge.final, reverse=True)
        over = sorted(over[: self.options.finalists], key=self.beliefs.excess)[:2]
        confident = self.beliefs.confidence
        found = self._changed(over, confident, 0.0) + self._likely(self._unmeasured(), confident)
        if not found:
            found = self._drawn()
        return self.judge.best(list(dict.fromkeys(found)), self.options.batch)

    def _growth(self, best: Indices) -> list[Indices]:
        """Where the best leaves too much: near ones that use more and are believed to be as good."""
        used = float(self.beliefs.use(np.array([best]))[0])
        likely = self.options.likely
        found = self._changed([best], likely, used) + self._likely(self._unmeasured(), likely)
        least = self.judge.final(best) - self.judge.doubt(self.judge.final(best))
        chosen = self.judge.best(list(dict.fromkeys(found)), 2 * self.options.batch)
        rows = [i for i in chosen if self.judge.final(i) >= least]
        if not rows:
            return []
        uses = self.beliefs.use(np.array(rows))
        return [i for i, use in zip(rows, uses, strict=True) if use > used][: self.options.batch]

    def _last_resort(self, began: float) -> Indices:
        """The fastest architectures: kept, or the proof that the budgets cannot be."""
        fresh = [i for i in self._fastest() if i not in self.beliefs.readings]
        if fresh:
            self._step("last resort", fresh, began)
        best = self._confirmed()
        if best is None:
            raise self._refusal()
        return best

    def _confirmed(self) -> Indices | None:
        """The best that keeps the budgets, measured in as many sessions as is asked for."""
        for _ in range(len(self.beliefs.readings)):
            best = self._best()
            if best is None or self.beliefs.confirmed(best, self.options.sessions):
                return best
            self._step("confirmation", [best], time.monotonic())
        return self._best()

    def _best(self) -> Indices | None:
        """The most accurate that keeps all budgets.

        More time buys accuracy, and estimates are too noisy to be trusted with giving it away:
        of those that use the budget up, one within a standard error of the most accurate is taken.
        """
        kept = [i for i in self.beliefs.readings if self.beliefs.kept(i)]
        if not kept:
            return None
        top = max(kept, key=self.judge.final)
        least = self.judge.final(top) - self.judge.doubt(self.judge.final(top))
        used = [i for i in kept if self.judge.final(i) >= least]
        full = [i for i in used if self.beliefs.slack(i) <= self.options.slack]
        return max(full, key=self.judge.final) if full else top

    def _step(self, purpose: str, batch: Sequence[Indices], began: float) -> None:
        """Measure, and learn from it."""
        scored = time.monotonic()
        before = self.beliefs.predict(np.array(batch))
        self.tell(f"{purpose}: measuring {len(batch)}")
        sessions = self.options.sessions if purpose == "confirmation" else 1
        readings = self.measure(batch, sessions)
        self.beliefs.learn(readings)
        entries = []
        for row, indices in enumerate(batch):
            came_from = self.pool.get(indices)
            entries.append(
                {
                    "indices": list(indices),
                    "from": None if came_from is None else list(came_from),
                    "accuracy": self.judge.estimates(indices),
                    "accuracy_change": came_from and self.judge.final(indices) - self.judge.final(came_from),
                    "predicted_ms": [float(p.mean_ms[row]) for p in before],
                    "predicted_std_ms": [float(p.std_ms[row]) for p in before],
                    "measured": [None if r is None else asdict(r) for r in readings[indices]],
                    "kept": self.beliefs.kept(indices),
                }
            )
        spent = {"scoring": scored - began, "measuring": time.monotonic() - scored}
        self.steps.append(Step(purpose, tuple(entries), spent))

    def _unmeasured(self) -> list[Indices]:
        return [i for i in self.pool if i not in self.beliefs.readings]

    def _likely(self, architectures: Sequence[Indices], chance: float) -> list[Indices]:
        """Those that keep the budgets with so much chance."""
        if not architectures:
            return []
        found = self.beliefs.chance(np.array(architectures))
        return [i for i, kept in zip(architectures, found, strict=True) if kept >= chance]

    def _changed(self, bases: Sequence[Indices], chance: float, used: float) -> list[Indices]:
        """Changes of measured architectures that likely keep the budgets, and use more than ``used``.

        Half of what may be scored are single changes, those that use the budget most; the rest
        are drawn from the pairs of changes that use it about as much as any.
        """
        found: list[Indices] = []
        room = -(-self.options.scored // len(bases)) if bases else 0
        for base in bases:
            single, double = (self._fitting(rows, chance, used) for rows in changes(self.beliefs.space, base))
            chosen = [rows[0] for rows in single[: room // 2]]
            near = [i for i, use in double if use >= double[0][1] - _NEAR]
            picks = self.rng.permutation(len(near))[: room - len(chosen)]
            chosen += [near[int(n)] for n in picks]
            for indices in chosen:
                if indices not in self.beliefs.readings:
                    self.pool.setdefault(indices, base)
                    found.append(indices)
        return found

    def _fitting(self, rows: IntArray, chance: float, used: float) -> list[tuple[Indices, float]]:
        """Rows that likely keep the budgets with the share that they use, the largest first."""
        if not len(rows):
            return []
        use = self.beliefs.use(rows)
        rows, use = rows[use > used], use[use > used]
        kept = self.beliefs.chance(rows) >= chance if len(rows) else np.zeros(0, bool)
        rows, use = rows[kept], use[kept]
        order = np.argsort(-use, kind="stable")
        return [(tuple(int(i) for i in rows[n]), float(use[n])) for n in order]

    def _drawn(self) -> list[Indices]:
        """Architectures drawn close to the budgets, as the conditioned models believe them."""
        try:
            task = near_budget(self._task(), _DRAWN_USE)
            drawn = FeasibleSampler(task).sample(4 * self.options.scored, self.rng)
        except InfeasibleBudget:
            return []
        canonical = Canonical(self.beliefs.space)
        distinct = list(dict.fromkeys(tuple(int(i) for i in row) for row in canonical(drawn)))
        fresh = [i for i in distinct if i not in self.beliefs.readings]
        if not fresh:
            return []
        order = np.argsort(-self.beliefs.chance(np.array(fresh)), kind="stable")[: self.options.scored]
        found = [fresh[int(n)] for n in order]
        for indices in found:
            self.pool.setdefault(indices, None)
        return found

    def _task(self) -> SearchTask:
        """The search's own constraints, shifted by what measurements say of them on average."""
        some = np.array(list(self.beliefs.readings) or list(self.pool), dtype=np.int64)
        now = self.beliefs.predict(some)
        there = all(goal.measurable for goal in self.beliefs.goals)
        quantile = NormalDist().inv_cdf(max(0.5, self.options.likely if there else self.beliefs.confidence))
        constraints = []
        for goal, found in zip(self.beliefs.goals, now, strict=True):
            costs = goal.model.costs_ms(self.beliefs.space)
            factor = float(np.median(found.mean_ms / costs.of(some)))
            margin = min(0.5, quantile * float(np.median(found.std_ms / found.mean_ms)))
            constraints.append(Constraint(goal.name, costs, goal.budget_ms / factor * (1 - margin)))
        return SearchTask(self.beliefs.space, tuple(constraints), self._evaluate)

    def _evaluate(self, _: Any) -> float:
        raise SpaceError("a task for drawing architectures must not be asked for scores")

    def _fastest(self) -> Iterator[Indices]:
        """The fastest architecture of every goal, and the one that relieves all of them most."""
        costs = [goal.model.costs_ms(self.beliefs.space).choices_ms for goal in self.beliefs.goals]
        budgets = [goal.budget_ms for goal in self.beliefs.goals]
        weighed = [
            sum(c / b for c, b in zip(choice, budgets, strict=True)) for choice in zip(*costs, strict=True)
        ]
        for choices in dict.fromkeys(tuple(int(np.argmin(c)) for c in row) for row in (weighed, *costs)):
            key = Canonical(self.beliefs.space).key(choices)
            self.pool.setdefault(key, None)
            yield key

    def _refusal(self) -> InfeasibleBudget:
        """Which budgets cannot be kept, with the smallest that can."""
        goals, seen = self.beliefs.goals, self.beliefs.readings
        needs = {indices: self.beliefs.needs_ms(indices) for indices in seen}
        least = [min(need[number] for need in needs.values()) for number in range(len(goals))]
        alone = [n for n, goal in enumerate(goals) if least[n] > goal.budget_ms]
        if not alone:  # each can be kept, but not all of them by one architecture
            least = needs[min(seen, key=self.beliefs.excess)]
        named = [
            f"{goals[n].budget_ms:.4g} ms on {goals[n].name} ({least[n]:.4g} ms can be kept)"
            for n in alone or range(len(goals))
        ]
        worst = max(alone or range(len(goals)), key=lambda n: least[n] / goals[n].budget_ms)
        return InfeasibleBudget(
            f"budgets must be kept by an architecture that was measured, but none of {len(seen)}, the "
            f"fastest ones included, keeps {', '.join(named)}{'' if alone else ' together'}: "
            "raise the budget or shrink the space",
            budget_ms=goals[worst].budget_ms,
            fastest_ms=least[worst],
        )

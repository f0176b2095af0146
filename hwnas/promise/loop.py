"""The bounded loop that keeps a promise: measure finalists, repair, use the slack, confirm.

Each round measures a few architectures and conditions the latency models on what came out:

* *finalists*: the best that are likely to keep the budgets;
* *repair*, while none keeps them: the best of those one or two choices away from the best ones
  that are over budget, which the conditioned models believe to be under it (cheapest in
  estimated accuracy, that is); where none is near enough, others drawn close to the budget;
* *growth*, while the best leaves too much of the budget: what random changes that cost time
  make of it, until the budget is used, as long as the estimated accuracy does not clearly fall;
* *confirmation*: what is chosen is measured again in a session of its own, so that it is not
  chosen for having been measured too fast;
* *last resort*: the fastest architectures, before the budgets are refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hwnas.errors import InfeasibleBudget
from hwnas.promise.beliefs import Beliefs, Indices, Readings
from hwnas.promise.judge import Judge
from hwnas.promise.proposals import Proposals

Measure = Callable[[Sequence[Indices], int], Mapping[Indices, Readings]]
"""Measures architectures in at least so many sessions each, on the devices of all goals."""

Tell = Callable[[str], None]


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
        proposals: What may be measured.
        tell: Told what is being done.
    """

    beliefs: Beliefs
    judge: Judge
    measure: Measure
    proposals: Proposals
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
        for _ in range(self.proposals.options.rounds if there else 1):
            if not batch:
                break
            self._step(purpose, batch, began)
            began, best = time.monotonic(), self._best()
            if self._full(best):
                best = self._confirmed()
                if self._full(best):
                    break
            purpose = "repair" if best is None else "growth"
            self.tell(f"{purpose}: scoring changes")
            batch = self._repairs() if best is None else self._growth(best)
        best = self._confirmed() or self._last_resort(began)
        return Settled(best, tuple(self.steps))

    def _full(self, best: Indices | None) -> bool:
        """Whether the budgets are kept and used up."""
        return best is not None and self.beliefs.slack(best) <= self.proposals.options.slack

    def _finalists(self) -> list[Indices]:
        """The best of the search that are likely to keep the budgets, or others drawn close to them."""
        likely = self.proposals.likely(list(self.proposals.pool), self.proposals.options.likely)
        if not likely:
            likely = self.proposals.drawn()
        return self.judge.best(likely, self.proposals.options.finalists)

    def _repairs(self) -> list[Indices]:
        """Where nothing keeps the budgets: near architectures that are believed to."""
        over = sorted(self.beliefs.readings, key=self.judge.final, reverse=True)
        over = sorted(over[: self.proposals.options.finalists], key=self.beliefs.excess)[:2]
        confident = self.beliefs.confidence
        found = self.proposals.changed(over, confident) + self.proposals.likely(
            self.proposals.unmeasured(), confident
        )
        if not found:
            found = self.proposals.drawn()
        return self.judge.best(list(dict.fromkeys(found)), self.proposals.options.batch)

    def _growth(self, best: Indices) -> list[Indices]:
        """Where the best leaves too much: what grew from it, and is not clearly worse."""
        used, likely = float(self.beliefs.use(np.array([best]))[0]), self.proposals.options.likely
        found = [*self.proposals.grown(best), *self.proposals.likely(self.proposals.unmeasured(), likely)]
        if not found:
            return []
        uses = self.beliefs.use(np.array(found))
        more = dict.fromkeys(i for i, use in zip(found, uses, strict=True) if use > used)
        chosen = self.judge.best(list(more), self.proposals.options.batch)
        return [i for i in chosen if not self.judge.clearly_worse(i, best)]

    def _last_resort(self, began: float) -> Indices:
        """The fastest architectures: kept, or the proof that the budgets cannot be."""
        fresh = [i for i in self.proposals.fastest() if i not in self.beliefs.readings]
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
            if best is None or self.beliefs.confirmed(best, self.proposals.options.sessions):
                return best
            self._step("confirmation", [best], time.monotonic())
        return self._best()

    def _best(self) -> Indices | None:
        """The most accurate that keeps all budgets.

        More time buys accuracy, and estimates are too noisy to be trusted with giving it away:
        of those that use the budget up, one is taken that is not clearly worse than the most accurate.
        """
        kept = [i for i in self.beliefs.readings if self.beliefs.kept(i)]
        if not kept:
            return None
        top = max(kept, key=self.judge.final)
        full = [
            i
            for i in kept
            if self.beliefs.slack(i) <= self.proposals.options.slack and not self.judge.clearly_worse(i, top)
        ]
        return max(full, key=self.judge.final) if full else top

    def _step(self, purpose: str, batch: Sequence[Indices], began: float) -> None:
        """Measure, and learn from it."""
        scored = time.monotonic()
        before = self.beliefs.predict(np.array(batch))
        self.tell(f"{purpose}: measuring {len(batch)}")
        sessions = self.proposals.options.sessions if purpose == "confirmation" else 1
        readings = self.measure(batch, sessions)
        self.beliefs.learn(readings)
        entries = []
        for row, indices in enumerate(batch):
            came_from = self.proposals.pool.get(indices)
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

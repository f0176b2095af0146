"""The bounded loop that proves a budget: measure finalists, repair, use the slack, confirm.

Each round measures a few architectures and conditions the latency models on what came out:

* *finalists*: the best that are likely to keep the budgets;
* *further sessions*, for those whose interval straddles a budget: there the question is the
  measurement and not the network, so it is measured better before anything smaller is tried;
* *repair*, while none is proven to keep the budgets: the best of those near the best ones that
  failed, which the conditioned models believe to take the share of the budget that is aimed at;
* *growth*, while the best takes less than can be proven: what random changes that cost time
  make of it, until the share is reached, as long as the estimated accuracy does not clearly fall;
* *confirmation*: what is chosen is measured again in a session of its own, so that it is not
  chosen for having been measured too fast;
* *last resort*: the fastest architectures. They are the proof that budgets cannot be kept; where
  they alone are proven, growth goes on from them.

The share that is aimed at is what can be proven by an interval as wide as those seen; where that
failed already, the middle between the largest share that held and the smallest above it that
did not, or a step below that as long as nothing held.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hwnas.finalists.candidates import FinalistsOptions, Proposals
from hwnas.finalists.latencies import Posteriors
from hwnas.finalists.ranking import Ranking
from hwnas.finalists.reading import Indices, Readings
from hwnas.finalists.refusal import refusal
from hwnas.statistics.verdict import NOT_PROVEN, PASS, Verdict

Measure = Callable[[Sequence[Indices], int], Mapping[Indices, Readings]]
"""Measures architectures in at least so many sessions each, on the devices of all constraints."""

Tell = Callable[[str], None]

_STEP = 0.9
"""Where nothing held yet, the next share is as much of the one that failed, or less under more noise."""


@dataclass(frozen=True)
class Step:
    """What a round did.

    Attributes:
        purpose: "finalists", "further sessions", "repair", "growth", "confirmation" or "last resort".
        entries: What was measured: indices, where they come from, estimates, prediction before
            the first measurement, measurement, whether the budgets are proven to be kept, and
            the verdict on that.
        seconds: Of scoring and of measuring.
    """

    purpose: str
    entries: tuple[Mapping[str, Any], ...]
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Settled:
    """What came of it.

    Attributes:
        best: The architecture: kept, or where nothing can be proven the best candidate.
        steps: The rounds.
        verdict: PASS, or NOT PROVEN with the noise that was found and what to do.
    """

    best: Indices
    steps: tuple[Step, ...]
    verdict: Verdict


@dataclass
class Loop:
    """The measuring of finalists under way.

    Attributes:
        posteriors: The constraints, and what is known of latencies.
        ranking: Scores architectures.
        measure: Measures them.
        proposals: What may be measured.
        tell: Told what is being done.
        controls: Architectures that the found one must beat, and what kind of control each is; the best of
            each kind is measured with the first finalists.
        steps: What was measured so far.
        predicted: Mean and standard deviation, one a constraint, that were believed of an architecture
            before it was measured.
    """

    posteriors: Posteriors
    ranking: Ranking
    measure: Measure
    proposals: Proposals
    tell: Tell = lambda _: None
    controls: Mapping[Indices, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    predicted: dict[Indices, tuple[list[float], list[float]]] = field(default_factory=dict)
    _fastest: tuple[Indices, ...] = ()

    @property
    def options(self) -> FinalistsOptions:
        """Bounds of the loop."""
        return self.proposals.options

    def run(self) -> Settled:
        """Find the best architecture that is proven to keep all budgets.

        Raises:
            InfeasibleBudget: No architecture that was measured keeps them, and noise is not why.
        """
        began = time.monotonic()
        batch, purpose = self._finalists(), "finalists"
        there = any(constraint.measurable for constraint in self.posteriors.constraints)
        for left in reversed(range(self.options.rounds if there else 1)):
            if batch:
                self._step(purpose, batch, began)
                self._further(batch)
            began, best = time.monotonic(), self._best()
            if self._full(best) or left == 1:
                best = self._confirmed()
            if self._full(best):
                break
            if best is None and there and (not batch or 2 * left <= self.options.rounds):
                self._last_resort()
                best = self._best()
            if not left:  # nothing more is measured
                break
            purpose = "repair" if best is None else "growth"
            self.tell(f"{purpose}: scoring changes")
            batch = self._repairs() if best is None else self._growth(best)
            if not batch and self._confirmed() is not None:
                break
        if self._best() is None:
            self._last_resort()
        return self._settled()

    def _full(self, best: Indices | None) -> bool:
        """Whether the budgets are kept, and as much of them is used as can be proven."""
        return best is not None and self._uses_up(best)

    def _uses_up(self, indices: Indices) -> bool:
        return self.posteriors.spent(indices) >= (1 - self.options.slack) * self._provable()

    def _provable(self) -> float:
        return self.posteriors.provable(self.options.most_sessions)

    def _aim(self) -> float:
        """Share of the tightest budget that is tried next."""
        provable, measured = self._provable(), list(self.posteriors.readings)
        use = self.posteriors.use(np.array(measured)).tolist() if measured else []
        kept = [self.posteriors.kept(i) for i in measured]
        held = max((u for u, is_kept in zip(use, kept, strict=True) if is_kept), default=self._floor())
        failed = [u for u, is_kept in zip(use, kept, strict=True) if not is_kept and u > held]
        least = min(failed, default=math.inf)
        if held < provable < (1 - self.options.slack) * least:
            return provable
        middle = (held + min(least, 1.0)) / 2
        return middle if any(kept) else max(middle, least * min(provable, _STEP))

    def _floor(self) -> float:
        """Share that the fastest architectures are believed to need."""
        return float(self.posteriors.use(np.array(list(self.proposals.fastest()))).min())

    def _finalists(self) -> list[Indices]:
        """The best of the search that are likely to keep the budgets, or others drawn close to them."""
        share = self._provable()
        likely = self.proposals.likely(list(self.proposals.pool), self.options.likely, share)
        if not likely:
            likely = self.proposals.drawn(share)
        best = self.ranking.best(likely, self.options.finalists)
        controls = [
            i for kind in dict.fromkeys(self.controls.values()) for i in self._of_kind(kind, likely)[:1]
        ]
        return list(dict.fromkeys([*best, *controls]))

    def _of_kind(self, kind: str | None, some: Iterable[Indices]) -> list[Indices]:
        """Controls of a kind among some architectures, the best first; None is of those that are none."""
        found = [i for i in some if self.controls.get(i) == kind]
        return sorted(found, key=self.ranking.fp32, reverse=True)

    def rivals(self, best: Indices) -> dict[str | None, Indices]:
        """The best, and beside it the best of each other kind that keeps the budgets in all its sessions.

        Returns:
            Each by its kind of control; that of what was searched is None.
        """
        own = self.controls.get(best)
        found = {own: best}
        for kind in dict.fromkeys((None, *self.controls.values())):
            kept = (i for i in self._of_kind(kind, self.posteriors.readings) if self.posteriors.kept(i))
            if kind != own and (rival := next(filter(self._confirms, kept), None)) is not None:
                found[kind] = rival
        return found

    def _further(self, batch: Sequence[Indices]) -> None:
        """Measure those better whose interval straddles a budget, as long as that may prove something."""
        most = self.options.most_sessions
        for _ in range(most):
            best = self._best()
            again = [
                i
                for i in batch
                if self.posteriors.open(i)
                and self.posteriors.sessions(i) < most
                and self.posteriors.hopeful(i, most)
                and (best is None or not self._full(best) or self.ranking.final(i) > self.ranking.final(best))
            ]
            if not again:
                return
            sessions = min(most, 2 * min(self.posteriors.sessions(i) for i in again))
            self._step("further sessions", again, time.monotonic(), sessions)

    def _repairs(self) -> list[Indices]:
        """Where nothing keeps the budgets: near architectures that are believed to take a smaller share."""
        over = sorted(self.posteriors.readings, key=self.ranking.final, reverse=True)
        over = sorted(over[: self.options.finalists], key=self.posteriors.spent)[:2]
        likely, aim = self.options.likely, self._aim()
        found = self.proposals.changed(over, likely, aim)
        found += self.proposals.likely(self.proposals.unmeasured(), likely, aim)
        if not found:
            found = self.proposals.drawn(aim)
        return self.ranking.best(list(dict.fromkeys(found)), self.options.batch)

    def _growth(self, best: Indices) -> list[Indices]:
        """Where the best leaves too much: what grew from it, and is not clearly worse."""
        used, likely, aim = float(self.posteriors.use(np.array([best]))[0]), self.options.likely, self._aim()
        found = self.proposals.grown(best, aim)
        found += self.proposals.likely(self.proposals.unmeasured(), likely, aim)
        return self._better(found, best, used) or self._better(self.proposals.drawn(aim), best, used)

    def _better(self, found: Sequence[Indices], best: Indices, used: float) -> list[Indices]:
        """The best of those that use more than what is kept, as far as they are not clearly worse."""
        uses = self.posteriors.use(np.array(found)).tolist() if found else []
        more = dict.fromkeys(i for i, use in zip(found, uses, strict=True) if use > used)
        chosen = self.ranking.best(list(more), self.options.batch)
        return [i for i in chosen if not self.ranking.clearly_worse(i, best)]

    def _last_resort(self) -> None:
        """The fastest architectures: what growth begins from, or the proof that it cannot.

        Raises:
            InfeasibleBudget: They do not keep the budgets, and nothing else may.
        """
        if not self._fastest:
            began, self._fastest = time.monotonic(), tuple(self.proposals.fastest())
            fresh = [i for i in self._fastest if i not in self.posteriors.readings]
            if fresh:
                self._step("last resort", fresh, began)
            self._further(self._fastest)
        if all(self.posteriors.verdict(i).is_fail for i in self.posteriors.readings):
            raise refusal(self.posteriors)

    def _confirmed(self) -> Indices | None:
        """The best that keeps the budgets, measured in as many sessions as is asked for."""
        for _ in range(len(self.posteriors.readings)):
            best = self._best()
            if best is None or self.posteriors.confirmed(best, self.options.sessions):
                return best
            self._confirms(best)
        return self._best()

    def _confirms(self, indices: Indices) -> bool:
        """Whether an architecture still keeps the budgets in as many sessions as is asked for."""
        if not self.posteriors.confirmed(indices, self.options.sessions):
            self._step("confirmation", [indices], time.monotonic(), self.options.sessions)
            self._further([indices])
        return self.posteriors.kept(indices)

    def _best(self) -> Indices | None:
        """The most accurate that is proven to keep all budgets.

        More time buys accuracy, and estimates are too noisy to be trusted with giving it away:
        of those that use the budget up, one is taken that is not clearly worse than the most accurate.
        """
        kept = [i for i in self.posteriors.readings if self.posteriors.kept(i)]
        if not kept:
            return None
        top = max(kept, key=self.ranking.final)
        full = [i for i in kept if self._uses_up(i) and not self.ranking.clearly_worse(i, top)]
        return max(full, key=self.ranking.final) if full else top

    def _settled(self) -> Settled:
        """The best that is proven; the best candidate where noise forbids to prove more than the fastest."""
        best = self._confirmed()
        found = [i for i in self.posteriors.readings if self.posteriors.open(i)]
        within = [i for i in found if self.posteriors.spent(i) <= 1]
        if best is not None and not (best in self._fastest and within):
            return Settled(best, tuple(self.steps), Verdict(PASS))
        if within:
            best = max(within, key=self.ranking.final)
        elif found:
            best = min(found, key=self.posteriors.spent)
        if best is None:  # what was open is refuted by its confirmation
            raise refusal(self.posteriors)
        return Settled(best, tuple(self.steps), self._unproven(best))

    def _unproven(self, best: Indices) -> Verdict:
        """What was found instead of a proof."""
        fastest = (
            "no network but the fastest" if any(map(self.posteriors.kept, self._fastest)) else "no network"
        )
        reasons = self.posteriors.verdict(best).reasons
        text = (
            f"{fastest} of {len(self.posteriors.readings)} that were measured is proven to keep the budgets"
        )
        return Verdict(NOT_PROVEN, (f"{text} under this noise", *reasons))

    def _step(self, purpose: str, batch: Sequence[Indices], began: float, sessions: int = 1) -> None:
        """Measure, and learn from it."""
        scored = time.monotonic()
        fresh = [i for i in batch if i not in self.predicted]
        before = self.posteriors.predict(np.array(fresh)) if fresh else []
        for row, indices in enumerate(fresh):
            self.predicted[indices] = (
                [float(p.mean_ms[row]) for p in before],
                [float(p.std_ms[row]) for p in before],
            )
        self.tell(f"{purpose}: measuring {len(batch)}")
        self.posteriors.learn(self.measure(batch, sessions))
        entries = tuple(self._entry(indices) for indices in batch)
        spent = {"scoring": scored - began, "measuring": time.monotonic() - scored}
        self.steps.append(Step(purpose, entries, spent))

    def _entry(self, indices: Indices) -> dict[str, Any]:
        """What is to be recorded of an architecture that was just measured."""
        came_from, verdict = self.proposals.pool.get(indices), self.posteriors.verdict(indices)
        (mean_ms, std_ms), score = self.predicted[indices], self.ranking.score_key
        return {
            "indices": list(indices),
            "from": None if came_from is None else list(came_from),
            score: self.ranking.estimates(indices),
            f"{score}_change": came_from and self.ranking.final(indices) - self.ranking.final(came_from),
            "predicted_ms": mean_ms,
            "predicted_std_ms": std_ms,
            "measured": [None if r is None else asdict(r) for r in self.posteriors.readings[indices]],
            "kept": verdict.is_pass,
            "verdict": verdict.word,
        }

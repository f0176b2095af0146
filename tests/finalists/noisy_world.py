"""Worlds whose latencies are known and whose measurements are noisy: rounds are drawn, all else is real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from statistics import fmean
from types import SimpleNamespace

import numpy as np
from finalists_helpers import constraint, macs, networks, space

from hwnas import tasks
from hwnas.evaluators.merits import OfAnswers
from hwnas.finalists.candidates import FinalistsOptions, Proposals
from hwnas.finalists.latencies import LatencyConstraint, Posteriors
from hwnas.finalists.ranking import Ranking
from hwnas.finalists.reading import Indices, Reading
from hwnas.finalists.repair import Loop
from hwnas.tables.clock import Scale
from hwnas.tables.measurement import Measurement
from hwnas.tables.rounds import Round

ROUNDS = 9
KINDS = ("steady", "bursts", "drift", "slow session")
"""Noise of every round alone, or with some rounds in a row slower by up to their noise and a third,
with a drift over each session as large as the noise, or with one of the first sessions
slower by 15 to 40 %."""


@lru_cache
def additive_ms() -> dict[Indices, float]:
    """Latencies that are sums of costs."""
    return dict(zip(networks(), macs().of(np.array(networks())).tolist(), strict=True))


@dataclass
class NoisyWorld:
    """Measures with noise that its anchors do not take away.

    Attributes:
        seed: Where all randomness comes from.
        noise: Relative standard deviation of a round.
        kind: One of ``KINDS``.
    """

    seed: int
    noise: float
    kind: str

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.rounds: dict[Indices, list[Round]] = {}
        self.sessions = 0
        self.slow = int(self.rng.integers(3)) if self.kind == "slow session" else -1

    @cached_property
    def true_ms(self) -> dict[Indices, float]:
        """The truth, with residuals that no sum explains."""
        found = additive_ms()
        own = 1 + 0.01 * np.random.default_rng([self.seed, 0]).normal(size=len(found))
        return {i: ms * own[n] for n, (i, ms) in enumerate(found.items())}

    def measure(self, batch: Sequence[Indices], sessions: int) -> Mapping[Indices, tuple[Reading]]:
        for wanted in range(1, sessions + 1):
            missing = [i for i in batch if len(self.rounds.get(i, ())) < wanted * ROUNDS]
            if missing:
                self._session(missing)
        return {i: (self.reading(i),) for i in batch}

    def reading(self, indices: Indices) -> Reading:
        return reading(tuple(self.rounds[indices]))

    @property
    def spent(self) -> int:
        """Sessions of single networks."""
        return sum(len(items) for items in self.rounds.values()) // ROUNDS

    def _session(self, batch: Sequence[Indices]) -> None:
        factor = 1 + Scale().between * self.rng.normal()
        if self.sessions == self.slow:
            factor *= self.rng.uniform(1.15, 1.4)
        course = factor * self._course()
        for indices in batch:
            noise = np.exp(self.noise * self.rng.normal(size=ROUNDS) - 0.0)
            values = self.true_ms[indices] * course * noise
            self.rounds.setdefault(indices, []).extend(
                Round("n", "finalist", str(self.sessions), n, (float(v),)) for n, v in enumerate(values)
            )
        self.sessions += 1

    def _course(self) -> np.ndarray:
        """What all rounds of a session share."""
        course = np.ones(ROUNDS)
        if self.kind == "bursts":
            first, length = self.rng.integers(ROUNDS), self.rng.integers(1, 4)
            course[first : first + length] += self.rng.uniform(0, self.noise + 0.33)
        if self.kind == "drift":
            course += self.noise * np.linspace(-0.5, 0.5, ROUNDS) * self.rng.choice([-1, 1])
        return course

    def upper(self, sessions: int) -> float:
        """How far the interval reaches above the truth after so many sessions, on average."""
        other = NoisyWorld(self.seed + 10**6, self.noise, "steady" if self.slow >= 0 else self.kind)
        some = networks()[:24]
        found = other.measure(some, sessions)
        return fmean(found[i][0].high_ms / other.true_ms[i] - 1 for i in some)


def reading(rounds: tuple[Round, ...]) -> Reading:
    """What is made of rounds: by the statistics that measurements on devices go through."""
    found = Measurement("n", "finalist", rounds, Scale())
    low, high = found.interval_ms or found.ci_ms
    sessions = len({item.session for item in rounds})
    return Reading(found.latency_ms, low, high, sessions, found.interval_ms is not None)


class KnownJudge(Ranking):
    """Estimates of 1,000 images around true accuracies."""

    def __init__(self, accuracies: Mapping[Indices, float], class_weights: str = "none") -> None:
        task = tasks.get("classification")
        scorer = SimpleNamespace(
            space=space(),
            task=task,
            merits=OfAnswers(task, class_weights, 1000),
            all=lambda found: [accuracies[arch.indices] for arch in found],
        )
        super().__init__(scorer, "fp32", known=accuracies)


@dataclass(frozen=True)
class Case:
    """One world, a budget in it, and what a latency model believes of it."""

    seed: int

    @cached_property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng([self.seed, 1])

    @cached_property
    def world(self) -> NoisyWorld:
        noise = float(np.exp(np.random.default_rng([self.seed, 2]).uniform(np.log(0.01), np.log(0.6))))
        return NoisyWorld(self.seed, noise, KINDS[self.seed % len(KINDS)])

    @cached_property
    def accuracies(self) -> dict[Indices, float]:
        """More multiply-adds are better, with a scatter of their own; estimated on 1,000 images."""
        rng = np.random.default_rng([self.seed, 3])
        used = np.array(list(additive_ms().values())) / macs().range[1]
        true = 0.3 + 0.6 * np.sqrt(used) + 0.01 * rng.normal(size=len(used))
        seen = rng.binomial(1000, true) / 1000
        return dict(zip(networks(), seen.tolist(), strict=True))

    @cached_property
    def constraint(self) -> LatencyConstraint:
        rng = np.random.default_rng([self.seed, 4])
        return constraint(float(rng.uniform(0.3, 0.8)), believed=float(rng.uniform(0.8, 1.2)), std=0.05)

    def loop(self, options: FinalistsOptions | None = None) -> Loop:
        options, asked = options or FinalistsOptions(), self.constraint
        posteriors = Posteriors(space(), [asked], 0.9)
        rows = np.array(networks())
        use = asked.model.cost.of(rows) / asked.budget_ms
        near = np.flatnonzero((use > 0.85) & (use <= 0.97))
        pool = [networks()[n] for n in np.random.default_rng([self.seed, 5]).permutation(near)[:16]]
        proposals = Proposals(posteriors, options, dict.fromkeys(pool), np.random.default_rng(self.seed))
        return Loop(posteriors, KnownJudge(self.accuracies), self.world.measure, proposals)

    def oracle(self, sessions: int) -> float:
        """Share of the budget that an oracle could prove; 0 where it could prove nothing.

        It knows all true latencies, measures one network in as many sessions as the loop may at
        most, and gets an interval that reaches upwards as far as they do on average in this world.
        """
        room = self.constraint.budget_ms / (1 + self.world.upper(sessions))
        within = [ms for ms in self.world.true_ms.values() if ms <= room]
        return max(within, default=0.0) / self.constraint.budget_ms

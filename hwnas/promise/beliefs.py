"""What is known of architectures' latencies: predictions, and measurements once they are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from hwnas.device import Target
from hwnas.intervals import NORMAL_95
from hwnas.latency import Conditioned, LatencyModel, Networks, Prediction
from hwnas.latency.base import FloatArray, IntArray
from hwnas.search.base import Constraint
from hwnas.space import SearchSpace

Indices = tuple[int, ...]

SESSION = 0.005
"""Share of a latency that another session may find more, beside what its interval says."""


@dataclass(frozen=True)
class Reading:
    """A measured latency.

    Attributes:
        ms: The estimate.
        low_ms: Lower end of the 95 % interval over all sessions.
        high_ms: Upper end.
        sessions: How many sessions it comes from.
    """

    ms: float
    low_ms: float
    high_ms: float
    sessions: int

    @property
    def half_ms(self) -> float:
        """Half the width of the interval."""
        return (self.high_ms - self.low_ms) / 2

    @property
    def sure_ms(self) -> float:
        """A budget from here on is kept, and will be kept when it is measured again."""
        return max(self.high_ms, self.ms + self.half_ms) + SESSION * self.ms


@dataclass(frozen=True)
class Goal:
    """A budget on a target.

    Attributes:
        target: What the budget is for.
        budget_ms: What was asked for.
        model: What was believed before finalists were measured.
        measurable: Whether its device is there to be measured on.
        note: What a user should know about how it was measured, or why it was not.
    """

    target: Target
    budget_ms: float
    model: LatencyModel
    measurable: bool = True
    note: str = ""

    @property
    def name(self) -> str:
        """For people, and in files."""
        return str(self.target)


Readings = tuple[Reading | None, ...]
"""One a goal; None where its device is not there."""


class Beliefs:
    """All goals together.

    Args:
        space: The space.
        goals: At least one.
        confidence: With which a budget is kept by a prediction alone, where nothing is measured.
        limits: What else must be kept, on MACs, parameters or bytes.

    Attributes:
        readings: What was measured, by architecture.
        models: What is believed now, one a goal.
    """

    def __init__(
        self,
        space: SearchSpace,
        goals: Sequence[Goal],
        confidence: float,
        limits: Sequence[Constraint] = (),
    ) -> None:
        self.space, self.goals, self.confidence, self.limits = space, tuple(goals), confidence, tuple(limits)
        self.readings: dict[Indices, Readings] = {}
        self.models: list[LatencyModel | Conditioned] = [goal.model for goal in goals]

    def learn(self, readings: Mapping[Indices, Readings]) -> None:
        """Take measurements in; the newest of an architecture holds."""
        self.readings |= readings
        for number, goal in enumerate(self.goals):
            known = {i: r[number] for i, r in self.readings.items()}
            rows = [(i, reading) for i, reading in known.items() if reading is not None]
            if not rows:
                continue
            networks = Networks(
                self.space.name, np.array([i for i, _ in rows]), np.array([r.ms for _, r in rows])
            )
            error_ms = np.array([r.half_ms / NORMAL_95 for _, r in rows])
            self.models[number] = Conditioned(goal.model, self.space, networks, error_ms)

    def predict(self, indices: IntArray) -> list[Prediction]:
        """Latency of architectures (n, choices) as it is believed now, one prediction a goal."""
        return [
            model.predict(indices) if isinstance(model, Conditioned) else model.predict(self.space, indices)
            for model in self.models
        ]

    def chance(self, indices: IntArray) -> FloatArray:
        """Probability that all budgets are kept, shape (n,).

        Where a device is not there to be measured on, the prediction must keep its budget with
        the confidence that was asked for, or there is no chance.
        """
        from scipy.special import ndtr

        total = np.ones(len(indices))
        for limit in self.limits:
            total *= limit.costs.of(indices) <= limit.limit_ms
        for goal, found in zip(self.goals, self.predict(indices), strict=True):
            sure = goal.budget_ms / (1 + SESSION) if goal.measurable else goal.budget_ms
            kept = ndtr((sure - found.mean_ms) / np.maximum(found.std_ms, 1e-9 * found.mean_ms))
            total *= kept if goal.measurable else (kept >= self.confidence)
        return total

    def use(self, indices: IntArray) -> FloatArray:
        """Share of the tightest budget that is believed to be spent, shape (n,)."""
        shares = [
            p.mean_ms / goal.budget_ms for goal, p in zip(self.goals, self.predict(indices), strict=True)
        ]
        return np.asarray(np.max(shares, axis=0))

    def kept(self, indices: Indices) -> bool:
        """Whether a measured architecture keeps all budgets and limits."""
        row = np.array([indices])
        within = all(limit.costs.of(row)[0] <= limit.limit_ms for limit in self.limits)
        return within and self.excess(indices) <= 1

    def excess(self, indices: Indices) -> float:
        """The largest share of a budget that a measured architecture may need."""
        needs = self.needs_ms(indices)
        return max(ms / goal.budget_ms for ms, goal in zip(needs, self.goals, strict=True))

    def needs_ms(self, indices: Indices) -> list[float]:
        """The smallest budgets that a measured architecture keeps, one a goal.

        Where a device is not there, that is a prediction with the confidence that was asked for.
        """
        quantile = NormalDist().inv_cdf(self.confidence)
        believed = self.predict(np.array([indices]))
        return [
            float(p.mean_ms[0] + quantile * p.std_ms[0]) if reading is None else reading.sure_ms
            for p, reading in zip(believed, self.readings[indices], strict=True)
        ]

    def slack(self, indices: Indices) -> float:
        """Share of the tightest budget that a measured architecture leaves."""
        believed = [float(p.mean_ms[0]) for p in self.predict(np.array([indices]))]
        readings = self.readings[indices]
        return 1 - max(
            (believed[n] if reading is None else reading.ms) / goal.budget_ms
            for n, (goal, reading) in enumerate(zip(self.goals, readings, strict=True))
        )

    def confirmed(self, indices: Indices, sessions: int) -> bool:
        """Whether it was measured in so many sessions wherever it can be measured."""
        return all(r is None or r.sessions >= sessions for r in self.readings[indices])

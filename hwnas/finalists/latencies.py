"""What is known of architectures' latencies: predictions, and measurements once they are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, median

import numpy as np

from hwnas.budget import Budget
from hwnas.device import Target
from hwnas.finalists.reading import EnergyReading, Indices, Reading, Readings
from hwnas.latency import Conditioned, LatencyModel, Networks, Prediction
from hwnas.latency.base import FloatArray, IntArray
from hwnas.search.objective import ENERGY
from hwnas.search.problem import Constraint
from hwnas.space import SearchSpace
from hwnas.statistics.intervals import NORMAL_95
from hwnas.statistics.verdict import FAIL, NOT_PROVEN, PASS, Verdict, worst

_LEAST_MARGIN = 0.01
"""Share of a latency that its interval reaches upwards, before anything was measured."""

_NO_ENERGY = (
    "energy was counted, but that is too coarse or too restless to tell (the rounds in the folder "
    "finalists of the run say why): stop what else runs there and search again"
)

_FEW = 3  # intervals that say by themselves how wide such intervals are


@dataclass(frozen=True)
class LatencyConstraint:
    """A budget on a target, and how latencies there are known.

    Attributes:
        budget: In milliseconds.
        model: What was believed before finalists were measured.
        measurable: Whether its device is there to be measured on.
        note: What a user should know about how it was measured, or why it was not.
        counts_energy: Whether energy is measured there as well.
    """

    budget: Budget
    model: LatencyModel
    measurable: bool = True
    note: str = ""
    counts_energy: bool = False

    @property
    def target(self) -> Target:
        """What the latencies are true of."""
        return self.model.target

    @property
    def name(self) -> str:
        """For people, and in files."""
        return self.budget.name

    @property
    def budget_ms(self) -> float:
        """What must be kept."""
        return self.budget.limit


class Posteriors:
    """All constraints together.

    Args:
        space: The space.
        constraints: At least one.
        confidence: With which a budget is kept by a prediction alone, where nothing is measured.
        limits: What else must be kept: on MACs, parameters or bytes, and on energy, which is measured.

    Attributes:
        readings: What was measured, by architecture, all on one scale a constraint.
        models: What is believed now, one a constraint, on the scale of its latency model.
        per_model_ms: What a millisecond of each constraint's model is on the device's scale now.
    """

    def __init__(
        self,
        space: SearchSpace,
        constraints: Sequence[LatencyConstraint],
        confidence: float,
        limits: Sequence[Constraint] = (),
    ) -> None:
        self.space, self.constraints, self.confidence, self.limits = (
            space,
            tuple(constraints),
            confidence,
            tuple(limits),
        )
        self.readings: dict[Indices, Readings] = {}
        self.models: list[LatencyModel | Conditioned] = [constraint.model for constraint in constraints]
        self.per_model_ms = [1.0] * len(constraints)

    def learn(self, readings: Mapping[Indices, Readings]) -> None:
        """Take measurements in; the newest of an architecture holds, and the newest scale for all."""
        self.readings |= readings
        for number, constraint in enumerate(self.constraints):
            newest = [found.per_model_ms for r in readings.values() if (found := r[number]) is not None]
            if newest:
                self._put(number, newest[-1])
            known = {i: r[number] for i, r in self.readings.items()}
            rows = [(i, reading) for i, reading in known.items() if reading is not None]
            if not rows:
                continue
            model_ms = np.array([r.ms for _, r in rows]) / self.per_model_ms[number]
            networks = Networks(self.space.name, np.array([i for i, _ in rows]), model_ms)
            error_ms = np.array([r.half_ms / NORMAL_95 for _, r in rows]) / self.per_model_ms[number]
            self.models[number] = Conditioned(constraint.model, self.space, networks, error_ms)

    def _put(self, number: int, per_model_ms: float) -> None:
        """Put all that was measured for a constraint on a scale."""
        self.per_model_ms[number] = per_model_ms
        for indices, row in self.readings.items():
            reading = row[number]
            if reading is not None:
                moved = reading.on_scale(per_model_ms)
                self.readings[indices] = (*row[:number], moved, *row[number + 1 :])

    def predict(self, indices: IntArray) -> list[Prediction]:
        """Latency of architectures (n, choices) as it is believed now, one prediction a constraint."""
        found = [
            model.predict(indices) if isinstance(model, Conditioned) else model.predict(self.space, indices)
            for model in self.models
        ]
        factors = zip(found, self.per_model_ms, strict=True)
        return [Prediction(p.mean_ms * factor, p.std_ms * factor) for p, factor in factors]

    def margin(self, number: int, sessions: int) -> float:
        """Share of a latency that its interval will reach upwards after so many sessions.

        From what was measured in so many; where that are too few, from all: intervals are to
        narrow with the root of the sessions.
        """
        known = [found for r in self.readings.values() if (found := r[number]) is not None]
        enough = [found for found in known if found.sessions >= sessions]
        if len(enough) < _FEW:
            enough = known
        margins = [r.up_ms / r.ms * sqrt(min(1.0, r.sessions / sessions)) for r in enough]
        return max(_LEAST_MARGIN, median(margins)) if margins else _LEAST_MARGIN

    def provable(self, sessions: int) -> float:
        """Share of the tightest budget that can be proven, by an interval as wide as is usual here."""
        margins = [
            self.margin(n, sessions) for n, constraint in enumerate(self.constraints) if constraint.measurable
        ]
        return 1 / (1 + max(margins, default=0.0))

    def chance(self, indices: IntArray, share: float = 1.0) -> FloatArray:
        """Probability that no more than a share of all budgets is needed, shape (n,).

        Where a device is not there to be measured on, the prediction must keep its budget with
        the confidence that was asked for, or there is no chance.
        """
        from scipy.special import ndtr

        total = np.ones(len(indices))
        for limit in self.limits:
            total *= limit.costs.of(indices) <= limit.usable
        for constraint, found in zip(self.constraints, self.predict(indices), strict=True):
            room = (
                share * constraint.budget_ms if constraint.measurable else constraint.budget_ms
            ) - found.mean_ms
            kept = ndtr(room / np.maximum(found.std_ms, 1e-9 * found.mean_ms))
            total *= kept if constraint.measurable else (kept >= self.confidence)
        return total

    def use(self, indices: IntArray) -> FloatArray:
        """Share of the tightest budget that is believed to be spent, shape (n,)."""
        shares = [
            p.mean_ms / constraint.budget_ms
            for constraint, p in zip(self.constraints, self.predict(indices), strict=True)
        ]
        return np.asarray(np.max(shares, axis=0))

    def verdict(self, indices: Indices) -> Verdict:
        """Whether a measured architecture keeps all budgets and limits.

        Where a device is not there, the prediction stands for it, with the confidence that was
        asked for.
        """
        found = [self._on_limit(limit, indices) for limit in self.limits]
        for number, (constraint, reading) in enumerate(
            zip(self.constraints, self.readings[indices], strict=True)
        ):
            if reading is not None:
                found.append(reading.on(constraint.budget_ms))
            elif self._sure_ms(indices, number) > constraint.budget_ms:
                found.append(Verdict(FAIL, (f"{constraint.name} is predicted to be over its budget",)))
        return worst(found) or Verdict(PASS)

    def _on_limit(self, limit: Constraint, indices: Indices) -> Verdict:
        """Whether a measured architecture keeps a limit; energy as measured, where it is."""
        if limit.name == ENERGY and any(self._counted(indices)):
            energy = self.energy(indices)
            return energy.on(limit.budget.limit) if energy else Verdict(NOT_PROVEN, (_NO_ENERGY,))
        if limit.costs.of(np.array([indices]))[0] > limit.usable:
            return Verdict(FAIL, (f"{limit.name} is over its limit",))
        return Verdict(PASS)

    def _counted(self, indices: Indices) -> list[Reading | None]:
        """What was measured of an architecture where energy is counted."""
        pairs = zip(self.constraints, self.readings[indices], strict=True)
        return [reading for constraint, reading in pairs if constraint.counts_energy]

    def energy(self, indices: Indices) -> EnergyReading | None:
        """The measured energy of an architecture; None where there is none."""
        return next((reading.energy for reading in self._counted(indices) if reading is not None), None)

    def kept(self, indices: Indices) -> bool:
        """Whether a measured architecture is proven to keep all budgets and limits."""
        return self.verdict(indices).word == PASS

    def open(self, indices: Indices) -> bool:
        """Whether that is neither proven nor refuted."""
        return self.verdict(indices).word == NOT_PROVEN

    def hopeful(self, indices: Indices, sessions: int) -> bool:
        """Whether so many sessions have a fair chance to prove what is open.

        The latency may well be lower than its estimate, by half of what its interval allows for,
        but the interval will reach upwards by what it will then be.
        """
        return all(
            reading is None
            or (reading.ms - reading.up_ms / 2) * (1 + self.margin(number, sessions)) <= constraint.budget_ms
            for number, (constraint, reading) in enumerate(
                zip(self.constraints, self.readings[indices], strict=True)
            )
        )

    def spent(self, indices: Indices) -> float:
        """Share of the tightest budget that a measured architecture takes, by the estimates."""
        return max(self.shares(indices))

    def shares(self, indices: Indices) -> list[float]:
        """The same of each budget: measured, or predicted where the device is not there."""
        return [
            (self._mean_ms(indices, number) if reading is None else reading.ms) / constraint.budget_ms
            for number, (constraint, reading) in enumerate(
                zip(self.constraints, self.readings[indices], strict=True)
            )
        ]

    def needs_ms(self, indices: Indices) -> list[float]:
        """Budgets that a measured architecture is sure to keep, one a constraint.

        Where a device is not there, that is a prediction with the confidence that was asked for.
        """
        return [
            self._sure_ms(indices, number) if reading is None else reading.safe_ms
            for number, reading in enumerate(self.readings[indices])
        ]

    def _mean_ms(self, indices: Indices, number: int) -> float:
        return float(self.predict(np.array([indices]))[number].mean_ms[0])

    def _sure_ms(self, indices: Indices, number: int) -> float:
        predicted = self.predict(np.array([indices]))[number]
        quantile = NormalDist().inv_cdf(self.confidence)
        return float(predicted.mean_ms[0] + quantile * predicted.std_ms[0])

    def sessions(self, indices: Indices) -> int:
        """Sessions that an architecture was measured in, on the device that has the fewest."""
        return min((r.sessions for r in self.readings[indices] if r is not None), default=0)

    def confirmed(self, indices: Indices, sessions: int) -> bool:
        """Whether it was measured in so many sessions wherever it can be measured."""
        return all(r is None or r.sessions >= sessions for r in self.readings[indices])

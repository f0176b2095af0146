"""What was measured of an architecture, and what that says of a budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hwnas.statistics.intervals import arm
from hwnas.statistics.verdict import PASS, Verdict, on_budget

Indices = tuple[int, ...]


@dataclass(frozen=True)
class EnergyReading:
    """A measured energy of an inference.

    Attributes:
        mj: The estimate.
        low_mj: Lower end of the 95 % interval over all sessions.
        high_mj: Upper end.
        carried: Whether there are rounds enough to carry an interval, and so a verdict.
    """

    mj: float
    low_mj: float
    high_mj: float
    carried: bool

    @property
    def interval_mj(self) -> tuple[float, float] | None:
        """The 95 % interval; None where the rounds are too few to carry one."""
        return (self.low_mj, self.high_mj) if self.carried else None

    def on(self, limit_mj: float) -> Verdict:
        """Whether it keeps a limit; what the sessions were like is judged with the latency."""
        return on_budget(self.mj, self.interval_mj, limit_mj, unit="mJ") or Verdict(PASS)


@dataclass(frozen=True)
class Reading:
    """A measured latency.

    Attributes:
        ms: The estimate.
        low_ms: Lower end of the 95 % interval over all sessions.
        high_ms: Upper end.
        sessions: How many sessions it comes from.
        carried: Whether there are rounds enough to carry an interval, and so a verdict.
        word: Quality of the sessions, the worst that counts; see ``hwnas.tables.conditions``.
        reasons: What speaks against them.
        notes: What did no harm: how long the clock was slow, and what this took then.
        per_model_ms: What a millisecond of the latency model was on the device's scale, as it was
            known then: sessions may meet a faster clock than those that the model was fitted to.
        energy: What an inference takes; None where nobody asked for that, or the counter cannot tell.
    """

    ms: float
    low_ms: float
    high_ms: float
    sessions: int
    carried: bool = True
    word: str = ""
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    per_model_ms: float = 1.0
    energy: EnergyReading | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Reading:
        """Rebuild a reading from its fields, those of an earlier version included."""
        energy = data.get("energy")
        given = {name: tuple(data.get(name, ())) for name in ("reasons", "notes")}
        return cls(**{**data, **given, "energy": None if energy is None else EnergyReading(**energy)})

    def on_scale(self, per_model_ms: float) -> Reading:
        """The same rounds on a scale of the device that was known later."""
        factor = per_model_ms / self.per_model_ms
        scaled = (self.ms * factor, self.low_ms * factor, self.high_ms * factor)
        return replace(self, ms=scaled[0], low_ms=scaled[1], high_ms=scaled[2], per_model_ms=per_model_ms)

    @property
    def quality(self) -> dict[str, Any]:
        """A JSON object of what the sessions were like."""
        return {"word": self.word, "reasons": list(self.reasons), "notes": list(self.notes)}

    @property
    def half_ms(self) -> float:
        """Half the width of the interval."""
        return (self.high_ms - self.low_ms) / 2

    @property
    def arm_ms(self) -> float:
        """The longer arm of the interval, which stands after a ± everywhere."""
        return arm(self.ms, (self.low_ms, self.high_ms))

    @property
    def up_ms(self) -> float:
        """How far the interval reaches above the estimate."""
        return self.high_ms - self.ms

    @property
    def interval_ms(self) -> tuple[float, float] | None:
        """The 95 % interval; None where the rounds are too few to carry one."""
        return (self.low_ms, self.high_ms) if self.carried else None

    @property
    def safe_ms(self) -> float:
        """A budget that is kept, and will be kept when it is measured again: that errs as well."""
        return self.ms + 2 * self.up_ms

    def on(self, budget_ms: float) -> Verdict:
        """Whether it keeps a budget."""
        found = on_budget(self.ms, self.interval_ms, budget_ms, self if self.word else None)
        return found or Verdict(PASS)


Readings = tuple[Reading | None, ...]
"""One a constraint; None where its device is not there."""

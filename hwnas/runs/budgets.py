"""A budget of a run as records and manifests have it: what was asked, predicted and measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hwnas.device import Target
from hwnas.runs.finalists import INTERVAL, NUMBER
from hwnas.runs.parts import TARGET, interval_of
from hwnas.shapes import SIZE, Items

BUDGET = {
    "name": str,
    "target": TARGET,
    "budget_ms": SIZE,
    "predicted_ms?": NUMBER,
    "predicted_std_ms?": NUMBER,
    "measured_ms?": NUMBER,
    "interval_ms?": INTERVAL,
    "range_ms?": Items(float, 2, 2),
}


@dataclass(frozen=True)
class BudgetRecord:
    """A budget of a search, and what is known of the found network on its target.

    Attributes:
        name: Of the target.
        target: What the latency is of.
        budget_ms: The budget.
        asked: As it was typed; empty where an older file does not say.
        range_is_measured: Whether the ends of the range were measured; None where that is not known.
        margin_ms: By how much the search stayed below, as the model may err.
        predicted_ms: What the search believed; None where nobody searched for this network.
        predicted_std_ms: Standard deviation of that.
        range_ms: Latency of the fastest and the slowest network, that shares are of.
        latency_sha256: Hash of the latency model.
        is_looked_at: Whether somebody was to measure the network; then what follows says what came of it.
        measured_ms: What was measured; None for nothing.
        interval_ms: 95 % interval of that; None where the rounds are too few for one.
        quality: What the sessions were like: word, reasons, notes; None where that is not known.
        more: Fields of others.
    """

    name: str
    target: Target
    budget_ms: float
    asked: str = ""
    range_is_measured: bool | None = None
    margin_ms: float | None = None
    predicted_ms: float | None = None
    predicted_std_ms: float | None = None
    range_ms: tuple[float, float] | None = None
    latency_sha256: str | None = None
    is_looked_at: bool = False
    measured_ms: float | None = None
    interval_ms: tuple[float, float] | None = None
    quality: Mapping[str, Any] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def latency_ms(self) -> float | None:
        """What was measured, or else predicted."""
        return self.measured_ms or self.predicted_ms

    def to_json(self) -> dict[str, Any]:
        """A JSON object; what is not known is left out."""
        known = {
            "asked": self.asked or None,
            "range_is_measured": self.range_is_measured,
            "margin_ms": self.margin_ms,
            "predicted_ms": self.predicted_ms,
            "predicted_std_ms": self.predicted_std_ms,
            "range_ms": None if self.range_ms is None else list(self.range_ms),
            "latency_sha256": self.latency_sha256,
        }
        told = {"name": self.name, "target": self.target.to_json(), "budget_ms": self.budget_ms}
        told |= {name: value for name, value in known.items() if value is not None}
        if self.is_looked_at:
            interval = None if self.interval_ms is None else list(self.interval_ms)
            told |= {"measured_ms": self.measured_ms, "interval_ms": interval}
        told |= {} if self.quality is None else {"quality": dict(self.quality)}
        return told | dict(self.more)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BudgetRecord:
        """Rebuild what ``to_json`` wrote, or an earlier version."""
        names = ("range_is_measured", "margin_ms", "predicted_ms", "predicted_std_ms", "latency_sha256")
        return cls(
            name=data["name"],
            target=Target.from_json(data["target"]),
            budget_ms=data["budget_ms"],
            asked=str(data.get("asked") or ""),
            **{name: data.get(name) for name in names},
            range_ms=interval_of(data, "range_ms"),
            is_looked_at="measured_ms" in data,
            measured_ms=data.get("measured_ms"),
            interval_ms=interval_of(data),
            quality=data.get("quality"),
            more={name: value for name, value in data.items() if name not in cls.__dataclass_fields__},
        )

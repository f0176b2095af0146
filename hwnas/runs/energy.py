"""The energy of a model that was measured again: what was found beside a limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class EnergyCheck:
    """What was found about the energy of an inference of a model, where there is a limit on it.

    Attributes:
        limit_mj: The limit.
        predicted_mj: What the search believed; None where none predicted it.
        measured_mj: On the device, anchored; None where it could not be counted.
        interval_mj: 95 % interval of that; None where the rounds are too few for one.
    """

    limit_mj: float
    predicted_mj: float | None
    measured_mj: float | None = None
    interval_mj: tuple[float, float] | None = None

    @property
    def said(self) -> str:
        """For people."""
        asked = f"energy: at most {self.limit_mj:.4g} mJ asked"
        asked += "" if self.predicted_mj is None else f", predicted {self.predicted_mj:.4g} mJ"
        if self.measured_mj is None:
            return f"{asked}, not measured"
        within = "too few rounds for an interval"
        if self.interval_mj is not None:
            within = "95 %: {:.4g} to {:.4g}".format(*self.interval_mj)
        return f"{asked}, measured {self.measured_mj:.4g} mJ ({within})"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EnergyCheck:
        """Rebuild a check from its fields."""
        interval = data["interval_mj"]
        return cls(**{**data, "interval_mj": None if interval is None else (interval[0], interval[1])})

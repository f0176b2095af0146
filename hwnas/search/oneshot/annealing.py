"""Temperatures of gates that are drawn: high at first, so that all are tried, and low in the end."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from math import inf

from hwnas.errors import SpaceError
from hwnas.search.oneshot.loop import OneShotStrategy


@dataclass(frozen=True, kw_only=True)
class Annealed(OneShotStrategy, ABC):
    """What strategies share whose gates have a temperature.

    Attributes:
        temperature: Of the Gumbel-softmax in the first step.
        temperature_floor: Reached after four fifths of the steps, then kept: lower ones end
            in NaN and collapse.
    """

    temperature: float = 5.0
    temperature_floor: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.1 <= self.temperature_floor <= self.temperature < inf:
            raise SpaceError(
                "temperature_floor must be in [0.1, temperature], but got "
                f"{self.temperature_floor} for a temperature of {self.temperature}"
            )

    def temperature_at(self, step: int) -> float:
        """Falls exponentially, never below the floor."""
        progress = min(1.0, step / max(1, 0.8 * self.steps))
        fallen = self.temperature * float((self.temperature_floor / self.temperature) ** progress)
        return max(self.temperature_floor, fallen)

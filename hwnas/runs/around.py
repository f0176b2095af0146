"""What stands around a network: a picture is prepared for it, and its answer is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from hwnas.runs.parts import interval_of
from hwnas.statistics.bounds import decimals
from hwnas.statistics.verdict import FAIL, NOT_PROVEN, PASS, Quality, Verdict, on_budget

Reading: TypeAlias = "tuple[float, tuple[float, float] | None]"
"""A latency in ms with its 95 % interval; None where the rounds are too few to carry one."""

KEPT = {PASS: "would be kept", FAIL: "would not be kept", NOT_PROVEN: "is not proven to be kept"}
"""What becomes of a budget with all that stands around the network."""


@dataclass(frozen=True)
class Around:
    """What the program that ships takes beside the network, for a picture, on one thread.

    Attributes:
        program: Its file in the shipping folder.
        preparing_ms: From decoded pixels to what the model reads: median of the rounds.
        preparing_interval_ms: 95 % interval of it; None where the rounds are too few to carry one.
        reading_ms: From the model's answer to classes, a mask or objects.
        reading_interval_ms: The same of that.
        pictures: How many were prepared and read in each round.
        picture_size: Their width and height.
        shown: What they show: "test images" or "probes".
        rounds: How many there were.
    """

    program: str
    preparing_ms: float
    preparing_interval_ms: tuple[float, float] | None
    reading_ms: float
    reading_interval_ms: tuple[float, float] | None
    pictures: int
    picture_size: tuple[int, int]
    shown: str
    rounds: int

    @property
    def preparing(self) -> Reading:
        """What preparing a picture takes."""
        return self.preparing_ms, self.preparing_interval_ms

    @property
    def reading(self) -> Reading:
        """What reading an answer takes."""
        return self.reading_ms, self.reading_interval_ms

    @property
    def of_what(self) -> str:
        """What it was measured on, in words."""
        width, height = self.picture_size
        return f"{self.program} on {self.pictures} {self.shown} at {width}x{height}, one thread"

    def whole(self, network: Reading) -> Reading:
        """With the network between them; their errors are taken to have nothing to do with each other."""
        parts = (self.preparing, network, self.reading)
        total = sum(ms for ms, _ in parts)
        if any(interval is None for _, interval in parts):
            return total, None
        known = [(ms, interval) for ms, interval in parts if interval is not None]
        low, high = (math.hypot(*(ms - interval[end] for ms, interval in known)) for end in (0, 1))
        return total, (total - low, total + high)

    def on_budget(
        self, network: Reading, budget_ms: float | None, quality: Quality | None = None
    ) -> Verdict | None:
        """Whether the whole would keep a budget, which is of the network alone; None without a budget."""
        return on_budget(*self.whole(network), budget_ms, quality)

    def said(self, network: Reading, budget_ms: float | None, quality: Quality | None = None) -> str:
        """For people, in a line."""
        parts = {
            "network": network,
            "preparing a picture": self.preparing,
            "reading its answer": self.reading,
        }
        text = ", ".join(f"{name} {_said(value)}" for name, value in parts.items())
        text += f", whole {_said(self.whole(network))}"
        found = self.on_budget(network, budget_ms, quality)
        if found is not None:
            text += (
                f": the budget of {budget_ms:g} ms is of the network alone, and {KEPT[found.word]} with them"
            )
        return f"{text} ({self.of_what})"

    def to_json(
        self, network: Reading | None, budget_ms: float | None, quality: Quality | None = None
    ) -> dict[str, Any]:
        """A JSON object, with what follows of the whole."""
        told = asdict(self)
        if network is None:
            return told
        whole_ms, interval_ms = self.whole(network)
        found = self.on_budget(network, budget_ms, quality)
        with_them = None if found is None else found.word
        return {**told, "whole_ms": whole_ms, "whole_interval_ms": interval_ms, "whole_on_budget": with_them}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Around:
        """Rebuild what ``to_json`` wrote."""
        fields = {name: data[name] for name in cls.__dataclass_fields__}
        intervals = {name: interval_of(data, name) for name in fields if name.endswith("interval_ms")}
        width, height = data["picture_size"]
        return cls(**{**fields, **intervals, "picture_size": (width, height)})


def _said(value: Reading) -> str:
    ms, interval = value
    digits = max(2, decimals(ms))
    text = f"{ms:.{digits}f} ms"
    return text if interval is None else f"{text} ({interval[0]:.{digits}f}–{interval[1]:.{digits}f})"

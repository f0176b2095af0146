"""An architecture that was scored, as searches, their histories and their records have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hwnas.statistics.metric import ACCURACY


@dataclass(frozen=True)
class Trial:
    """One architecture that was scored.

    Attributes:
        indices: The architecture.
        quality: What an evaluator said, in [0, 1]; higher is better.
        latencies_ms: Predicted latency, one a constraint on a latency.
        objectives: The problem's other objectives.
        limited: What other constraints count, each in its own unit; with the latencies in older files.
        share: Of a whole training that it had before it was scored.
    """

    indices: tuple[int, ...]
    quality: float
    latencies_ms: tuple[float, ...]
    objectives: tuple[float, ...] = ()
    limited: tuple[float, ...] = ()
    share: float = 1.0

    @property
    def costs(self) -> tuple[float, ...]:
        """One a constraint, those on latencies first."""
        return (*self.latencies_ms, *self.limited)

    def shown(self) -> dict[str, float]:
        """Its first latency as that of the best, for who watches a search; nothing where there is none."""
        return {"best_latency_ms": self.latencies_ms[0]} if self.latencies_ms else {}

    def to_json(self, score: str = ACCURACY.score_key) -> dict[str, Any]:
        """A JSON object; ``score`` is what the quality is called there."""
        names = ("indices", "latencies_ms", "objectives", *(("limited",) if self.limited else ()))
        found = {score: self.quality, **{name: list(getattr(self, name)) for name in names}}
        return found if self.share == 1 else {**found, "share": self.share}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trial:
        """Rebuild what ``to_json`` wrote; raises KeyError, TypeError or ValueError where it is none."""
        return cls(
            tuple(int(i) for i in data["indices"]),
            float(quality_of(data)),
            tuple(float(v) for v in data["latencies_ms"]),
            tuple(float(v) for v in data.get("objectives", ())),
            tuple(float(v) for v in data.get("limited", ())),
            float(data.get("share", 1.0)),
        )


def score_of(record: Mapping[str, Any]) -> str:
    """What the scores in a record of a search are called: "accuracy", or of another task "quality"."""
    return "quality" if "quality" in record else ACCURACY.score_key


def quality_of(record: Mapping[str, Any]) -> Any:
    """The score of an architecture in a record of a search."""
    return record[score_of(record)]

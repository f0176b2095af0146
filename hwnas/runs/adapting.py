"""``adapt.json``: what was tried to make a network keep a budget, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hwnas.device import Target
from hwnas.runs.finalists import INTERVAL
from hwnas.runs.parts import METRIC, TARGET, as_written, interval_of, metric_of
from hwnas.shapes import COUNT, NONE, SIZE, SOME, require
from hwnas.shown import Display, ShownTable, cell, ends, low_high
from hwnas.statistics.metric import Metric
from hwnas.statistics.verdict import NOISY, UNUSABLE

SCHEMA = "hwnas-adapt/1"
ADAPTED = "the record of an adaptation"
_STEP = {
    "rung": str,
    "what": str,
    "target": TARGET,
    "ms": SIZE,
    "interval_ms": INTERVAL,
    "session": str,
    "keeps": bool,
    "value": (float, NONE),
    "interval": INTERVAL,
    "resolution": SOME,
    "note": str,
}
_SHAPE = {
    "model": str,
    "target": TARGET,
    "budget_ms": SIZE,
    "asked": str,
    "seed": COUNT,
    "metric": METRIC,
    "images": COUNT,
    "steps": [_STEP],
    "taken": (COUNT, NONE),
    "seconds": SIZE,
}


@dataclass(frozen=True)
class AdaptStep:
    """A network that was tried.

    Attributes:
        rung: What was changed: "as it is", "runtime", "resolution", "widths" or "blocks".
        what: The network, for people.
        target: What it was measured on.
        ms: Its latency.
        interval_ms: 95 % interval of that; None where the rounds carry none.
        session: Whether that can be believed: "stable", "noisy" or "unusable".
        keeps: Whether it is proven to keep the budget.
        value: The task's metric on validation images after short tuning; None where nobody looked.
        interval: 95 % interval of that.
        resolution: Pixels that it sees.
        note: What else is to be known.
    """

    rung: str
    what: str
    target: Target
    ms: float
    interval_ms: tuple[float, float] | None
    session: str
    keeps: bool
    value: float | None = None
    interval: tuple[float, float] | None = None
    resolution: int = 0
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {**asdict(self), "target": self.target.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AdaptStep:
        """Rebuild what ``to_json`` wrote."""
        known = {**data, "target": Target.from_json(data["target"])}
        known |= {"interval_ms": interval_of(data, "interval_ms"), "interval": interval_of(data, "interval")}
        return cls(**{name: known[name] for name in cls.__dataclass_fields__ if name in known})


@dataclass(frozen=True, repr=False)
class AdaptRecord(ShownTable):
    """What came of an adaptation.

    Attributes:
        model: What was given.
        target: What the budget is on.
        budget_ms: The budget.
        asked: As it was typed.
        seed: Of all randomness.
        metric: Of the task.
        images: Validation images that values are of.
        steps: What was tried; the first is the network as it is.
        taken: Number of the step that ships; None where none keeps the budget.
        seconds: Wall time.
        notes: Why something that was to be tried came to nothing, for people.
        more: Further facts, as settings.
    """

    model: str
    target: Target
    budget_ms: float
    asked: str
    seed: int
    metric: Metric
    images: int
    steps: tuple[AdaptStep, ...]
    taken: int | None
    seconds: float
    notes: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def doubts(self) -> tuple[str, ...]:
        """What was measured in sessions that were not stable, for people: a line a word."""
        odd = {word: [step.what for step in self.steps if step.session == word] for word in (NOISY, UNUSABLE)}
        return tuple(
            f"measured in a session that was {word}: {'; '.join(what)}" for word, what in odd.items() if what
        )

    def flat(self) -> list[dict[str, Any]]:
        """One flat object a network that was tried, as for a data frame; None of what is not known."""
        return [self._flat(place, step) for place, step in enumerate(self.steps)]

    def view(self) -> Display:
        """What was tried, and what of it ships."""
        kept = "nothing keeps it" if self.taken is None else f"taken: {self.steps[self.taken].what}"
        columns = ("changed", "network", "on", "latency", "95 % interval", "keeps it", self.metric.name)
        rows = [
            (
                step.rung,
                step.what,
                str(step.target),
                cell(step.ms, "ms"),
                ends(step.interval_ms),
                "yes" if step.keeps else "not proven",
                "" if step.value is None else self.metric.text(step.value),
            )
            for step in self.steps
        ]
        title = f"{self.model} within {self.budget_ms:.4g} ms on {self.target}: {kept}"
        return Display(title, columns, rows, (*self.doubts, *self.notes))

    def _flat(self, place: int, step: AdaptStep) -> dict[str, Any]:
        key = self.metric.key
        return {
            "rung": step.rung,
            "network": step.what,
            "target": str(step.target),
            "latency_ms": step.ms,
            **low_high(step.interval_ms, "_ms"),
            "budget_ms": self.budget_ms,
            "keeps": step.keeps,
            "session": step.session,
            f"val_{key}": step.value,
            **low_high(step.interval, f"_val_{key}"),
            "resolution_px": step.resolution or None,
            "taken": place == self.taken,
            "note": step.note,
        }

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "schema": SCHEMA,
            **{name: getattr(self, name) for name in ("model", "budget_ms", "asked", "seed", "images")},
            "target": self.target.to_json(),
            "metric": asdict(self.metric),
            "steps": [step.to_json() for step in self.steps],
            "taken": self.taken,
            "seconds": self.seconds,
            "notes": list(self.notes),
            "more": dict(self.more),
        }

    @classmethod
    def from_json(cls, data: Any, path: Path, remedy: str) -> AdaptRecord:
        """Rebuild what ``to_json`` wrote.

        Raises:
            SchemaMismatch: It does not hold what it must.
        """
        require(data, _SHAPE, ADAPTED, path, remedy)
        with as_written(ADAPTED, path, remedy, "adapt"):
            plain = ("model", "budget_ms", "asked", "seed", "images", "taken", "seconds")
            return cls(
                **{name: data[name] for name in plain},
                target=Target.from_json(data["target"]),
                metric=metric_of(data),
                steps=tuple(map(AdaptStep.from_json, data["steps"])),
                notes=tuple(map(str, data.get("notes", ()))),
                more=dict(data.get("more", {})),
            )

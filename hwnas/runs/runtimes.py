"""Which runtime a search was for, where it was asked to choose: what each one took."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from hwnas import files
from hwnas.device import Target
from hwnas.errors import SchemaMismatch
from hwnas.runs.folder import RunFolder
from hwnas.runs.parts import TARGET, pair_of
from hwnas.shapes import NONE, SIZE, Items, require
from hwnas.statistics.differences import ratio_interval

SCHEMA = "hwnas-runtimes/1"
_INTERVAL = Items(float, 2, 2)
_SHAPE = {
    "schema": str,
    "choices": {
        str: {
            "network": str,
            "readings": [
                {"target": TARGET, "ms": [SIZE], "intervals_ms": [(_INTERVAL, NONE)], "has_table": bool}
            ],
            "left_out": {str: str},
            "chosen": TARGET,
        }
    },
}


@dataclass(frozen=True)
class RuntimeReading:
    """What a runtime takes for the network that all are compared by.

    Attributes:
        target: The runtime and all else.
        ms: Its latency in each session.
        intervals_ms: 95 % intervals of those; None where the rounds are too few for one.
        has_table: Whether there is a latency table of it, that a search can believe.
    """

    target: Target
    ms: tuple[float, ...]
    intervals_ms: tuple[tuple[float, float] | None, ...]
    has_table: bool

    @property
    def mean_ms(self) -> float:
        """Over the sessions."""
        return fmean(self.ms)

    @property
    def range_ms(self) -> tuple[float, float] | None:
        """What the intervals of all sessions span; None where one of them has none."""
        known = [item for item in self.intervals_ms if item is not None]
        if len(known) < len(self.intervals_ms):
            return None
        return min(low for low, _ in known), max(high for _, high in known)

    @property
    def text(self) -> str:
        """Milliseconds with what the sessions span."""
        span = self.range_ms
        return f"{self.mean_ms:.3g} ms" + (f" ({span[0]:.3g} to {span[1]:.3g})" if span else "")

    def is_slower(self, other: RuntimeReading) -> bool:
        """Whether it is shown to be: in every session, since clocks change from one to the next."""
        sessions = zip(self.ms, self.intervals_ms, other.ms, other.intervals_ms, strict=True)
        return all((ratio_interval(*session) or (0.0, math.inf))[0] > 1 for session in sessions)


@dataclass(frozen=True)
class RuntimeChoice:
    """The runtimes that were compared, and the one that is searched on.

    Attributes:
        network: Key of the network that was measured.
        readings: One for each runtime that could be used, the device's preferred one first.
        left_out: Why others could not be, by name.
        chosen: The first of those that no other is shown to be faster than, or of those with a table.
    """

    network: str
    readings: tuple[RuntimeReading, ...]
    left_out: Mapping[str, str]
    chosen: Target

    @property
    def reading(self) -> RuntimeReading:
        """That of the chosen one."""
        return next(item for item in self.readings if item.target == self.chosen)

    @property
    def said(self) -> str:
        """What was chosen and why, in a sentence."""
        text = f"{self.chosen.runtime} is searched on: {self.reading.text}"
        others = [item for item in self.readings if item is not self.reading]
        for item in sorted(others, key=lambda item: item.mean_ms):
            text += (
                f"; {item.target.runtime} {item.text}{'' if self.is_told_apart(item) else ', not told apart'}"
            )
        return text + (f"; not usable: {', '.join(self.left_out)}" if self.left_out else "")

    def is_told_apart(self, item: RuntimeReading) -> bool:
        """Whether it is shown to be slower or faster than the chosen one."""
        return item.is_slower(self.reading) or self.reading.is_slower(item)

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "network": self.network,
            "readings": [asdict(item) for item in self.readings],
            "left_out": dict(self.left_out),
            "chosen": self.chosen.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RuntimeChoice:
        """Rebuild what ``to_json`` wrote."""
        readings = tuple(
            RuntimeReading(
                Target.from_json(item["target"]),
                tuple(item["ms"]),
                tuple(pair if pair is None else pair_of(pair) for pair in item["intervals_ms"]),
                item["has_table"],
            )
            for item in data["readings"]
        )
        chosen = Target.from_json(data["chosen"])
        if chosen not in [item.target for item in readings]:
            raise SchemaMismatch(
                f"{chosen} must have been measured to be chosen, but was not", field="chosen"
            )
        return cls(data["network"], readings, data["left_out"], chosen)


def choose(network: str, readings: Sequence[RuntimeReading], left_out: Mapping[str, str]) -> RuntimeChoice:
    """The first runtime that no other is shown to be faster than, among these one with a table.

    Args:
        network: Key of the network that was measured.
        readings: One or more, the device's preferred one first.
        left_out: Why others could not be used, by name.
    """
    fastest = min(readings, key=lambda item: item.mean_ms)
    alike = [item for item in readings if not item.is_slower(fastest)]
    chosen = next((item for item in alike if item.has_table), alike[0])
    return RuntimeChoice(network, tuple(readings), left_out, chosen.target)


def read(run: Path) -> dict[str, RuntimeChoice]:
    """The choices of a run, by what was asked for as ``host/auto-int8``; none where there is no file.

    Raises:
        SchemaMismatch: It is not as hwnas writes it.
    """
    path = RunFolder(run).runtimes
    if not path.exists():
        return {}
    data = files.read_json(path, "the runtimes of a run")
    require(data, _SHAPE, "the runtimes of a run", path, "search anew into another folder")
    if data["schema"] != SCHEMA:
        raise SchemaMismatch(f"{path} must be of schema {SCHEMA}, but is of {data['schema']}", field="schema")
    return {name: RuntimeChoice.from_json(item) for name, item in data["choices"].items()}


def write(run: Path, choices: Mapping[str, RuntimeChoice]) -> None:
    """Keep the choices of a run."""
    found = {name: choice.to_json() for name, choice in choices.items()}
    files.write_json(RunFolder(run).runtimes, {"schema": SCHEMA, "choices": found})

"""``tracking.json``: which run of each tracker is of a run folder, and what was told to it already.

Whoever goes on with a search or a training, or runs the next stage, goes on with the same run and tells
nothing twice. Addresses are kept without user, password and query.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hwnas import files
from hwnas.errors import HwnasError
from hwnas.runs.folder import RunFolder
from hwnas.shapes import COUNT, NONE, SOME, Items, require
from hwnas.tracking.curves import Moment

SCHEMA = "hwnas-tracking/1"
_WHAT, _REMEDY = "the record of trackers", "delete it to begin their runs anew"
_SHAPE = {
    "schema": str,
    "trackers": {
        str: {
            "run": (str, NONE),
            "steps": {str: [Items(COUNT, 2, 2)]},
            "told": {str: {"sha256": str, "times": SOME}},
            "waiting?": [{"curves": str, "step": COUNT, "values": {str: float}, "at_ms": COUNT}],
        }
    },
}


@dataclass
class Logged:
    """What a tracker knows of a run folder.

    Attributes:
        run: What the tracker's run is known by; None where none was begun.
        steps: By group of curves the steps that were told, as first and last of each row of them.
        told: By name of anything else, the hash of what was told and how often it was.
        waiting: Steps that it did not take, and when they were, in milliseconds of Unix time.
    """

    run: str | None = None
    steps: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    told: dict[str, tuple[str, int]] = field(default_factory=dict)
    waiting: list[tuple[Moment, int]] = field(default_factory=list)

    def has(self, curves: str, step: int) -> bool:
        """Whether a step was told."""
        return any(first <= step <= last for first, last in self.steps.get(curves, ()))

    def add(self, curves: str, step: int) -> None:
        """Take note of a step."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted([*self.steps.get(curves, ()), (step, step)]):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        self.steps[curves] = merged

    def times(self, name: str, content: Any) -> int | None:
        """The number that telling something would have, from 1; None where the same was told last.

        Args:
            name: What it is called.
            content: Plain JSON, or the hash of a file.
        """
        return None if self.was(name, content) else self.told.get(name, ("", 0))[1] + 1

    def was(self, name: str, content: Any) -> bool:
        """Whether that was told last."""
        return self.told.get(name, ("", 0))[0] == _digest(content)

    def tell(self, name: str, content: Any) -> None:
        """Take note that it was told."""
        self.told[name] = (_digest(content), self.told.get(name, ("", 0))[1] + 1)

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        told = {name: {"sha256": digest, "times": times} for name, (digest, times) in self.told.items()}
        waiting = [{**asdict(moment), "at_ms": at_ms} for moment, at_ms in self.waiting]
        return {"run": self.run, "steps": self.steps, "told": told, "waiting": waiting}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Logged:
        """Rebuild what ``to_json`` wrote."""
        steps = {name: [(first, last) for first, last in rows] for name, rows in data["steps"].items()}
        told = {name: (item["sha256"], item["times"]) for name, item in data["told"].items()}
        waiting = [
            (Moment(item["curves"], item["step"], item["values"]), item["at_ms"])
            for item in data.get("waiting", ())
        ]
        return cls(data["run"], steps, told, waiting)


def read(folder: Path) -> dict[str, Logged]:
    """What each tracker knows of a run folder, by its name and place.

    Raises:
        HwnasError: The file is damaged, or of another version.
    """
    path = RunFolder(folder).tracking
    if not path.exists():
        return {}
    data = files.read_json(path, _WHAT, _REMEDY)
    require(data, _SHAPE, _WHAT, path, _REMEDY)
    if data["schema"] != SCHEMA:
        raise HwnasError(f"{_WHAT} must be of schema {SCHEMA}, but {path} is not: {_REMEDY}")
    return {name: Logged.from_json(item) for name, item in data["trackers"].items()}


def write(folder: Path, known: Mapping[str, Logged]) -> None:
    """Keep what trackers know; those that nothing is known of are left out."""
    trackers = {name: item.to_json() for name, item in known.items() if item.run or item.waiting}
    files.write_json(RunFolder(folder).tracking, {"schema": SCHEMA, "trackers": trackers})


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

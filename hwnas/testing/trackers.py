"""What a tracker must keep."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from hwnas.runs.folder import RunFolder
from hwnas.testing.claims import claim, works
from hwnas.tracking import TRACKERS, Point, Tracker, made
from hwnas.tracking.base import FAILED, FINISHED, Cell

_ROWS: tuple[Mapping[str, Cell], ...] = (
    {"network": "0.1", "accuracy": 0.5, "ms": None},
    {"network": "1.1", "accuracy": 0.75, "ms": 2.0},
)


def check_tracker(name: str, folder: Path) -> None:
    """Claim that a tracker takes all that it is told, and goes on with its run in another process.

    What it keeps is for its own reader to say.

    Args:
        name: As behind ``--track``, with a place or without.
        folder: An empty one, as the folder of a run.

    Raises:
        AssertionError: Something does not hold.
    """
    kind = name.partition(":")[0]
    claim(kind in TRACKERS, f"a tracker must be registered, but {kind!r} is not among {sorted(TRACKERS)}")
    file = RunFolder(folder).arch
    file.write_text("{}", encoding="utf-8")
    with works(f"the tracker {kind!r}"):
        (first,) = made([name])
        claim(first.name == kind, f"{kind}: its name must be the one that it has, but is {first.name!r}")
        claim(isinstance(first.place, str), f"{kind}: its place must be text, but is {first.place!r}")
        run = _told(first, file, None, 1, FAILED)
        claim(isinstance(run, str) and run, f"{kind}: a run must be known by a text, but got {run!r}")
        (again,) = made([name])
        same = _told(again, file, run, 2, FINISHED)
        claim(same == run, f"{kind}: another process must go on with the run {run}, but began {same}")


def _told(tracker: Tracker, file: Path, known: str | None, step: int, status: str) -> str:
    """A stage that tells all that there is."""
    tracker.check(file.parent)
    run = tracker.begin("checked", file.parent, known)
    tracker.parameters({"search/strategy": "random", "train/epochs": str(step)})
    tracker.scalars([Point(f"train/{name}", step, 0.5, round(time.time() * 1000)) for name in ("loss", "b")])
    tracker.table("front", _ROWS)
    tracker.text("verified/host", "NOT PROVEN\nthe interval is wide")
    tracker.file(file, file.name)
    tracker.end(status)
    return run

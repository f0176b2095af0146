"""What a tracker is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

FINISHED, FAILED, INTERRUPTED = "finished", "failed", "interrupted"
"""How a stage of a run ended."""

Cell = str | float | None
"""What stands in a table."""


@dataclass(frozen=True)
class Point:
    """A number of a curve.

    Attributes:
        name: Of the curve, as "train/loss"; it ends with the unit, if there is one, as "verify/latency_ms".
        step: Where on the curve: an epoch, a step, a query, from 1.
        value: The number; finite.
        at_ms: When it was known, in milliseconds of Unix time.
    """

    name: str
    step: int
    value: float
    at_ms: int


class Tracker(Protocol):
    """Where a run is shown. Made with the text behind the colon of ``--track NAME:PLACE``, or "".

    It may raise what it likes once a run has begun: work goes on, and what was not taken is told to the user.
    Nothing is told twice, also not by a process that goes on with a run.

    Attributes:
        name: Of the tracker.
        place: Where it keeps runs, as text; what tells it from others of its name.
    """

    name: ClassVar[str]
    place: str

    def check(self, folder: Path) -> None:
        """Look whether it can be used, before any work begins; leaves no run behind.

        Args:
            folder: Of the run, which may not be there yet.

        Raises:
            TrackingError: Its package is not installed, or its place is none.
        """

    def begin(self, title: str, folder: Path, run: str | None) -> str:
        """Begin a run, or go on with one.

        Args:
            title: What people call it.
            folder: Its run folder.
            run: What an earlier process got from this function for this folder; None for a new run.

        Returns:
            What it is known by; another one where the earlier run is not there any more.
        """

    def parameters(self, values: Mapping[str, str]) -> None:
        """What was asked for, by name; all of it each time that something changed."""

    def scalars(self, points: Sequence[Point]) -> None:
        """Further numbers of curves, in order."""

    def table(self, name: str, rows: Sequence[Mapping[str, Cell]]) -> None:
        """A table, by name of its columns; takes the place of an earlier one of its name."""

    def text(self, name: str, text: str) -> None:
        """A text, whose first line is the short of it; takes the place of an earlier one of its name."""

    def file(self, path: Path, name: str) -> None:
        """A file of the run; takes the place of an earlier one of its name.

        Args:
            path: Where it is.
            name: Its path within the run folder, with slashes.
        """

    def end(self, status: str) -> None:
        """A stage is over; another process may go on with the run.

        Args:
            status: ``FINISHED``, ``FAILED`` or ``INTERRUPTED``.
        """

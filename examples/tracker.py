"""A tracker of one's own: the numbers of all runs in one file of comma-separated values.

hwnas train RUN --plugin tracker.py --track csv:all.csv
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hwnas import tracking
from hwnas.tracking import Point


@tracking.register
class Csv:
    """Appends a line a number; what is no number stays in the run folder."""

    name: ClassVar[str] = "csv"

    def __init__(self, place: str = "") -> None:
        self.place = place or "hwnas.csv"  # what stands behind the colon of --track csv:all.csv
        self._title = ""

    def check(self, folder: Path) -> None:
        """What cannot work is said here, before any work begins; nothing can be wrong yet."""

    def begin(self, title: str, folder: Path, run: str | None) -> str:
        """Runs are told apart by their titles; hwnas keeps what is returned for the stages that follow."""
        self._title = run or title
        if not Path(self.place).exists():
            self._append([("run", "name", "step", "value")])
        return self._title

    def scalars(self, points: Sequence[Point]) -> None:
        """Numbers come in small batches while a stage runs, and none comes twice."""
        self._append([(self._title, each.name, each.step, each.value) for each in points])

    def parameters(self, values: Mapping[str, str]) -> None:
        """What was asked for."""

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """The front of networks, and the gallery."""

    def text(self, name: str, text: str) -> None:
        """Verdicts."""

    def file(self, path: Path, name: str) -> None:
        """Models, weights, records, the report."""

    def end(self, status: str) -> None:
        """The stage is over."""

    def _append(self, lines: Sequence[Sequence[Any]]) -> None:
        with Path(self.place).open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(lines)

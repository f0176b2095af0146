"""The runs as they are listed: read when something of them changed, and never broken by one that is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TypeVar

from hwnas import report
from hwnas.errors import HwnasError, in_words
from hwnas.report import RunSummary
from hwnas.runs.folder import RunFolder
from hwnas.serve import folders
from hwnas.serve.folders import SeenRun
from hwnas.statistics.verdict import FAIL, NOT_PROVEN, PASS

_Made = TypeVar("_Made")
_FRESH_S = 60.0  # a run whose newest file is younger is being written
_KINDS = {PASS: "good", NOT_PROVEN: "warn", FAIL: "bad"}
_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))

COLUMNS = ("what it is", "stages", "verdict", "on test images", "latency", "changed")


@dataclass(frozen=True)
class ListedRun:
    """A line of the list.

    Attributes:
        name: Of the run, by which it is asked for.
        cells: What stands in each of ``COLUMNS``.
        kind: Of the verdict: "good", "warn", "bad" or empty.
        is_whole: Whether there is a report to be shown.
    """

    name: str
    cells: dict[str, str]
    kind: str
    is_whole: bool


@dataclass(frozen=True)
class _Known:
    """What was read of a run, and of which version of its files."""

    version: object
    summary: RunSummary | None
    wrong: str


class Catalogue:
    """Runs below some folders; safe to be used by several threads.

    Args:
        roots: The folders.
        now: Seconds since 1970.
    """

    def __init__(self, roots: Sequence[Path], now: Callable[[], float] = time.time) -> None:
        self._roots, self._now = tuple(roots), now
        self._known: dict[Path, _Known] = {}
        self._guard = Lock()

    def runs(self) -> list[ListedRun]:
        """All runs, in the order of their names."""
        with self._guard:
            there = {name: folders.state(path, self._roots) for name, path in self._find().items()}
            self._known = {found.path: self._read(found) for found in there.values()}
            return [self._listed(name, found, self._known[found.path]) for name, found in there.items()]

    def report(self, name: str) -> str:
        """The report of a run, as ``hwnas report`` makes it.

        Raises:
            KeyError: There is no run of that name.
            HwnasError: It cannot be read.
        """
        path = self._path(name)
        return _said_of({name: path}, lambda: report.page(path))

    def compared(self, first: str, second: str) -> str:
        """A page about two runs.

        Raises:
            KeyError: There is no run of one of the names.
            HwnasError: One cannot be read.
        """
        paths = {name: self._path(name) for name in (first, second)}
        return _said_of(paths, lambda: report.compared(paths[first], paths[second], (first, second)))

    def _find(self) -> dict[str, Path]:
        return folders.find(self._roots)

    def _path(self, name: str) -> Path:
        path = self._find()[name]
        if wrong := folders.state(path, self._roots).wrong:
            raise HwnasError(f"a run must be made of files of its own, but in {name} {wrong}: take that away")
        return path

    def _read(self, found: SeenRun) -> _Known:
        known = self._known.get(found.path)
        if known is not None and known.version == found.version:
            return known
        if found.wrong:
            return _Known(found.version, None, found.wrong)
        if not RunFolder(found.path).arch.exists() and found.begun:
            return _Known(found.version, None, "")
        try:
            summary = _said_of({found.path.name: found.path}, lambda: report.summarised(found.path))
            return _Known(found.version, summary, "")
        except HwnasError as error:
            return _Known(found.version, None, str(error))

    def _listed(self, name: str, found: SeenRun, known: _Known) -> ListedRun:
        summary, age_s = known.summary, max(0.0, self._now() - found.changed)
        cells = dict.fromkeys(COLUMNS, "–") | {"changed": _changed(found, age_s)}
        cells["stages"] = _stages(summary.stages if summary else (), found.begun if not known.wrong else "")
        if known.wrong:
            cells["what it is"] = f"cannot be read: {known.wrong}"
        if summary is None:
            return ListedRun(name, cells, "", is_whole=False)
        budgets = ", ".join(f"{item.name} within {item.budget}" for item in summary.targets)
        cells["what it is"] = f"{summary.origin}; {summary.task} of {summary.data}; {budgets or 'no budget'}"
        cells["verdict"] = summary.verdict.word if summary.verdict else "not measured yet"
        cells["on test images"] = summary.quality or "not trained yet"
        latencies = (f"{item.name}: {item.latency or 'not measured yet'}" for item in summary.targets)
        cells["latency"] = "; ".join(latencies) or "–"
        kind = _KINDS[summary.verdict.word] if summary.verdict else ""
        return ListedRun(name, cells, kind, is_whole=True)


def _said_of(paths: dict[str, Path], made: Callable[[], _Made]) -> _Made:
    """What is made of runs; whatever is wrong with them is a sentence, with their names for their folders."""
    try:
        return made()
    except Exception as error:
        text = str(error) if isinstance(error, HwnasError) else in_words(error)
        for name, path in paths.items():
            text = text.replace(str(path), name)
        raise HwnasError(text) from error


def _stages(reached: Sequence[str], begun: str) -> str:
    done = ", ".join(reached)
    return f"{done}; {begun}" if done and begun else done or begun or "–"


def _changed(found: SeenRun, age_s: float) -> str:
    if not found.changed:
        return "–"
    ago = f"{_ago(age_s)} ago"
    if age_s < _FRESH_S:
        return f"{ago}, being written"
    return f"{ago}, a process has it or was killed" if found.is_held else ago


def _ago(seconds: float) -> str:
    size, unit = next((each for each in _UNITS if seconds >= each[0]), _UNITS[-1])
    return f"{seconds / size:.0f} {unit}"

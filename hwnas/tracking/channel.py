"""One tracker of a run: what waits for it, what it knows, and that it may fail."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from hwnas import files
from hwnas.tracking import curves
from hwnas.tracking.base import Point, Tracker
from hwnas.tracking.curves import Moment
from hwnas.tracking.facts import Fact, Records
from hwnas.tracking.logged import Logged
from hwnas.tracking.places import masked, reason

_log = logging.getLogger(__name__)


class Channel:
    """Tells a tracker everything once, in order.

    Args:
        tracker: The tracker.
        folder: Of the run.
        title: What people call the run.
        known: What the tracker knows of it.
    """

    def __init__(self, tracker: Tracker, folder: Path, title: str, known: Logged) -> None:
        self.known = known
        self._tracker, self._folder, self._title = tracker, folder, title
        self._is_begun = self._is_failing = self._is_warned = False
        self._waiting, known.waiting = known.waiting, []

    @staticmethod
    def name_of(tracker: Tracker) -> str:
        """A tracker and where it keeps runs, for messages and records."""
        return masked(f"{tracker.name}:{tracker.place}" if tracker.place else tracker.name)

    @property
    def name(self) -> str:
        """The same of its own."""
        return self.name_of(self._tracker)

    def hear(self, moment: Moment, at_ms: int) -> None:
        """Have a step wait until the next ``flush``."""
        self._waiting.append((moment, at_ms))

    def flush(self) -> None:
        """Hand on what waits, unless the tracker failed before."""
        if not self._is_failing:
            self._tried(self._hand_on)

    def settle(self, found: Records | None, status: str) -> list[str]:
        """At the end of a stage: all that waits, all that files say, and how it ended.

        A tracker that failed on the way is asked once more.

        Args:
            found: What files say; None where that is not to be told.
            status: How the stage ended.

        Returns:
            What it could not be told.
        """
        for moment in () if found is None else curves.of_records(found.search, found.training):
            self.hear(moment, _now_ms())
        if not self._is_begun and not self._fresh() and not any(self._jobs(found)):
            return []
        self._is_failing = False
        missing = [] if self._tried(self._hand_on) else [f"{len(self._fresh())} steps"]
        missing += [name for name, job in self._jobs(found) if self._is_failing or not self._tried(job)]
        if not self._is_failing:
            self._tried(partial(self._tracker.end, status))
        self.known.waiting = list(self._fresh().values())
        return missing

    def _begin(self) -> None:
        """Begin the tracker's run, or go on with it; what it knows is nothing where it is a new one."""
        if self._is_begun:
            return
        run = self._tracker.begin(self._title, self._folder, self.known.run)
        if run != self.known.run:
            self.known = Logged(run)
        self._is_begun = True

    def _fresh(self) -> dict[tuple[str, int], tuple[Moment, int]]:
        """What waits, as far as it was not told before, by its curves and step."""
        found: dict[tuple[str, int], tuple[Moment, int]] = {}
        for moment, at_ms in self._waiting:
            if not self.known.has(moment.curves, moment.step):
                found.setdefault((moment.curves, moment.step), (moment, at_ms))
        return found

    def _hand_on(self) -> None:
        """Tell the steps that wait, and were not told before."""
        self._begin()
        fresh = self._fresh()
        points = [
            Point(f"{moment.curves}/{name}", moment.step, value, at_ms)
            for moment, at_ms in fresh.values()
            for name, value in moment.values.items()
        ]
        if points:
            self._tracker.scalars(points)
        for key in fresh:
            self.known.add(*key)
        self._waiting.clear()

    def _jobs(self, found: Records | None) -> Iterator[tuple[str, Callable[[], None]]]:
        """What else is to be told, as far as it is not what was told last: its name, and what tells it."""
        if found is None:
            return
        values = found.parameters()
        told: list[tuple[str, Any, Callable[[int], None]]] = [
            ("parameters", values, lambda _: self._tracker.parameters(values)),
            *((fact.name, fact.to_json(), partial(self._say, fact)) for fact in found.facts()),
            *((name, files.sha256(path), partial(self._send, path, name)) for name, path in found.files()),
        ]
        for name, content, tell in told:
            times = self.known.times(name, content)
            if times is not None:
                yield name, partial(self._once, name, content, partial(tell, times))

    def _once(self, name: str, content: Any, tell: Callable[[], None]) -> None:
        tell()
        self.known.tell(name, content)

    def _say(self, fact: Fact, times: int) -> None:
        """Numbers by how often they were told; a table also as the points of a curve, in its order."""
        now = _now_ms()
        points = [Point(name, times, value, now) for name, value in fact.scalars.items()]
        for step, row in enumerate(fact.rows if times == 1 else (), 1):
            numbers = {name: value for name, value in row.items() if isinstance(value, float)}
            points += [Point(f"{fact.name}/{name}", step, value, now) for name, value in numbers.items()]
        if points:
            self._tracker.scalars(points)
        if fact.rows:
            self._tracker.table(fact.name, fact.rows)
        if fact.text:
            self._tracker.text(fact.name, fact.text)

    def _send(self, path: Path, name: str, _: int) -> None:
        self._tracker.file(path, name)

    def _tried(self, call: Callable[[], None]) -> bool:
        """Whether a call went well; the first that does not is told, whatever it raised."""
        try:
            call()
        except Exception as error:  # noqa: BLE001  (a tracker is foreign code, and may be far away)
            if not self._is_warned:
                _log.warning("%s fails, and the run goes on without it: %s", self.name, reason(error))
            self._is_failing = self._is_warned = True
            return False
        return True


def _now_ms() -> int:
    return round(time.time() * 1000)

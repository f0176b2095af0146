"""How long what counts still takes, by what it took so far: one rule and one format for all commands."""

from __future__ import annotations

import re
import time

from hwnas.durations import duration

COUNT = r"(\d+)(?:/| of )(\d+)"
"""How what counts is written: what is done, and of how many."""
_COUNT = re.compile(rf"(?<![\w.]){COUNT}(?![\w.%])")
_LEAST = 2  # steps that must be done before anything is said


class Pace:
    """Reads the counts of what is told, ``training: epoch 3/10`` or ``4 of 9 rounds``.

    Steps that are done when a count is first seen, as in a run that goes on, tell nothing of its pace.
    """

    def __init__(self) -> None:
        self._first: dict[str, tuple[int, float]] = {}  # by what counts: what was done, and when
        self._last: dict[str, int] = {}

    def told(self, text: str) -> str:
        """The text, with about how long is left where that can be said."""
        left_s = self.left_s(text)
        is_said = text.endswith(" left")  # by what counts itself, which knows better
        return text if left_s is None or is_said else f"{text}  [dim]about {duration(left_s)} left[/]"

    def left_s(self, text: str) -> float | None:
        """Seconds until all that a text counts is done; None where that cannot be said."""
        found = _COUNT.search(text)
        if found is None:
            return None
        name, done, total = text[: found.start()], int(found[1]), int(found[2])
        now = time.monotonic()
        if done < self._last.get(name, done + 1):  # the first one, or another one of the same name
            self._first[name] = done, now
        before, since = self._first[name]
        self._last[name] = done
        if done - before < _LEAST or done >= total or now <= since:
            return None
        return (now - since) / (done - before) * (total - done)

"""The two streams: results, and beside them what is being done, as loud as is asked for."""

from __future__ import annotations

import logging
import os
import re
import time
from datetime import datetime
from enum import IntEnum
from typing import Any

from rich.console import Console, ConsoleDimensions, RenderableType
from rich.errors import MarkupError
from rich.status import Status
from rich.text import Text

from hwnas.cli import _runlog
from hwnas.cli._pace import COUNT, Pace

_UNBOUNDED = 4096  # columns of a file or a pipe, where nothing is gained by breaking lines
_STYLES = "default|bold|dim|red|green|yellow|bold red|bold green|bold yellow"
_FOREIGN = re.compile(rf"(?<!\\)\[(?=[A-Za-z#/@])(?!(?:/|{_STYLES})\])")
"""What looks like markup and is none of ours: a name, a path or a value in brackets."""


_QUIET_S = 60.0
"""Without a terminal, the longest that nothing is printed of what is being done."""
_COUNTED = re.compile(rf"^\d|: |\s{COUNT}")
"""Where a step ends; a number that counts nothing, as in ``56 px``, is part of it."""


class Verbosity(IntEnum):
    """How much is said beside results, warnings and errors: the least level of ``logging``."""

    QUIET = logging.WARNING
    USUAL = logging.INFO
    VERBOSE = logging.DEBUG


class Steps:
    """What is being done, in lines: one a step, and one a minute while a step lasts.

    They are printed where no live view shows them: without a terminal, and with ``--verbose``. The run's log
    has them in any case.

    Args:
        console: Where they are printed.
    """

    def __init__(self, console: Talker) -> None:
        self._console = console
        self._said, self._at = set[str](), time.monotonic()

    def tell(self, text: str) -> None:
        """Take note of what is done; a step is what stands before a colon and before what counts up."""
        step, now = _COUNTED.split(text, maxsplit=1)[0], time.monotonic()
        if step not in self._said or now - self._at >= _QUIET_S:
            line = text if step in self._said or not step else step
            is_shown = self._console.is_terminal and self._console.verbosity != Verbosity.VERBOSE
            self._console.tell(line, is_shown=is_shown)
            self._at = now
        self._said.add(step)


class _Progress(Status):
    """What is being done: on a terminal one line that changes, else steps; nothing when quiet."""

    def __init__(self, text: RenderableType, *, console: Talker) -> None:
        super().__init__(_rendered(text, console), console=console)
        self._is_live = console.verbosity != Verbosity.QUIET
        self._steps, self._pace = Steps(console), console.pace
        self.update(text)

    def start(self) -> None:
        """Show it from now on."""
        if self._is_live:
            super().start()

    def update(self, status: RenderableType | None = None, **given: Any) -> None:
        """As of ``Status``; with about how long is left."""
        if isinstance(status, str):
            status = self._pace.told(status)
            self._steps.tell(status)
        super().update(None if status is None else _rendered(status, self.console), **given)


def _rendered(text: RenderableType, console: Console) -> RenderableType:
    """Text with the styles of the console, which takes brackets that are none."""
    return console.render_str(text) if isinstance(text, str) else text


class Talker(Console):
    """As wide as its terminal, or as its text where there is none; takes text of any origin.

    What one for standard error prints stands in the log of the run as well.

    Attributes:
        verbosity: How much is printed of what is only told.
        pace: Knows how long what is told still takes.
    """

    verbosity = Verbosity.USUAL

    def __init__(self, **settings: Any) -> None:
        super().__init__(emoji=False, **settings)
        self.pace = Pace()

    @property
    def size(self) -> ConsoleDimensions:
        """Width and height in characters."""
        if os.environ.get("COLUMNS") or self.file.isatty():
            return super().size
        return ConsoleDimensions(_UNBOUNDED, 25)

    @size.setter
    def size(self, new: tuple[int, int]) -> None:
        self._width, self._height = new

    def print(self, *objects: Any, **given: Any) -> None:
        """Print, and take note of a line of text."""
        super().print(*objects, **given)
        if self.stderr and objects and isinstance(objects[0], str):
            _runlog.note(self.render_str(objects[0]).plain)

    def tell(self, text: str, level: int = logging.INFO, *, is_shown: bool = False) -> None:
        """Print a line that is neither a result nor a warning, where that much is to be said.

        Args:
            text: The line.
            level: As of ``logging``.
            is_shown: Whether it is to be seen already: then only the log takes note of it.
        """
        if level < self.verbosity or is_shown:
            if level >= logging.INFO:
                _runlog.note(self.render_str(text).plain)
            return
        if self.verbosity == Verbosity.VERBOSE:
            text = f"[dim]{datetime.now():%H:%M:%S}[/] {text}"
        self.print(text, soft_wrap=True, highlight=False)

    def status(self, status: RenderableType, **_: Any) -> Status:
        """What is being done, until its end."""
        return _Progress(status, console=self)

    def render_str(self, text: str, **given: Any) -> Text:
        """Text with the styles that hwnas uses; any other bracket is just a bracket."""
        try:
            return super().render_str(_FOREIGN.sub(r"\[", text), **given)
        except MarkupError:
            return super().render_str(text, **{**given, "markup": False})


out = Talker()
"""Results for people go here (standard output)."""

err = Talker(stderr=True)
"""Progress, warnings and errors go here (standard error)."""

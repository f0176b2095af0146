"""What the layers below log, for people: how data were read, and what is odd about them."""

from __future__ import annotations

import logging

from rich.markup import escape

from hwnas import torchrun
from hwnas.cli._console import Talker


class _ToPeople(logging.Handler):
    """Prints each message once, in whatever live view is shown; one process of torchrun does."""

    def __init__(self, console: Talker) -> None:
        super().__init__()
        self._console = console
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a message."""
        text = record.getMessage()
        if text in self._said or torchrun.number() != 0:
            return
        if record.levelno < logging.INFO:  # each time, with the layer that says it
            self._console.tell(f"[dim]{record.name}[/] {escape(text)}", record.levelno)
            return
        self._said.add(text)
        if record.levelno >= logging.WARNING:
            self._console.print(f"[yellow]warning:[/] {escape(text)}", soft_wrap=True, highlight=False)
        else:
            self._console.tell(f"[dim]read[/] {escape(text)}")


def listen(console: Talker) -> None:
    """Print on a console from now on what is logged, as a new invocation would."""
    log = logging.getLogger("hwnas")
    log.setLevel(min(console.verbosity, logging.INFO))
    log.handlers = [_ToPeople(console)]

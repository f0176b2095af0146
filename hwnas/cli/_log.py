"""What the layers below log, for people: how data were read, and what is odd about them."""

from __future__ import annotations

import logging

from rich.console import Console
from rich.markup import escape

from hwnas import torchrun


class _ToPeople(logging.Handler):
    """Prints each message once, in whatever live view is shown; one process of torchrun does."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a message."""
        text = record.getMessage()
        if text in self._said or torchrun.number() != 0:
            return
        self._said.add(text)
        mark = "[yellow]warning:[/] " if record.levelno >= logging.WARNING else "[dim]read[/] "
        self._console.print(mark + escape(text), soft_wrap=True, highlight=False)


def listen(console: Console) -> None:
    """Print on a console from now on what is logged, as a new invocation would."""
    log = logging.getLogger("hwnas")
    log.setLevel(logging.INFO)
    log.handlers = [_ToPeople(console)]

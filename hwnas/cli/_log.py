"""What the layers below log, for people: how data were read, and what is odd about them."""

from __future__ import annotations

import logging
import os

from rich.markup import escape

from hwnas.cli._app import err


class _ToPeople(logging.Handler):
    """Prints each message once, in whatever live view is shown; one process of torchrun does."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a message."""
        text = record.getMessage()
        if text in self._said or os.environ.get("RANK", "0") != "0":
            return
        self._said.add(text)
        mark = "[yellow]warning:[/] " if record.levelno >= logging.WARNING else "[dim]read[/] "
        err.print(mark + escape(text), soft_wrap=True, highlight=False)


def listen() -> None:
    """Print from now on what is logged, as a new invocation would."""
    log = logging.getLogger("hwnas")
    log.setLevel(logging.INFO)
    log.handlers = [_ToPeople()]

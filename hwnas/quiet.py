"""What hushes a whole process, one at a time: warnings, logs and streams are not of one thread alone."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

ALONE = RLock()
"""Held while a process is hushed. Of two threads that did so at once, the second would put back what the
first had hushed, and the process would stay silent."""


@contextmanager
def quiet(level: int = logging.WARNING) -> Iterator[None]:
    """Call packages of others: their warnings and news are not the user's.

    Args:
        level: What they log up to it is not said.
    """
    root, nobody = logging.getLogger(), logging.NullHandler()
    with ALONE, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = logging.root.manager.disable
        root.addHandler(nobody)  # or the first message to the root logger would configure logging
        logging.disable(max(level, before))
        try:
            yield
        finally:
            logging.disable(before)
            root.removeHandler(nobody)

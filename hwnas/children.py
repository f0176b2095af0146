"""Child processes that Ctrl-C does not reach: who started them ends them, and says what there is to say."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def out_of_reach() -> Iterator[None]:
    """Processes that are started in here never see Ctrl-C, from their first instruction on.

    A child inherits which signals are held back; this process sees the Ctrl-C as soon as it is out of here.
    On Windows, where no signal can be held back, they see it: what they say of it is read by nobody.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

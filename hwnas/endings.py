"""How processes ended, in words."""

from __future__ import annotations

import signal

_OFFSET = 128  # shells add it to a signal's number
_FAULTS = ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT")  # by name: Windows has not all of them


def ended(status: int | None) -> str:
    """What became of a process, for example "was killed by SIGSEGV".

    Args:
        status: As of ``subprocess`` and ``multiprocessing`` (below 0 for a signal), or as of a shell
            (over 128 for a signal); None where it is not known.
    """
    if status is None:
        return "ended in a way that is not known"
    found = _signal(status)
    return f"ended with status {status}" if found is None else f"was killed by {found.name}"


def remedy(status: int | None) -> str:
    """What the user can do where a process of this machine ended like that."""
    found = None if status is None else _signal(status)
    if found is not None and found.name == "SIGKILL":
        return "for want of memory perhaps, so use fewer workers or a smaller batch"
    if found is not None and found.name in _FAULTS:
        return (
            "a fault in a compiled library, so see what `hwnas doctor` says of this build of torch, or set "
            "ONEDNN_MAX_CPU_ISA=AVX2"
        )
    return "see what ended it"


def _signal(status: int) -> signal.Signals | None:
    number = -status if status < 0 else status - _OFFSET
    try:
        return signal.Signals(number) if number > 0 else None
    except ValueError:
        return None

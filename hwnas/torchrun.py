"""What ``torchrun`` says to each of the processes that it starts. Free of torch."""

from __future__ import annotations

import os


def number() -> int:
    """Which of the processes this one is; 0 is the one that tells and writes files, also without torchrun."""
    return _said("RANK", 0) if count() > 1 else 0


def count() -> int:
    """How many processes there are, whether they have joined or not; 1 without torchrun."""
    return _said("WORLD_SIZE", 1)


def _said(name: str, usual: int) -> int:
    """A number of the environment, where somebody else may mean something by the name."""
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else usual

"""What ``torchrun`` says to each of the processes that it starts. Free of torch."""

from __future__ import annotations

import os


def number() -> int:
    """Which of the processes this one is; 0 is the one that tells and writes files, also without torchrun."""
    return int(os.environ.get("RANK", "0"))


def count() -> int:
    """How many processes there are, whether they have joined or not; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))

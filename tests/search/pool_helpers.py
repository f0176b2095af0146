"""What worker processes of tests run; they import it by its name."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from hwnas.errors import InfeasibleBudget
from hwnas.evaluators.base import Traits
from hwnas.space import Architecture


@dataclass(frozen=True)
class DiesOnce:
    """Scores by the first choice; ends by a signal at the network of ``fatal``, the first time only.

    Attributes:
        folder: Notes one file a scored network, and that it died.
        fatal: Indices.
        signal: Which.
    """

    folder: Path
    fatal: tuple[int, ...]
    signal: int = signal.SIGSEGV

    @property
    def traits(self) -> Traits:
        return Traits("scored beside others", is_sendable=True)

    def identity(self) -> None:
        return None

    def __call__(self, arch: Architecture) -> float:
        died = self.folder / "died"
        if arch.indices == self.fatal and not died.exists():
            died.touch()
            os.kill(os.getpid(), self.signal)
        time.sleep(0.01)
        with (self.folder / "scored").open("a") as file:
            file.write(f"{arch.indices}\n")
        return 0.5 + arch.indices[0] / 10


def squared(number: int) -> int:
    time.sleep(0.02 * (number % 3))  # so that they do not end in order
    return number**2


def process_of(_: object) -> int:
    return os.getpid()


def refused(number: int) -> int:
    if number == 2:
        raise InfeasibleBudget("no", budget=1.0, least=2.0)
    return number


def broken(number: int) -> float:
    return 1 / number


def ends(number: int) -> int:
    if number == 1:
        os._exit(3)
    return number

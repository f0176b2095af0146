"""What worker processes of tests run; they import it by its name."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.errors import InfeasibleBudget
from hwnas.evaluators.base import Traits
from hwnas.space import Architecture


class Sendable:
    """What evaluators of tests that go to other processes have in common."""

    @property
    def traits(self) -> Traits:
        return Traits("scored beside others", is_sendable=True)

    def identity(self) -> None:
        return None


@dataclass(frozen=True)
class DiesAtFirst(Sendable):
    """Scores by the first choice; ends by a signal at the network of ``fatal``, the first three times.

    Attributes:
        folder: Has a line for each scored network, and how often it died.
        fatal: Indices.
        signal: Which.
    """

    folder: Path
    fatal: tuple[int, ...]
    signal: int = signal.SIGSEGV

    def __call__(self, arch: Architecture) -> float:
        if arch.indices == self.fatal and _count(self.folder / "died") <= 3:
            os.kill(os.getpid(), self.signal)
        time.sleep(0.01)
        with (self.folder / "scored").open("a") as file:
            file.write(f"{arch.indices}\n")
        return 0.5 + arch.indices[0] / 10


def squared(number: int) -> int:
    time.sleep(0.02 * (number % 3))  # so that they do not end in order
    return number**2


class TwoParts(Exception):
    """Made of other arguments than it keeps: it does not come out of a pickle."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} and {other}")


def raises_two_parts(_: object) -> None:
    raise TwoParts("salt", "pepper")


def raises_a_lock(_: object) -> None:
    raise ValueError("it is held", threading.Lock())


def answers_a_lock(_: object) -> Any:
    return threading.Lock()


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


def slept(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def briefly(number: int) -> int:
    time.sleep(0.01)
    return number


def by_whom(number: int) -> tuple[int, int]:
    time.sleep(0.01)
    return number, os.getpid()


def dies_twice(path: str) -> str:
    if _count(Path(path)) <= 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return path


def _count(path: Path) -> int:
    """How often this was called for a path."""
    with path.open("a+") as file:
        file.write("x")
    return len(path.read_text())


@dataclass(frozen=True)
class Uneven(Sendable):
    """Scores by the first choice; some take much longer than others.

    Attributes:
        unit_s: The shortest takes so long, the longest five times.
    """

    unit_s: float = 0.02

    def __call__(self, arch: Architecture) -> float:
        time.sleep(self.unit_s * (1 + sum(arch.indices) % 5))
        return 0.5 + (arch.indices[0] + arch.indices[1] / 10) / 20


@dataclass(frozen=True)
class Shares(Sendable):
    """Scores by the first choice, better after more of a training; ends out of order."""

    share: float = 1.0

    def at(self, share: float) -> Shares:
        return Shares(share)

    def __call__(self, arch: Architecture) -> float:
        time.sleep(0.003 * (sum(arch.indices) % 3))
        return self.share * (0.5 + (arch.indices[0] + arch.indices[1] / 10) / 20)


@dataclass(frozen=True)
class Heavy:
    """A function with data; notes each time that it is pickled."""

    notes: Path
    data: bytes

    def __getstate__(self) -> dict[str, Any]:
        _count(self.notes)
        return dict(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __call__(self, number: int) -> int:
        return number + len(self.data)


@dataclass(frozen=True)
class Patient(Sendable):
    """Scores by the first choice; the first network is done when three others are."""

    folder: Path

    def __call__(self, arch: Architecture) -> float:
        try:
            (self.folder / "first").mkdir()
        except FileExistsError:
            (self.folder / f"{arch.id}.done").touch()
            return 0.5 + arch.indices[0] / 10
        for _ in range(1500):
            if len(list(self.folder.glob("*.done"))) >= 3:
                return 0.5
            time.sleep(0.02)
        raise TimeoutError("the others waited for this one")

"""Every error that hwnas raises on purpose.

HwnasError
├── SpaceError(ValueError)            a block, choice, space or architecture breaks an invariant
│   └── NothingFeasible               a search scored no architecture that keeps the budgets
├── DataError(ValueError)             images or labels cannot be used
├── DeviceError                       a device or what runs on it
│   ├── TransportError                the way to the device
│   │   └── TransportTimeout          the device did not answer in time
│   └── AgentError                    the program on the device failed
├── TableError                        a latency table
│   ├── MissingEntry(LookupError)     a workload was never measured on this target
│   └── SchemaMismatch(ValueError)    two files do not describe the same thing
├── LatencyModelError(ValueError)     a latency model cannot be fitted or used
├── UnstableMeasurement               a number is too noisy to be believed
├── WriteError(OSError)               a file cannot be written whole
├── InfeasibleBudget(ValueError)      no architecture keeps the budget
├── PluginError                       a plug-in cannot be loaded, or brings a name that is taken
├── TaskLost                          whatever worker had a task ended before it answered
├── TrackingError                     a tracker of experiments is not known, or cannot be used
├── TrainingError                     training cannot go on
│   ├── Diverged                      the loss is not finite, or far too high
│   └── ProcessLost                   another process of torchrun ended
└── ExportError                       a model cannot be lowered
    └── ParityError                   the lowered model does not compute what PyTorch computes

A message states the invariant, then the values, then the remedy. Facts ride as attributes. A remedy
that is a command is ``typed``: it can be typed as it stands, and it works.
"""

from __future__ import annotations

import shlex
from typing import Any, Self

PLUGINS: list[str] = []
"""Files of plug-ins that this process has, as they were given: commands need them as well."""


def typed(*words: object) -> str:
    """A command of hwnas as it is typed, quoted for a shell and between backticks; with the plug-ins.

    Args:
        words: The verb and what follows it.
    """
    own = [word for file in PLUGINS for word in ("--plugin", file)]
    return f"`hwnas {shlex.join([*map(str, words), *own])}`"


class HwnasError(Exception):
    """Base of every error whose message is meant for the user.

    Attributes:
        page: Of the documentation, below ``docs``, with an anchor or without; empty where none helps.
    """

    page = ""

    def see(self, page: str) -> Self:
        """The same error, with a page that helps: for ``raise``."""
        self.page = page
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors with attributes of their own cross processes as well."""
        return _remade, (type(self), self.args, self.__dict__)


def _remade(kind: type[HwnasError], args: tuple[Any, ...], facts: dict[str, Any]) -> HwnasError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(facts)
    return error


class SpaceError(HwnasError, ValueError):
    """A block, choice, space or architecture breaks an invariant."""


class NothingFeasible(SpaceError):
    """A search scored no architecture that keeps the budgets."""

    page = "concepts/budgets.md"


class DataError(HwnasError, ValueError):
    """Images or labels cannot be used."""

    page = "guides/data.md"


class DeviceError(HwnasError):
    """A device, or what runs on it, failed."""


class TransportError(DeviceError):
    """The way to the device failed."""


class TransportTimeout(TransportError):
    """The device did not answer in time."""


class AgentError(DeviceError):
    """The program on the device failed."""


class TableError(HwnasError):
    """A latency table cannot be read, written or used."""


class MissingEntry(TableError, LookupError):
    """A workload was never measured on this target.

    Attributes:
        key: The workload that is missing.
        nearest: Up to three keys of the table that resemble it most.
    """

    page = "faq.md#how-do-i-build-a-latency-table-for-my-own-device"

    def __init__(self, message: str, *, key: str, nearest: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.key = key
        self.nearest = nearest


class SchemaMismatch(TableError, ValueError):
    """Two files, or a file and this program, do not describe the same thing.

    Attributes:
        field: The field that differs.
    """

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


class LatencyModelError(HwnasError, ValueError):
    """A latency model cannot be fitted or used."""


class UnstableMeasurement(HwnasError):
    """A number is too noisy to be believed."""

    page = "concepts/measuring.md"


class WriteError(HwnasError, OSError):
    """A file cannot be written whole, or not at all."""


class InfeasibleBudget(HwnasError, ValueError):
    """No architecture keeps the budget.

    Attributes:
        budget: What was asked for.
        least: What the architecture needs that needs least.
        unit: Of both: "ms", or what else was limited.
    """

    page = "concepts/budgets.md"

    def __init__(self, message: str, *, budget: float, least: float, unit: str = "ms") -> None:
        super().__init__(message)
        self.budget = budget
        self.least = least
        self.unit = unit


class PluginError(HwnasError):
    """A plug-in cannot be loaded, or brings a name that is taken."""

    page = "guides/python.md#a-block-a-space-and-a-strategy-in-one-file"


class TaskLost(HwnasError):
    """Whatever worker had a task ended before it answered.

    Attributes:
        number: Of the task, as whoever gave it numbers them.
    """

    def __init__(self, message: str, *, number: int) -> None:
        super().__init__(message)
        self.number = number


class TrackingError(HwnasError):
    """A tracker of experiments is not known, or cannot be used."""

    page = "guides/tracking.md"


class TrainingError(HwnasError):
    """Training cannot go on."""


class Diverged(TrainingError):
    """The loss is not finite, or stays far too high."""

    page = "guides/training.md"


class ProcessLost(TrainingError):
    """Another process of torchrun ended, and so do all.

    Attributes:
        is_told: Whether that one, or another, says why.
    """

    page = "guides/training.md#several-processes-or-gpus"

    def __init__(self, message: str, *, is_told: bool = False) -> None:
        super().__init__(message)
        self.is_told = is_told


class ExportError(HwnasError):
    """A model cannot be lowered."""


class ParityError(ExportError):
    """The lowered model does not compute what PyTorch computes."""


def in_words(error: Exception) -> str:
    """What is wrong with data that were read, without the names of Python's exceptions."""
    if isinstance(error, KeyError):
        return f"{error.args[0] if error.args else 'a field'} is missing"
    if isinstance(error, IndexError):
        return "a list is too short"
    return str(error) or "a value is of another type"

"""What a network is trained for: everything that depends on what images are labelled with.

A new task is one file with a class that satisfies ``hwnas.tasks.base.Task``, and one line in
``TASKS``; a plug-in has ``register`` instead. Images say by ``Dataset.task`` which one they are for.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, cast

from hwnas import plugins
from hwnas.errors import DataError
from hwnas.tasks.base import Predictions, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.data import Dataset
    from hwnas.runtimes.base import Values

DEFAULT = "classification"
"""Of what is asked for without a task, and of records that name none."""

TASKS: dict[str, str] = {
    "classification": "hwnas.tasks.classification:Classification",
}
"""The class of each task, by its module, which is imported when it is asked for."""


Kind = TypeVar("Kind", bound=type[Any])


def register(kind: Kind) -> Kind:
    """Add a task of one's own; a decorator of its class, which is made without arguments.

    Args:
        kind: Satisfies ``Task``; ``hwnas.testing.check_task`` says whether.

    Raises:
        PluginError: Its name is taken, or can be none; or it is not at the top of its file.
    """
    plugins.add(TASKS, getattr(kind, "name", None), plugins.reference(kind, "task"), "task")
    return kind


def require(name: str) -> None:
    """Raise DataError where there is no task of a name; loads none."""
    if name not in TASKS:
        raise DataError(
            f"a task must be one of {sorted(TASKS)}, but got {name!r}: one of your own comes with --plugin"
        )


def get(name: str) -> Task:
    """The task of a name.

    Raises:
        DataError: There is none.
    """
    require(name)
    module, _, kind = TASKS[name].partition(":")
    return cast(Task, getattr(import_module(module), kind)())


def of(data: Dataset) -> Task:
    """The task that images are for."""
    return get(data.task)


def of_record(described: Mapping[str, Any]) -> Task:
    """The task of images that a record describes; older records are all of classification.

    Args:
        described: What ``Dataset.describe`` said.
    """
    return get(str(described.get("task", DEFAULT)))


def predictions(task: Task, outputs: Values, targets: NDArray[Any]) -> Predictions:
    """What the outputs of a runtime say of images with these targets; one row an image."""
    import torch

    several = isinstance(outputs, tuple)
    made: Any = tuple(map(torch.from_numpy, outputs)) if several else torch.from_numpy(outputs)
    return task.predictions([(made, torch.from_numpy(targets))])


__all__ = ["DEFAULT", "TASKS", "Task", "get", "of", "of_record", "predictions", "register", "require"]

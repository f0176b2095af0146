"""What a network is trained for: everything that depends on what images are labelled with.

A new task is one file with a class that satisfies ``hwnas.tasks.base.Task``, and one line in
``TASKS``. Images say by ``Dataset.task`` which one they are for.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import DataError
from hwnas.tasks.base import Predictions, Task

if TYPE_CHECKING:
    from hwnas.data import Dataset

TASKS: dict[str, str] = {
    "classification": "hwnas.tasks.classification:Classification",
}
"""The class of each task, by its module, which is imported when it is asked for."""


def get(name: str) -> Task:
    """The task of a name.

    Raises:
        DataError: There is none.
    """
    if name not in TASKS:
        raise DataError(f"a task must be one of {sorted(TASKS)}, but got {name!r}")
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
    return get(str(described.get("task", "classification")))


def predictions(task: Task, outputs: NDArray[np.float32], targets: NDArray[Any]) -> Predictions:
    """What the outputs of a runtime say of images with these targets; one row an image."""
    import torch

    return task.predictions([(torch.from_numpy(outputs), torch.from_numpy(targets))])


__all__ = ["TASKS", "Task", "get", "of", "of_record", "predictions"]

"""What a network is trained for: everything that depends on what images are labelled with.

A new task is one file with a class that satisfies ``hwnas.tasks.base.Task``, and one line in
``TASKS``; a plug-in has ``register`` instead. Images say by ``Dataset.task`` which one they are for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, cast

from hwnas import plugins
from hwnas.errors import DataError, SpaceError
from hwnas.space import shapes_of
from hwnas.tasks.base import Predictions, Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas.blocks.wired import Value
    from hwnas.data import Dataset, Split
    from hwnas.runtimes.base import Values
    from hwnas.space import SearchSpace

DEFAULT = "classification"
"""Of what is asked for without a task, and of records that name none."""

TASKS: dict[str, str] = {
    "classification": "hwnas.tasks.classification:Classification",
    "detection": "hwnas.tasks.detection:Detection",
    "segmentation": "hwnas.tasks.segmentation:Segmentation",
}
"""The class of each task, by its module, which is imported when it is asked for."""

_AT_ONCE = 64  # images

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


def require_channels(data: Dataset, space: SearchSpace) -> None:
    """Refuse images with other channels than networks read.

    Raises:
        SpaceError: They have more or fewer.
    """
    read, given = space.input_shape[0], data.image_shape[0]
    if read != given:
        pair = f"an npz file with images of shape (n, height, width, {read}) has two pictures a row"
        remedy = pair if read == 2 * given else "give such images, or take another network"
        raise SpaceError(
            f"images must have the {read} channels that {space.name} reads, but those of {data.name} have "
            f"{given}: {remedy}"
        )


def require_readable(data: Dataset, space: SearchSpace) -> None:
    """Refuse networks that answer something else than is asked of them, as classes of pixels or of images.

    How many classes there are is for others to compare.

    Raises:
        SpaceError: The task of the images cannot read answers of the space.
    """
    task = of(data)
    if space.num_classes != task.outputs(data):
        return
    flat = (shape[:1] if shape[1:] == (1, 1) else shape for shape in shapes_of(space.output_shape))
    answer = tuple(flat)  # a classifier's is no image
    if not task.fits(answer if len(answer) > 1 else answer[0], task.labels(data)):
        shapes = ", ".join("x".join(map(str, shape)) for shape in answer)
        raise SpaceError(
            f"networks must answer what {task.name} reads, but those of {space.name} answer with {shapes} "
            f"numbers: take such as {task.network('efficientnet-lite0')}, or the task that they are for"
        )


def predictions(task: Task, answer: Callable[[NDArray[np.uint8]], Values], split: Split) -> Predictions:
    """What is answered to the images of a split.

    Some images at a time: all in float, and all answers where those are about places of them, can be more
    than memory holds.

    Args:
        task: What the answers are for.
        answer: Gives a row for each of some images, which are as the split has them.
        split: The images, with the truth about them.
    """
    import torch

    parts = (slice(at, at + _AT_ONCE) for at in range(0, len(split), _AT_ONCE))
    return task.predictions(
        (as_tensors(answer(split.images[rows])), torch.from_numpy(split.labels[rows])) for rows in parts
    )


def as_tensors(values: Values) -> Value:
    """What a model answered as tensors, one or a tuple of several."""
    import torch

    return tuple(map(torch.from_numpy, values)) if isinstance(values, tuple) else torch.from_numpy(values)


__all__ = [
    "DEFAULT",
    "TASKS",
    "Task",
    "as_tensors",
    "get",
    "of",
    "of_record",
    "predictions",
    "register",
    "require",
    "require_readable",
]

"""Whether a training was long enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hwnas.train.config import EpochRecord

if TYPE_CHECKING:
    from hwnas.tasks import Task


def rise(history: Sequence[EpochRecord], images: int, task: Task) -> float | None:
    """By how much the metric on validation still got better at the end: the last quarter over the one before.

    None where it did not by more than chance explains on so many images, or where the epochs are too
    few to tell.

    Args:
        history: Of the training.
        images: Of the validation split.
        task: What was trained for.
    """
    if len(history) < 2:
        return None
    quarter = max(1, len(history) // 4)
    last, before = (
        sum(record.val_value for record in part) / quarter
        for part in (history[-quarter:], history[-2 * quarter : -quarter])
    )
    gain = task.metric.better(last) - task.metric.better(before)
    return gain if gain > task.least_gain(last, images) else None

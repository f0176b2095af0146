"""What a training came to: accuracies with intervals, and whether it was long enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from hwnas.statistics.answers import Answers
from hwnas.train.config import EpochRecord
from hwnas.train.scoring import Beliefs

_LEAST_RISE = 0.005


def answers_of(found: Beliefs, classes: int) -> Answers:
    """How often each class was answered for each class."""
    return Answers.of(found.labels, found.answered, classes)


def judged(found: Beliefs, classes: int) -> dict[str, Any]:
    """What answers to a split come to, as JSON: accuracies with their 95 % intervals, recalls by class."""
    answers = answers_of(found, classes)
    return {
        **asdict(found.score),
        "images": answers.images,
        "interval": list(answers.interval),
        "balanced_accuracy": answers.balanced,
        "balanced_interval": list(answers.balanced_interval),
        "is_uneven": answers.is_uneven,
        "recalls": list(answers.recalls),
    }


def rise(history: Sequence[EpochRecord], images: int) -> float | None:
    """By how much validation accuracy still rose at the end: the last quarter over the one before.

    None where it did not by more than half a point and the standard error of an accuracy on so many
    images, or where the epochs are too few to tell.

    Args:
        history: Of the training.
        images: Of the validation split.
    """
    if len(history) < 2:
        return None
    quarter = max(1, len(history) // 4)
    last, before = (
        sum(record.val_accuracy for record in part) / quarter
        for part in (history[-quarter:], history[-2 * quarter : -quarter])
    )
    error = math.sqrt(max(last * (1 - last), 1 / images) / images)
    gain = last - before
    return gain if gain > max(_LEAST_RISE, error) else None

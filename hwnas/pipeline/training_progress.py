"""What is told of a training while a stage of a run does it."""

from __future__ import annotations

from hwnas.pipeline.state import Say
from hwnas.tracking.following import Following
from hwnas.train.config import EpochRecord


class TrainingProgress:
    """Says how far a training is and what it reached, and lets those know who follow it.

    Args:
        say: Told a line.
        name: Of the network.
        following: Who follows.
    """

    def __init__(self, say: Say, name: str, following: Following) -> None:
        self._say, self._name, self._following, self._reached = say, name, following, ""

    def on_step(self, done: int, steps: int) -> None:
        """After a step."""
        self._say(f"{self._name}: step {done} of {steps}{self._reached}")

    def on_epoch(self, record: EpochRecord) -> None:
        """After an epoch."""
        self._reached = f", validation {record.metric.text(record.val_value)} after epoch {record.epoch}"
        self._following.epoch(record.to_json())

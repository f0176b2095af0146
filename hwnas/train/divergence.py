"""Stops a training that has gone wrong, before hours are spent on it."""

from __future__ import annotations

import math
from collections import deque

import torch

from hwnas.errors import TrainingError
from hwnas.train import optim

_WINDOW = 50  # steps; one bad batch is no divergence
_LIMIT = 3.0  # times the loss of a network that answers blindly


class Watch:
    """Sees every loss of an epoch.

    A network that gives every class the same chance has a cross-entropy of log(classes); an
    untrained one has hardly more. A mean of three times that over many steps is not learning
    any more, and does not come back: batch norm hides from the loss how far the weights are.

    Args:
        classes: Number of classes.
        steps: Of the epoch.
    """

    def __init__(self, classes: int, steps: int) -> None:
        self._blind = math.log(classes)
        self._recent: deque[float] = deque(maxlen=min(_WINDOW, steps))

    def see(self, cross_entropy: torch.Tensor, where: str) -> None:
        """Take the loss of a step.

        Raises:
            TrainingError: The loss is not finite, or has been far too high for many steps.
        """
        self._recent.append(optim.check_finite(cross_entropy, where))
        mean = sum(self._recent) / len(self._recent)
        if len(self._recent) == self._recent.maxlen and mean > _LIMIT * self._blind:
            raise TrainingError(
                f"the loss must fall below that of answering blindly, {self._blind:.2f}, but over the last "
                f"{len(self._recent)} steps it was {mean:.2f} {where}: training diverged, lower the "
                "learning rate"
            )

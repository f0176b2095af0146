"""Stops a training that has gone wrong, before hours are spent on it."""

from __future__ import annotations

import math
from collections import deque

import torch

from hwnas.errors import Diverged
from hwnas.train import optim

_WINDOW = 50  # steps; one bad batch is no divergence
_EXCESS = 5.0  # nats: the right class gets 1/150 of the chance that a blind answer gives it


class Watch:
    """Sees the loss of every step.

    A network that gives every class the same chance has a cross-entropy of log(classes), and
    an untrained one hardly more. Five nats more than that, as a mean over fifty steps, is a
    network that is sure of wrong answers: its weights have exploded.

    Args:
        classes: Number of classes.
    """

    def __init__(self, classes: int) -> None:
        self._blind = math.log(classes)
        self._recent: deque[float] = deque(maxlen=_WINDOW)

    def see(self, cross_entropy: torch.Tensor, where: str) -> None:
        """Take the loss of a step.

        Raises:
            Diverged: The loss is not finite, or has been far too high for many steps.
        """
        self._recent.append(optim.check_finite(cross_entropy, where))
        mean = sum(self._recent) / len(self._recent)
        if len(self._recent) == _WINDOW and mean > self._blind + _EXCESS:
            raise Diverged(
                f"the loss must not stay far above that of answering blindly, {self._blind:.2f}, but its "
                f"mean over {_WINDOW} steps is {mean:.3g} {where}: lower the learning rate"
            )

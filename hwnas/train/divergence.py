"""Stops a training that has gone wrong, before hours are spent on it."""

from __future__ import annotations

from collections import deque

import torch

from hwnas.errors import Diverged
from hwnas.train import optim

_WINDOW = 50  # steps; one bad batch is no divergence


class Watch:
    """Sees the loss of every step.

    An untrained network has hardly a higher loss than one that answers without looking. One that
    stays above a far higher one, as a mean over fifty steps, has weights that have exploded.

    Args:
        blind: Loss of answering blindly.
        hopeless: What only a broken network stays above.
    """

    def __init__(self, blind: float, hopeless: float) -> None:
        self._blind, self._hopeless = blind, hopeless
        self._recent: deque[float] = deque(maxlen=_WINDOW)

    def see(self, loss: torch.Tensor, where: str) -> None:
        """Take the loss of a step.

        Raises:
            Diverged: The loss is not finite, or has been far too high for many steps.
        """
        self._recent.append(optim.check_finite(loss, where))
        mean = sum(self._recent) / len(self._recent)
        if len(self._recent) == _WINDOW and mean > self._hopeless:
            raise Diverged(
                f"the loss must not stay far above that of answering blindly, {self._blind:.2f}, but its "
                f"mean over {_WINDOW} steps is {mean:.3g} {where}: lower the learning rate"
            )

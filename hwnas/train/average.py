"""A running average of a network's weights: a smoother network for next to nothing."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of a network, to be updated after every step.

    The decay of update n is min(decay, (1 + n) / (10 + n)), so that the average never looks
    back over more than about a tenth of the training, however short that is, and forgets the
    initial weights. Batch-norm statistics are averaged like the weights that they belong to;
    counters are copied.

    Args:
        model: What is averaged; the average begins as a copy of it.
        decay: The highest, in (0, 1).
    """

    @torch.no_grad()
    def update(means: list[torch.Tensor], values: list[torch.Tensor], count: torch.Tensor | int) -> None:
        share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        for mean, value in zip(means, values, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, share)
            else:
                mean.copy_(value)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)  # type: ignore[arg-type]

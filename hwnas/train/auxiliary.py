"""Auxiliary heads: in training, the features that a decoder reads answer for themselves as well.

So that each of them gets a gradient of its own, and short trainings say more (arXiv:1810.10804). The
heads are beside the network, never in it: what is evaluated, averaged, kept and shipped has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from hwnas.blocks.wired import Wired, tensors
from hwnas.errors import TrainingError
from hwnas.train import optim

if TYPE_CHECKING:
    from hwnas.data import Dataset
    from hwnas.tasks.base import Task
    from hwnas.train.config import TrainConfig


def require_possible(weight: float, task: Task) -> None:
    """Raise TrainingError where heads are to weigh more than 0 in a task that has no use of them."""
    if weight and not task.takes_auxiliary:
        raise TrainingError(
            f"auxiliary must be 0 for {task.name}, where features cannot answer for themselves, but got "
            f"{weight:g}: leave it out"
        )


def heads_for(model: nn.Module, data: Dataset, config: TrainConfig) -> nn.ModuleList:
    """A 1x1 convolution to what the network answers from each of the features that its decoder reads.

    Args:
        model: The network, on its device; left as it was.
        data: Its images.
        config: Where ``auxiliary`` is 0 there are no heads; first weights follow from the seed.

    Raises:
        TrainingError: The network has no decoder.
    """
    heads = nn.ModuleList()
    if not config.auxiliary:
        return heads
    if not isinstance(model, Wired):
        raise TrainingError(
            "auxiliary must be 0 for a network whose last part is no decoder of several features, but got "
            f"{config.auxiliary:g}: leave it out"
        )
    was_training, place = model.training, next(model.parameters())
    with torch.no_grad():
        answer, features = model.eval().ending(place.new_zeros(1, *data.image_shape))
    model.train(was_training)
    (outputs,) = (each.shape[1] for each in tensors(answer))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        heads.extend(nn.Conv2d(each.shape[1], outputs, 1) for each in features)
    optim.place(heads, place.device)
    return heads

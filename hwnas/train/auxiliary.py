"""Auxiliary heads: in training, the features that a decoder reads answer for themselves as well.

So that each of them gets a gradient of its own, and short trainings say more (arXiv:1810.10804). The
heads are beside the network, never in it: what is evaluated, averaged, kept and shipped has none.

They are off by default, as it is not shown that they help. With a weight of 0.4 on 214 pictures of nuclei
at 128 px, after 12 epochs of 32 images a step from random weights, the validation mean IoU changed by +0.77,
+0.69, +0.61 and -0.19 points for EfficientNet-Lite0 with ``fpnsum32`` (from 79.7 to 83.8 % without), and by
+0.40, +0.03, +0.52 and -0.12 for MobileNetV3-small with ``lraspp128`` (from 69.9 to 73.5 %), four seeds each:
+0.34 on average, where 54 pictures are certain to about 1.3. Of the pretrained EfficientNet-Lite0 it changed
by -0.65, one seed. An epoch takes longer with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from hwnas.blocks.wired import Wired, tensors
from hwnas.errors import TrainingError
from hwnas.seeding import Seeded
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
    with Seeded(config.seed):
        heads.extend(nn.Conv2d(each.shape[1], outputs, 1) for each in features)
    optim.place(heads, place.device)
    return heads

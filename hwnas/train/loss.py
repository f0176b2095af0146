"""What a step minimises: the task's loss of whole or mixed images, and a teacher's answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from hwnas.blocks.wired import mapped
from hwnas.train import optim

if TYPE_CHECKING:
    from hwnas.tasks.base import Criterion


@dataclass(frozen=True)
class BatchLoss:
    """What a batch gave.

    Attributes:
        loss: What is minimised, a scalar tensor.
        task_loss: The part of it that does not come from a teacher.
        total: The task's metric, summed over the images as they were seen.
    """

    loss: torch.Tensor
    task_loss: torch.Tensor
    total: torch.Tensor


@dataclass(frozen=True)
class TrainingLoss:
    """The loss of a training.

    Attributes:
        criterion: The task's part of it.
        teacher: In eval mode, on the images' device; None where there is none.
        distill_weight: Share of the loss that is the distance from the teacher's answers.
    """

    criterion: Criterion
    teacher: nn.Module | None = None
    distill_weight: float = 0.0

    def __call__(
        self, model: nn.Module, images: torch.Tensor, targets: torch.Tensor, rng: np.random.Generator
    ) -> BatchLoss:
        """The loss of a batch; ``rng`` decides how images are mixed."""
        images, targets = self.criterion.mixed(images, targets, rng)
        with optim.autocast(images.device):
            outputs = model(images)
        outputs = mapped(torch.Tensor.float, outputs)
        task_loss = loss = self.criterion.loss(outputs, targets)
        if self.teacher is not None:
            with torch.no_grad(), optim.autocast(images.device):
                taught = self.teacher(images)
            distance = self.criterion.distance(outputs, mapped(torch.Tensor.float, taught))
            loss = (1 - self.distill_weight) * task_loss + self.distill_weight * distance
        total = self.criterion.total(mapped(torch.Tensor.detach, outputs), targets)
        return BatchLoss(loss, task_loss.detach(), total)

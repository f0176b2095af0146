"""What a step minimises: the task's loss of whole or mixed images, a teacher's answers, auxiliary heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn

from hwnas.blocks.wired import Value, Wired, mapped
from hwnas.train import optim, ranks
from hwnas.train.config import AUTO

if TYPE_CHECKING:
    from hwnas.tasks.base import Criterion


@dataclass(frozen=True)
class BatchLoss:
    """What a batch gave.

    Attributes:
        loss: What is minimised, a scalar tensor.
        task_loss: The part of it that comes neither from a teacher nor from auxiliary heads.
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
        heads: One for each of the features that the network's last part reads; none by default.
        auxiliary: Weight of the mean of their losses, which is added.
        precision: That answers are computed in.
    """

    criterion: Criterion
    teacher: nn.Module | None = None
    distill_weight: float = 0.0
    heads: Sequence[nn.Module] = ()
    auxiliary: float = 0.0
    precision: str = AUTO

    def __call__(
        self, model: nn.Module, images: torch.Tensor, targets: torch.Tensor, rng: np.random.Generator
    ) -> BatchLoss:
        """The loss of a batch; ``rng`` decides how images are mixed.

        Of several processes each answers its part, and all have the loss of the whole (see ``ranks``).
        """
        images, targets = self.criterion.mixed(images, targets, rng)
        own, count = ranks.part(images), len(images)
        with optim.autocast(images.device, self.precision):
            outputs, guesses = self._answers(model, own)
        outputs = _whole(outputs, count)
        task_loss = loss = self.criterion.loss(outputs, targets)
        if self.teacher is not None:
            with torch.no_grad(), optim.autocast(images.device, self.precision):
                taught = self.teacher(own)
            distance = self.criterion.distance(outputs, _whole(taught, count))
            loss = (1 - self.distill_weight) * task_loss + self.distill_weight * distance
        if guesses:
            losses = [self.criterion.loss(_whole(guess, count), targets) for guess in guesses]
            loss = loss + self.auxiliary * torch.stack(losses).mean()
        total = self.criterion.total(mapped(torch.Tensor.detach, outputs), targets)
        return BatchLoss(loss, task_loss.detach(), total)

    def _answers(self, model: nn.Module, images: torch.Tensor) -> tuple[Value, list[torch.Tensor]]:
        """What the network answers, and what the heads make of features on the way there."""
        if not self.heads:
            return model(images), []
        outputs, features = cast(Wired, model).ending(images)
        return outputs, [head(each) for head, each in zip(self.heads, features, strict=True)]


def _whole(answers: Value, images: int) -> Value:
    """The answers of all processes to so many images, in float32."""
    return ranks.gathered(mapped(torch.Tensor.float, answers), images)

"""What a step minimises: cross-entropy of whole or mixed images, and a teacher's answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hwnas.train import optim
from hwnas.train.config import TrainConfig
from hwnas.train.mix import mix

if TYPE_CHECKING:
    from hwnas.data import Dataset


@dataclass(frozen=True)
class Outcome:
    """What a batch gave.

    Attributes:
        loss: What is minimised, a scalar tensor.
        cross_entropy: The part of it that does not come from a teacher.
        correct: Images whose most likely class is the one that most of them shows.
    """

    loss: torch.Tensor
    cross_entropy: torch.Tensor
    correct: torch.Tensor


@dataclass(frozen=True)
class Objective:
    """The loss of a training.

    Attributes:
        config: Label smoothing, mixing, distillation.
        classes: Number of classes.
        teacher: In eval mode, on the images' device; None where there is none.
        weights: Of each class, shape (classes,), of mean 1 over the training images; None for equal ones.
    """

    config: TrainConfig
    classes: int
    teacher: nn.Module | None = None
    weights: torch.Tensor | None = None

    def __call__(
        self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, rng: np.random.Generator
    ) -> Outcome:
        """The loss of a batch; ``rng`` decides how images are mixed."""
        config, targets = self.config, labels
        if config.mixup or config.cutmix:
            images, targets = mix(
                images, labels, rng, classes=self.classes, mixup=config.mixup, cutmix=config.cutmix
            )
            labels = targets.argmax(1)
        with optim.autocast(images.device):
            logits = model(images)
        logits = logits.float()
        cross_entropy = self._cross_entropy(logits, targets)
        loss = cross_entropy
        if self.teacher is not None:
            with torch.no_grad(), optim.autocast(images.device):
                taught = self.teacher(images)
            distance = distillation(logits, taught.float(), config.temperature)
            loss = (1 - config.distill_weight) * cross_entropy + config.distill_weight * distance
        return Outcome(loss, cross_entropy.detach(), (logits.argmax(1) == labels).sum())

    def _cross_entropy(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean over the images, each by the weight of its class; of a mixed one, of its classes."""
        smoothing = self.config.label_smoothing
        if self.weights is None:
            return functional.cross_entropy(logits, targets, label_smoothing=smoothing)
        weights = self.weights[targets] if targets.ndim == 1 else targets @ self.weights
        each = functional.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
        return (weights * each).mean()


def weights_of(data: Dataset, device: torch.device) -> torch.Tensor:
    """Weights that make the training images of each class count the same together, shape (classes,)."""
    counts = np.bincount(data.train.labels, minlength=data.num_classes)
    balanced = len(data.train) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return torch.from_numpy(balanced).to(device, torch.float32)


def distillation(logits: torch.Tensor, taught: torch.Tensor, temperature: float) -> torch.Tensor:
    """T² KL(teacher, student) of answers softened by T, mean over the batch (arXiv:1503.02531).

    The factor keeps the gradient's size independent of the temperature.

    Args:
        logits: Of the student, shape (n, classes).
        taught: Of the teacher, the same shape.
        temperature: T.
    """
    student, teacher = (functional.log_softmax(answer / temperature, 1) for answer in (logits, taught))
    return temperature**2 * functional.kl_div(student, teacher, reduction="batchmean", log_target=True)

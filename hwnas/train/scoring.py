"""How well a network does on a split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from hwnas.data.batches import Batches
from hwnas.train import optim
from hwnas.train.config import Score

if TYPE_CHECKING:
    from hwnas.data import Dataset

_BATCH, _GPU_BATCH = 64, 512  # what a CPU's caches hold is twice as fast as four times as much


@dataclass(frozen=True, eq=False)
class Beliefs:
    """What a network holds the images of a split for.

    Attributes:
        labels: What they are, shape (n,).
        answered: Their most likely class, shape (n,).
        confidence: Probability that it is given, shape (n,).
        loss: Cross-entropy of each in nats, shape (n,).
    """

    labels: NDArray[np.int64]
    answered: NDArray[np.int64]
    confidence: NDArray[np.float64]
    loss: NDArray[np.float64]

    @property
    def score(self) -> Score:
        """Accuracy, balanced accuracy and loss over all images."""
        right = self.answered == self.labels
        recalls = [float(right[self.labels == label].mean()) for label in np.unique(self.labels)]
        return Score(float(right.mean()), float(self.loss.mean()), float(np.mean(recalls)))


def evaluate(model: nn.Module, data: Dataset, split: str = "val", *, batch_size: int | None = None) -> Score:
    """Accuracy and loss on a split, with the batch-norm statistics the model holds."""
    return beliefs(model, data, split, batch_size=batch_size).score


def beliefs(model: nn.Module, data: Dataset, split: str, *, batch_size: int | None = None) -> Beliefs:
    """What ``evaluate`` scores, image by image in the order of the split."""
    device = next(model.parameters()).device
    return look(model, Batches(data, device), split, batch_size)


@torch.no_grad()
def look(model: nn.Module, batches: Batches, split: str, batch_size: int | None = None) -> Beliefs:
    """What ``beliefs`` gives, on batches that are there already."""
    batch_size = batch_size or (_BATCH if batches.device.type == "cpu" else _GPU_BATCH)
    was_training = model.training
    model.eval()
    found = []
    for images, labels in batches.ordered(split, batch_size):
        with optim.autocast(batches.device):
            logits = model(images)
        chances = functional.log_softmax(logits.float(), 1)
        loss = functional.nll_loss(chances, labels, reduction="none")
        found.append((labels, logits.argmax(1), chances.amax(1).exp(), loss))
    model.train(was_training)
    known, answered, confidence, each = (torch.cat(part).cpu().numpy() for part in zip(*found, strict=True))
    return Beliefs(known, answered, confidence.astype(np.float64), each.astype(np.float64))

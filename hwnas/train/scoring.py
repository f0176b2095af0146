"""How well a network does on a split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import nn

from hwnas import tasks
from hwnas.blocks.wired import Value, mapped
from hwnas.data.batches import Batches
from hwnas.train import optim, ranks
from hwnas.train.config import AUTO

if TYPE_CHECKING:
    from hwnas.data import Dataset
    from hwnas.tasks.base import Predictions, Score

BATCH, _GPU_BATCH = 64, 512  # what a CPU's caches hold is twice as fast as four times as much


def evaluate(model: nn.Module, data: Dataset, split: str = "val", *, batch_size: int | None = None) -> Score:
    """Metric and loss on a split, with the batch-norm statistics the model holds."""
    return predictions(model, data, split, batch_size=batch_size).score


def predictions(
    model: nn.Module, data: Dataset, split: str, *, batch_size: int | None = None, precision: str = AUTO
) -> Predictions:
    """What ``evaluate`` scores, image by image in the order of the split."""
    device = next(model.parameters()).device
    return look(model, Batches(data, device), split, batch_size, precision)


@torch.no_grad()
def look(
    model: nn.Module, batches: Batches, split: str, batch_size: int | None = None, precision: str = AUTO
) -> Predictions:
    """What ``predictions`` gives, on batches that are there already; several processes share the images."""
    batch_size = batch_size or (BATCH if batches.device.type == "cpu" else _GPU_BATCH)

    def outputs() -> Iterator[tuple[Value, torch.Tensor]]:
        for images, targets in batches.ordered(split, batch_size * ranks.ranks()):
            with optim.autocast(batches.device, precision):
                answered = model(ranks.part(images))
            yield ranks.gathered(mapped(torch.Tensor.float, answered), len(images)), targets

    was_training = model.training
    model.eval()
    found = tasks.of(batches.data).predictions(outputs())
    model.train(was_training)
    return found

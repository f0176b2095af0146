"""What networks are worth before they are tuned, on few images that are always the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import nn

from hwnas import tasks
from hwnas.adapt.subject import Subject
from hwnas.blocks import statistics
from hwnas.data.batches import Batches
from hwnas.train.scoring import look


@dataclass(frozen=True)
class Glance:
    """Scores networks of other widths without tuning them.

    Strategies choose by a fixed part of the validation images only; the test images are not touched.

    Attributes:
        subject: The network.
        images: Validation images that networks are scored by, all where there are fewer.
        statistics_images: Training images that batch norms are estimated on.
    """

    subject: Subject
    images: int = 256
    statistics_images: int = 128

    def of(self, indices: Sequence[int]) -> float:
        """What the network is worth with other widths: see ``Task.merit``."""
        subject = self.subject
        return self.merit(subject.found.narrowed(subject.space.chosen(indices), subject.importance))

    def merit(self, network: nn.Module) -> float:
        """What a network is worth; its batch-norm statistics are estimated anew."""
        statistics.recalibrate(network, self._training)
        data = self._few.data
        task = tasks.of(data)
        counts = self._few.size("val"), task.outputs(data)
        return task.merit(look(network, self._few, "val").score, "none", counts)

    @cached_property
    def _training(self) -> list[torch.Tensor]:
        subject = self.subject
        return [images for images, _ in subject.batches.some("train", self.statistics_images, subject.seed)]

    @cached_property
    def _few(self) -> Batches:
        data = self.subject.data
        return Batches(replace(data, val=data.sample("val", self.images, self.subject.seed)))

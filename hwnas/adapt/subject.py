"""A trained network that is to become faster, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import nn

from hwnas import tasks
from hwnas.adapt.latencies import Latency, Stopwatch, latencies
from hwnas.blocks import statistics
from hwnas.data.batches import Batches
from hwnas.device import Target
from hwnas.tasks.base import Criterion, LossSettings, Predictions
from hwnas.train.config import TAUGHT, EpochRecord, TrainConfig
from hwnas.train.fitting import fit
from hwnas.train.scoring import look
from hwnas.train.teacher import Teacher
from hwnas.widths.groups import Prunable
from hwnas.widths.importance import taylor
from hwnas.widths.space import WidthSpace

if TYPE_CHECKING:
    from hwnas.data import Dataset

_BATCH = 32
_STATISTICS = 1024
"""Training images that the statistics of a narrowed network are estimated on."""


@dataclass(frozen=True)
class Subject:
    """The network, its images, and the device that it is for.

    Attributes:
        teacher: The trained network, which every other one learns from.
        data: Its images; the test split is not touched.
        found: Which of its channels go together.
        space: The widths that it may have.
        target: What it is to run on.
        measurer: The device, ready.
        seed: Of all randomness.
        importance_batches: Batches of training images that channels are weighed on.
    """

    teacher: Teacher
    data: Dataset
    found: Prunable
    space: WidthSpace
    target: Target
    measurer: Stopwatch
    seed: int = 0
    importance_batches: int = 16
    _known: dict[tuple[int, ...], Latency] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def batches(self) -> Batches:
        """The images."""
        return Batches(self.data)

    @cached_property
    def criterion(self) -> Criterion:
        """The task's loss."""
        return tasks.of(self.data).criterion(self.data, LossSettings(), torch.device("cpu"))

    @cached_property
    def importance(self) -> Mapping[str, torch.Tensor]:
        """How much each channel matters."""
        steps = (
            self.batches.step("train", _BATCH, self.seed, number) for number in range(self.importance_batches)
        )
        return taylor(self.found, self.criterion, steps)

    def narrowed(self, indices: Sequence[int]) -> nn.Module:
        """The network with other widths, the channels that matter most; its batch norms know the images."""
        made = self.found.narrowed(self.space.chosen(indices), self.importance)
        statistics.recalibrate(
            made, (images for images, _ in self.batches.some("train", _STATISTICS, self.seed))
        )
        return made

    def latencies(self, wanted: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], Latency]:
        """What networks of these widths take; what was measured before is not measured again."""
        left = {_name(indices): indices for indices in wanted if indices not in self._known}
        if left:
            networks = {
                name: self.found.narrowed(self.space.chosen(indices), self._any)
                for name, indices in left.items()
            }
            found = latencies(self.measurer, self.target, networks, self.found.shape)
            self._known.update({indices: found[name] for name, indices in left.items()})
        return {indices: self._known[indices] for indices in wanted}

    @property
    def _any(self) -> dict[str, torch.Tensor]:
        """Latency does not depend on which channels there are."""
        return {group.name: torch.zeros(group.channels) for group in self.found.groups}

    def seen(self, network: nn.Module) -> Predictions:
        """What a network says of the validation images."""
        return look(network, self.batches, "val")

    def tuned(
        self,
        network: nn.Module,
        config: TrainConfig,
        on_epoch: Callable[[EpochRecord], None] = lambda _: None,
    ) -> nn.Module:
        """A network after it has learnt from the images and from the whole network; changed in place."""
        taught = replace(
            config, distill_weight=config.distill_weight or TAUGHT, head_epochs=0, seed=self.seed
        )
        fit(network, self.data, taught, teacher=self.teacher, fresh=(), on_epoch=on_epoch)
        return network


def _name(indices: Sequence[int]) -> str:
    return ".".join(map(str, indices))

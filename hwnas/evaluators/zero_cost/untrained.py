"""Scoring architectures without training any: how their random weights compare with those of random ones."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hwnas import tasks
from hwnas.data.batches import Batches
from hwnas.evaluators.base import Live, Traits, mean_seconds, require_data
from hwnas.evaluators.merits import OfMeasure
from hwnas.evaluators.zero_cost.config import CALLED, ZeroCostConfig
from hwnas.evaluators.zero_cost.measures import MEASURES, ImageBatch
from hwnas.evaluators.zero_cost.similarity import likeness
from hwnas.space import Architecture, SearchSpace
from hwnas.spaces.canonical import Canonical
from hwnas.tasks.base import LossSettings
from hwnas.train import new_network, optim

if TYPE_CHECKING:
    from torch import nn

    from hwnas.data import Dataset
    from hwnas.runs.folder import RunFolder
    from hwnas.tasks import Task

_REFERENCES = 11  # a purpose of randomness
_DRAWS = 20  # a reference, where many architectures are the same network


@dataclass(frozen=True)
class Untrained:
    """What networks are worth by a measure of their random weights: ``evaluators.base.TrainedNetworks``.

    Measures have units of their own. A score is therefore a place among random networks of the space, as if
    their values were normally distributed: 0.9 is above nine in ten of them. It says which of two networks is
    to be believed better, and nothing of how accurate either will be.

    Attributes:
        space: Where the architectures are from.
        data: Images; training ones are looked at.
        config: Settings.
    """

    space: SearchSpace
    data: Dataset
    config: ZeroCostConfig
    _values: dict[tuple[int, ...], float] = field(default_factory=dict, init=False, repr=False, compare=False)
    _spent: list[float] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_data(self.space, self.data)

    @property
    def proxy(self) -> SearchSpace:
        """The networks that are looked at: those of the space, at their full size."""
        return self.space

    @property
    def task(self) -> Task:
        """What the images are for."""
        return tasks.of(self.data)

    @property
    def scored_images(self) -> int:
        """Of validation images, none."""
        return 0

    @property
    def class_weights(self) -> str:
        """Classes are not weighed."""
        return "none"

    @property
    def merits(self) -> OfMeasure:
        """Places among random networks."""
        return OfMeasure(f"{CALLED[self.config.measure]} percentile")

    def __call__(self, arch: Architecture) -> float:
        """The place among random networks, in [0, 1]; 0 where the measure is no number."""
        value, (mean, spread) = self.value(arch.indices), self._among
        if not math.isfinite(value):
            return 0.0
        return 0.5 * math.erfc((mean - value) / (spread * math.sqrt(2))) if spread else 0.5

    def value(self, indices: Sequence[int]) -> float:
        """The measure itself, in its own unit; the same for all architectures of one network."""
        key = Canonical(self.space).key(tuple(indices))
        if key not in self._values:
            began = time.monotonic()
            device = optim.pick_device(self.config.device)
            network = self.subnetwork(key).to(device)
            with torch.random.fork_rng(devices=[]):  # of what a network drops at random
                torch.manual_seed(self.config.seed)
                self._values[key] = self._measured(network)
            self._spent.append(time.monotonic() - began)
        return self._values[key]

    def _measured(self, network: nn.Module) -> float:
        if (to := self.config.likeness) is not None:
            return likeness(network, self.data, to)
        return MEASURES[self.config.measure](network, self._batch)

    def all(self, architectures: Iterable[Architecture]) -> list[float]:
        """The scores of several, one after the other."""
        return list(map(self, architectures))

    def prepare(self, steps: int, *, on_step: Live, checkpoint: Path) -> None:
        """Nothing: nobody is trained."""

    def save_into(self, run: RunFolder) -> None:
        """Nothing: random weights follow from the seed."""

    def subnetwork(self, indices: Sequence[int]) -> nn.Module:
        """One architecture with the random weights that are looked at: the same for all of one network."""
        arch = self.space.architecture(Canonical(self.space).key(tuple(indices)))
        return new_network(arch, self.config.seed).eval()

    def some(self, split: str, count: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of so many random images of a split, the same for every architecture."""
        return Batches(self.data).some(split, count, self.config.seed)

    @property
    def traits(self) -> Traits:
        """Repeatable; images do not say how certain it is."""
        return Traits(
            f"not trained: {CALLED[self.config.measure]} of random weights on {self.config.images} images",
            seconds=mean_seconds(self._spent),
        )

    def identity(self) -> dict[str, Any]:
        """What must be the same for scores to be taken over."""
        return {
            "space": self.space.fingerprint,
            "data": self.data.fingerprint,
            "config": {n: v for n, v in self.config.recorded().items() if n not in ("device", "alike")},
            **({} if self.config.likeness is None else {"alike": self.config.likeness.identity()}),
        }

    def describe(self) -> dict[str, Any]:
        """The settings, as JSON; ``of_record`` turns them back."""
        return self.config.recorded()

    @classmethod
    def of_record(cls, space: SearchSpace, described: Mapping[str, Any], data: Dataset) -> Untrained:
        """The evaluator of a search, by what ``describe`` said."""
        return cls(space, data, ZeroCostConfig(**described))

    @cached_property
    def _batch(self) -> ImageBatch:
        device = optim.pick_device(self.config.device)
        batches = Batches(self.data, device)
        images, targets = zip(
            *batches.some("train", min(self.config.images, batches.size("train")), self.config.seed),
            strict=True,
        )
        criterion = self.task.criterion(self.data, LossSettings(), device)
        return ImageBatch(torch.cat(images), torch.cat(targets), criterion.loss)

    @cached_property
    def _among(self) -> tuple[float, float]:
        """Mean and standard deviation of the measure over random networks."""
        rng, count = np.random.default_rng([self.config.seed, _REFERENCES]), self.config.references
        drawn = (self.space.sample(rng).indices for _ in range(_DRAWS * count))
        found = Canonical(self.space).distinct(drawn, count)
        values = np.array([value for value in map(self.value, found) if math.isfinite(value)])
        return (float(values.mean()), float(values.std())) if len(values) else (0.0, 0.0)

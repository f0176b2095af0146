"""From uint8 splits to augmented, normalised batches. All randomness comes from seeds given in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.nn import functional

from hwnas.data import moving
from hwnas.data.augment import Augmentation
from hwnas.data.dataset import Dataset
from hwnas.data.stratified import stratified_rows

_AT_ONCE = 2**25  # values that are scaled


class Batches:
    """The splits of a dataset as float32 NCHW batches in channels-last memory, on one device.

    Args:
        data: The images.
        device: Where batches are put.
        resolution: Side that images are scaled to, that of the data by default; a lower one
            makes a cheaper proxy.
        augmentation: What training images go through; crops, and mirrored images where the
            data say so, by default.
    """

    def __init__(
        self,
        data: Dataset,
        device: torch.device | str = "cpu",
        resolution: int | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.data = data
        self.augmentation = augmentation or Augmentation(flip=data.flip)
        self.device = torch.device(device)
        self.resolution = resolution or data.image_shape[1]
        self._mean = (255 * torch.tensor(data.mean)).view(1, -1, 1, 1).to(self.device)
        self._std = (255 * torch.tensor(data.std)).view(1, -1, 1, 1).to(self.device)
        self._splits: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self._orders: dict[tuple[str, int], tuple[int, np.ndarray]] = {}

    def _split(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (uint8) and labels on the device, scaled once."""
        if name not in self._splits:
            split = self.data.split(name)
            images = torch.from_numpy(split.images)
            labels = torch.from_numpy(split.labels)
            if self.resolution != (given := images.shape[-1]):
                images = _scale(images, self.resolution)
                labels = moving.resized(labels, self.resolution, given)
            self._splits[name] = images.to(self.device), labels.to(self.device)
        return self._splits[name]

    def size(self, name: str) -> int:
        """Number of images of a split."""
        return len(self.data.split(name))

    def take(
        self, name: str, rows: np.ndarray, rng: np.random.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The images at these rows and their labels; augmented, both alike, where an ``rng`` is given."""
        images, labels = self._split(name)
        index = torch.from_numpy(rows).to(self.device)
        batch, targets = images[index], labels[index]
        if rng is not None:
            batch, targets = self.augmentation.move(batch, targets, rng)
        batch = batch.to(torch.float32, memory_format=torch.channels_last)
        batch = (batch - self._mean) / self._std
        if rng is not None:
            batch = self.augmentation.blank(batch, rng)
        return batch, targets

    def epoch(
        self, name: str, batch_size: int, rng: np.random.Generator, *, augmented: bool = True
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """One shuffled pass; a last batch of one image or less than half the size is left out."""
        order = rng.permutation(self.size(name))
        for start in range(0, steps_per_epoch(len(order), batch_size) * batch_size, batch_size):
            yield self.take(name, order[start : start + batch_size], rng if augmented else None)

    def step(
        self, name: str, batch_size: int, seed: int, step: int, part: tuple[int, int] = (0, 1)
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The augmented batch of a step, from 0, of an endless pass: a function of its arguments.

        Args:
            name: The split.
            batch_size: Images of all parts together.
            seed: Of order and augmentation.
            step: Its number.
            part: Which of how many parts of the batch.
        """
        epoch, number = divmod(step, max(1, self.size(name) // batch_size))
        if self._orders.get((name, seed), (-1,))[0] != epoch:
            order = np.random.default_rng([seed, epoch]).permutation(self.size(name))
            self._orders[name, seed] = epoch, order
        rows = self._orders[name, seed][1][number * batch_size : (number + 1) * batch_size]
        rows = rows[part[0] :: part[1]]
        return self.take(name, rows, np.random.default_rng([seed, epoch, number, part[0]]))

    def some(self, name: str, count: int, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """So many random images as they are, of all classes, the same for the same seed."""
        rows = stratified_rows(self.data.split(name).strata, count, seed)
        for part in np.array_split(rows, -(-len(rows) // 256)):
            yield self.take(name, part)

    def targets(self, name: str, count: int, seed: int) -> np.ndarray:
        """What the images of ``some`` are labelled with."""
        split = self.data.split(name)
        found: np.ndarray = split.labels[stratified_rows(split.strata, count, seed)]
        return found

    def ordered(self, name: str, batch_size: int = 256) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Every image once, as it is."""
        rows = np.arange(self.size(name))
        for start in range(0, len(rows), batch_size):
            yield self.take(name, rows[start : start + batch_size])


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Batches of a shuffled pass; a last one counts if it is half full and more than one image."""
    whole, rest = divmod(images, batch_size)
    return max(1, whole + (rest > 1 and 2 * rest >= batch_size))


def _scale(images: torch.Tensor, resolution: int) -> torch.Tensor:
    parts = [
        functional.interpolate(part.float(), size=(resolution, resolution), mode="bilinear", antialias=True)
        .round_()
        .clamp_(0, 255)
        .to(torch.uint8)
        for part in torch.split(images, max(1, _AT_ONCE // images[0].numel()))
    ]
    return torch.cat(parts)

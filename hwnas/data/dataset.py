"""The dataset type: splits, samples, what networks are fed, fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.data import contents
from hwnas.data.names import SPLITS
from hwnas.data.reading import ReadingSummary
from hwnas.data.stratified import stratified_rows
from hwnas.errors import DataError


@dataclass(frozen=True, eq=False)
class Split:
    """Images of one split, and what a network is to say of them.

    Attributes:
        images: Shape (n, channels, height, width), uint8.
        labels: The truth, one row an image, as the task wants it. Of classification: shape (n,), int64,
            in 0..classes-1. Of segmentation: shape (n, height, width), uint8, the class of each pixel, 255
            where it does not count. Of detection: shape (n, objects, 6), float32, x1, y1, x2, y2 in pixels
            of the images, class, and 1 for a crowd; the class of a row that is no object is -1.
    """

    images: NDArray[np.uint8] = field(repr=False)
    labels: NDArray[Any] = field(repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def strata(self) -> NDArray[np.int64]:
        """What samples are mixed by, shape (n,): see ``contents.strata``."""
        return contents.strata(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images in three splits.

    Attributes:
        name: "digits" or another embedded source, or the full path of the source.
        class_names: Name of each class; of another task, of each number that a network answers.
        train: What weights are fitted to.
        val: What choices are made by; cut from the training images where the source brings none.
        test: What the final network is judged by, once.
        mean: Per channel, of the training images scaled to [0, 1]; or what a pretrained network expects.
        std: Per channel, of the training images scaled to [0, 1]; or what a pretrained network expects.
        flip: Whether a mirrored image is still of its class.
        seed: Of the splits.
        val_share: Share of the training images that is the validation split, where the source brings none.
        test_share: Share that is the test split where the source brings none.
        reading: What was read, and what was left out.
        task: What they are for: a name of ``hwnas.tasks``.
        is_standardized: Whether mean and std are those that a pretrained network expects.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool
    seed: int
    val_share: float
    test_share: float
    reading: ReadingSummary = field(default_factory=ReadingSummary, repr=False)
    task: str = "classification"
    is_standardized: bool = False

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        channels, height, width = self.train.images.shape[1:]
        return int(channels), int(height), int(width)

    def split(self, name: str) -> Split:
        """The split "train", "val" or "test"."""
        if name not in SPLITS:
            raise DataError(f"a split must be one of {SPLITS}, but got {name!r}")
        found: Split = getattr(self, name)
        return found

    def sample(self, split: str, count: int, seed: int = 0) -> Split:
        """Random images of a split with classes mixed as in the whole; all where there are fewer.

        Whatever needs "some images" takes them from here, never the first ones: sources are often
        sorted by class. See ``stratified_rows`` for what holds of every sample.

        Args:
            split: "train", "val" or "test".
            count: How many images, at least 1.
            seed: Where the randomness comes from; the same gives the same images.
        """
        if count < 1:
            raise DataError(f"a sample must have at least 1 image, but got {count}")
        whole = self.split(split)
        rows = stratified_rows(whole.strata, count, seed)
        return Split(whole.images[rows], whole.labels[rows])

    def normalize(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What a network is fed: uint8 (n, channels, height, width) to float32, same shape."""
        mean, std = (np.array(v, np.float32).reshape(1, -1, 1, 1) for v in (self.mean, self.std))
        return ((images.astype(np.float32) / 255 - mean) / std).astype(np.float32)

    def standardized(self, mean: Sequence[float], std: Sequence[float]) -> Dataset:
        """The same images, fed to networks as a pretrained one expects them.

        Args:
            mean: Per channel, of images scaled to [0, 1].
            std: Per channel, of images scaled to [0, 1].
        """
        return replace(self, mean=tuple(mean), std=tuple(std), is_standardized=True)

    def describe(self) -> dict[str, Any]:
        """What it takes to load this dataset again and to see that it is the same, as JSON."""
        expected = {"mean": list(self.mean), "std": list(self.std)} if self.is_standardized else {}
        return {
            **expected,
            "task": self.task,
            "source": self.name,
            "resolution": self.image_shape[1],
            "classes": self.num_classes,
            "seed": self.seed,
            "val_share": self.val_share,
            "test_share": self.test_share,
            "flip": self.flip,
            "images": {name: len(self.split(name)) for name in SPLITS},
            "fingerprint": self.fingerprint,
        }

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any pixel, label, class name or split."""
        digest = hashlib.sha256(repr((self.class_names, self.image_shape)).encode())
        for name in SPLITS:
            split = self.split(name)
            digest.update(f"{name}:{len(split)}".encode())
            if self.task != "classification":
                digest.update(f"{self.task}:{split.labels.dtype}{split.labels.shape}".encode())
            digest.update(np.ascontiguousarray(split.images).data)
            digest.update(np.ascontiguousarray(split.labels).data)
        return digest.hexdigest()[:16]

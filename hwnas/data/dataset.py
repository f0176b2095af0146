"""The dataset type, and how a source becomes one: splits, statistics, fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.data import embedded, sources
from hwnas.data.sources import Images
from hwnas.data.stratified import stratified_rows
from hwnas.errors import DataError

SPLITS = ("train", "val", "test")
MIN_PER_CLASS = 5
_STATISTICS_IMAGES = 10_000


@dataclass(frozen=True, eq=False)
class Split:
    """Images and labels of one split.

    Attributes:
        images: Shape (n, channels, height, width), uint8.
        labels: Shape (n,), int64, in 0..classes-1.
    """

    images: NDArray[np.uint8] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images in three splits.

    Attributes:
        name: "digits" or another embedded source, or the full path of the source.
        class_names: Name of each label.
        train: What weights are fitted to.
        val: What choices are made by; cut from the source's training images.
        test: What the final network is judged by, once.
        mean: Per channel, of the training images scaled to [0, 1].
        std: Per channel, of the training images scaled to [0, 1].
        flip: Whether a mirrored image is still of its class.
        seed: Of the splits.
        val_share: Share of the training images that is the validation split.
        test_share: Share that is the test split where the source brings none.
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
        rows = stratified_rows(whole.labels, count, seed)
        return Split(whole.images[rows], whole.labels[rows])

    def normalize(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What a network is fed: uint8 (n, channels, height, width) to float32, same shape."""
        mean, std = (np.array(v, np.float32).reshape(1, -1, 1, 1) for v in (self.mean, self.std))
        return ((images.astype(np.float32) / 255 - mean) / std).astype(np.float32)

    def describe(self) -> dict[str, Any]:
        """What it takes to load this dataset again and to see that it is the same, as JSON."""
        return {
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
            digest.update(np.ascontiguousarray(split.images).data)
            digest.update(np.ascontiguousarray(split.labels).data)
        return digest.hexdigest()[:16]


def load(
    source: str | Path,
    *,
    resolution: int,
    seed: int = 0,
    val_share: float = 0.2,
    test_share: float = 0.2,
    flip: bool | None = None,
) -> Dataset:
    """Read a source at a resolution and split it.

    Args:
        source: "digits" (8x8 handwriting that comes with scikit-learn), a folder with one
            sub-folder a class (also below ``train`` and ``test``), a folder with ``train`` and
            ``test`` parquet files of columns ``image{bytes,path}`` and ``label``, or an npz
            file with ``images`` and ``labels`` or ``x_train, y_train, x_test, y_test``.
        resolution: Height and width that images are scaled to.
        seed: Of the splits.
        val_share: Share of the training images that becomes the validation split.
        test_share: Share that becomes the test split where the source brings none.
        flip: Whether mirrored images are good training images; by default as the source
            says: not for digits, yes for others.

    Raises:
        DataError: The source cannot be read, has fewer than two classes, or a class has too
            few images.
    """
    for name, share in (("val_share", val_share), ("test_share", test_share)):
        if not 0 < share <= 0.5:
            raise DataError(f"{name} must be in (0, 0.5], but got {share}")
    if resolution < 8:
        raise DataError(f"resolution must be at least 8, but got {resolution}")
    raw = _reader(source)(resolution)
    _check(raw, source)
    rng = np.random.default_rng(seed)
    train, test = raw.train, raw.test
    if test is None:
        train, test = _divide(*train, test_share, rng)
    if raw.val is None:
        train, val = _divide(*train, val_share, rng)
    else:
        val = raw.val
    mean, std = _statistics(train[0], source)
    return Dataset(
        name=str(source) if embedded.is_embedded(source) else str(Path(source).expanduser().resolve()),
        class_names=raw.class_names,
        train=Split(*train),
        val=Split(*val),
        test=Split(*test),
        mean=mean,
        std=std,
        flip=raw.flip if flip is None else flip,
        seed=seed,
        val_share=val_share,
        test_share=test_share,
    )


def _reader(source: str | Path) -> Callable[[int], Images]:
    if embedded.is_embedded(source):
        return embedded.reader(source)
    path = Path(source).expanduser()
    if path.is_dir():
        is_parquet = any(path.glob("*.parquet"))
        return lambda resolution: (sources.parquet if is_parquet else sources.folder)(path, resolution)
    if path.is_file() and path.suffix == ".npz":
        return lambda resolution: sources.npz(path, resolution)
    raise DataError(
        'data must be "digits", a folder of images or parquet files, or an npz file, but got '
        f"{str(source)!r}: {'it is no npz file' if path.exists() else 'there is no such path'}"
    )


def _check(raw: Images, source: str | Path) -> None:
    if len(raw.class_names) < 2:
        raise DataError(f"data must have at least two classes, but {source} has {list(raw.class_names)}")
    counts = np.bincount(raw.train[1], minlength=len(raw.class_names))
    if counts.min() < MIN_PER_CLASS:
        fewest = int(counts.argmin())
        raise DataError(
            f"every class must have at least {MIN_PER_CLASS} training images, but "
            f"{raw.class_names[fewest]!r} in {source} has {counts[fewest]}: add images or remove the class"
        )


def _divide(
    images: NDArray[np.uint8], labels: NDArray[np.int64], share: float, rng: np.random.Generator
) -> tuple[tuple[NDArray[np.uint8], NDArray[np.int64]], tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Two parts with the same mix of classes; the second has the share, at least one a class."""
    order = rng.permutation(len(labels))
    second = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        second[members[: max(1, round(share * len(members)))]] = True
    return (images[~second], labels[~second]), (images[second], labels[second])


def _statistics(images: NDArray[np.uint8], source: str | Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    some = images[:: max(1, len(images) // _STATISTICS_IMAGES)].astype(np.float32) / 255
    mean, std = some.mean(axis=(0, 2, 3), dtype=np.float64), some.std(axis=(0, 2, 3), dtype=np.float64)
    if std.min() < 1e-3:
        raise DataError(
            f"training images must differ, but the standard deviation of a channel in {source} "
            f"is {std.min():.1g}"
        )
    return tuple(float(v) for v in mean), tuple(float(v) for v in std)

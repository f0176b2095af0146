"""The dataset type, and how a source becomes one: splits, statistics, fingerprint."""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.data import embedded, sources
from hwnas.data.images import Account, Images
from hwnas.data.names import SPLITS, shown
from hwnas.data.reading import Prints, ReadingSummary, copies, line
from hwnas.data.stratified import stratified_rows
from hwnas.errors import DataError

MIN_PER_CLASS = 5
_AT_ONCE = 1024  # images
_CONSTANT = 1e-3  # standard deviation of a channel that says nothing
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Split:
    """Images of one split, and what a network is to say of them.

    Attributes:
        images: Shape (n, channels, height, width), uint8.
        labels: The truth, one row an image, as the task wants it; of classification shape (n,),
            int64, in 0..classes-1.
    """

    images: NDArray[np.uint8] = field(repr=False)
    labels: NDArray[Any] = field(repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def strata(self) -> NDArray[np.int64]:
        """What samples are mixed by, shape (n,): the class of an image, or one for all without classes."""
        is_class = self.labels.ndim == 1 and self.labels.dtype.kind in "iu"
        return self.labels if is_class else np.zeros(len(self.labels), np.int64)


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


def load(
    source: str | Path,
    *,
    resolution: int,
    seed: int = 0,
    val_share: float = 0.2,
    test_share: float = 0.2,
    flip: bool | None = None,
) -> Dataset:
    """Read a source at a resolution and split it; what was read is logged, what is odd as a warning.

    Args:
        source: "digits" (8x8 handwriting that comes with scikit-learn), "clutter" (those digits in
            clutter, drawn from the seed; "clutter:20000" says how many, "clutter-64" are larger,
            "clutter-hard" and "clutter-hard-64" are smaller digits in more clutter); a folder with
            one sub-folder a class, also below folders of splits; a parquet file, or a folder of
            them whose names say the split, with columns ``image{bytes,path}`` and ``label``; or an
            npz file with ``images`` and ``labels`` or ``x_train``, ``y_train``, and so on. Splits
            may be called as people call them: ``validation``, ``Testing``.
        resolution: Height and width that images are scaled to.
        seed: Of the splits.
        val_share: Share of the training images that becomes the validation split where the
            source brings none.
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
    if not 0 <= seed < 2**63:
        raise DataError(f"seed must be from 0 to 2**63 - 1, but got {seed}")
    if resolution < 8:
        raise DataError(f"resolution must be at least 8, but got {resolution}")
    raw = sources.read(source, resolution, seed, val_share, test_share)
    _check(raw, source)
    splits, prints = _splits(raw, np.random.default_rng(seed), val_share, test_share)
    mean, std = _statistics(splits["train"].images, raw.account, source)
    name = str(source) if embedded.is_embedded(source) else str(Path(source).expanduser().resolve())
    return Dataset(
        name=name,
        class_names=raw.class_names,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        mean=mean,
        std=std,
        flip=raw.flip if flip is None else flip,
        seed=seed,
        val_share=val_share,
        test_share=test_share,
        reading=_reading(raw, str(source), splits, prints),
    )


def _splits(
    raw: Images, rng: np.random.Generator, val_share: float, test_share: float
) -> tuple[dict[str, Split], dict[str, Prints]]:
    """The splits, and the prints of their images; those that the source does not bring are drawn."""
    parts = {split: part for split in SPLITS if (part := getattr(raw, split)) is not None}
    prints: dict[str, Prints] = {split: raw.account.prints.get(split, ()) for split in SPLITS}
    for split, share in (("test", test_share), ("val", val_share)):
        if split not in parts:
            images, labels = parts["train"]
            drawn = _drawn(labels, share, rng)
            parts["train"], parts[split] = (images[~drawn], labels[~drawn]), (images[drawn], labels[drawn])
            pairs = list(zip(prints["train"], drawn, strict=False))
            prints["train"], prints[split] = [p for p, d in pairs if not d], [p for p, d in pairs if d]
    return {split: Split(*parts[split]) for split in SPLITS}, prints


def _drawn(labels: NDArray[np.int64], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which rows are drawn: this share of every class, at least one."""
    order = rng.permutation(len(labels))
    drawn = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        drawn[members[: max(1, round(share * len(members)))]] = True
    return drawn


def _reading(raw: Images, name: str, splits: dict[str, Split], prints: dict[str, Prints]) -> ReadingSummary:
    """The account of a reading, and its log."""
    notes = list(raw.account.notes)
    if all(len(prints[split]) == len(found) for split, found in splits.items()):
        notes += copies(prints, {split: found.labels for split, found in splits.items()})
    drawn = [split for split in SPLITS if getattr(raw, split) is None]
    counts = {split: len(found) for split, found in splits.items()}
    text = line(name, raw.class_names, counts, drawn, raw.account.left_out)
    if multiprocessing.parent_process() is None:  # of several processes with the same data, one tells
        _LOG.info("%s", text)
        for note in notes:
            _LOG.warning("%s", note)
    return ReadingSummary(text, dict(raw.account.left_out), tuple(notes))


def _check(raw: Images, source: str | Path) -> None:
    raw.account.close([split for split in SPLITS if getattr(raw, split) is None])
    if len(raw.class_names) < 2:
        raise DataError(
            f"data must have at least two classes, but {shown(source)} has {list(raw.class_names)}"
        )
    counts = np.bincount(raw.train[1], minlength=len(raw.class_names))
    if counts.min() < MIN_PER_CLASS:
        fewest = int(counts.argmin())
        out = ", ".join(f"{count} {reason}" for reason, count in raw.account.left_out.most_common(3))
        raise DataError(
            f"every class must have at least {MIN_PER_CLASS} training images, but "
            f"{raw.class_names[fewest]!r} in {shown(source)} has {counts[fewest]}: add images or remove "
            "the class" + (f" (left out: {out})" if out else "")
        )


def _statistics(
    images: NDArray[np.uint8], account: Account, source: str | Path
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of all images, from how often each value is there.

    A channel that is the same everywhere, as two of pictures of one dye, is only shifted.
    """
    counts = np.zeros((images.shape[1], 256), np.int64)
    for at in range(0, len(images), _AT_ONCE):
        for channel, count in enumerate(counts):
            count += np.bincount(images[at : at + _AT_ONCE, channel].ravel(), minlength=256)
    values, total = np.arange(256) / 255, counts.sum(axis=1)
    mean = counts @ values / total
    std = np.sqrt((counts * (values - mean[:, None]) ** 2).sum(axis=1) / total)
    constant = std < _CONSTANT
    if constant.all():
        raise DataError(
            f"training images must differ, but all in {shown(source)} are of one and the same colour: look "
            "at what they show"
        )
    if constant.any():
        which = ", ".join(str(number) for number in np.flatnonzero(constant))
        account.notes.append(
            f"channel {which} of {len(constant)} is the same in all training images: nothing is learnt of it"
        )
        std = np.where(constant, 1.0, std)
    return tuple(float(v) for v in mean), tuple(float(v) for v in std)

"""How a source becomes a dataset: splits, statistics, an account of the reading."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwnas.data import contents, dividing, embedded, sources
from hwnas.data.dataset import Dataset, Split
from hwnas.data.images import Account, Images, some
from hwnas.data.names import SPLITS, WRAPPERS, shown
from hwnas.data.reading import Prints, ReadingSummary, copies, line
from hwnas.errors import DataError

MIN_PER_CLASS = 5
_AT_ONCE = 2**24  # values of a channel
_CONSTANT = 1e-3  # standard deviation of a channel that says nothing
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadOptions:
    """How a source is to be read and split: the arguments of ``load``."""

    source: str | Path
    resolution: int
    seed: int = 0
    val_share: float = 0.2
    test_share: float = 0.2
    flip: bool | None = None

    def __post_init__(self) -> None:
        for name, share in (("val_share", self.val_share), ("test_share", self.test_share)):
            if not 0 < share <= 0.5:
                raise DataError(f"{name} must be in (0, 0.5], but got {share}")
        if not 0 <= self.seed < 2**63:
            raise DataError(f"seed must be from 0 to 2**63 - 1, but got {self.seed}")
        if self.resolution < 8:
            raise DataError(f"resolution must be at least 8, but got {self.resolution}")


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
    asked = LoadOptions(source, resolution, seed, val_share, test_share, flip)
    raw = sources.read(source, resolution, seed, val_share, test_share)
    raw.account.close([split for split in SPLITS if getattr(raw, split) is None])
    _check(raw, source)
    return assembled(raw, asked)


def assembled(raw: Images, asked: LoadOptions, task: str = "classification") -> Dataset:
    """The dataset of what was read: splits that it does not bring are drawn, the reading is logged."""
    splits, prints = _splits(raw, np.random.default_rng(asked.seed), asked.val_share, asked.test_share)
    mean, std = _statistics(splits["train"].images, raw.account, asked.source)
    is_path = task != "classification" or not embedded.is_embedded(asked.source)
    return Dataset(
        name=str(Path(asked.source).expanduser().resolve()) if is_path else str(asked.source),
        class_names=raw.class_names,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        mean=mean,
        std=std,
        flip=raw.flip if asked.flip is None else asked.flip,
        seed=asked.seed,
        val_share=asked.val_share,
        test_share=asked.test_share,
        reading=_reading(raw, str(asked.source), splits, prints),
        task=task,
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
            drawn = dividing.drawn(labels, share, rng)
            both = zip(dividing.divided(images, drawn), dividing.divided(labels, drawn), strict=True)
            parts["train"], parts[split] = both
            pairs = list(zip(prints["train"], drawn, strict=False))
            prints["train"], prints[split] = [p for p, d in pairs if not d], [p for p, d in pairs if d]
    return {split: Split(*parts[split]) for split in SPLITS}, prints


def _reading(raw: Images, name: str, splits: dict[str, Split], prints: dict[str, Prints]) -> ReadingSummary:
    """The account of a reading, and its log."""
    notes = list(raw.account.notes)
    if all(len(prints[split]) == len(found) for split, found in splits.items()):
        said = {split: contents.identities(found.labels) for split, found in splits.items()}
        notes += copies(prints, said, "labels" if splits["train"].labels.ndim > 1 else "class")
    notes += _unshown(raw.class_names, splits)
    drawn = [split for split in SPLITS if getattr(raw, split) is None]
    counts = {split: len(found) for split, found in splits.items()}
    text = line(name, raw.class_names, counts, drawn, raw.account.left_out)
    if multiprocessing.parent_process() is None:  # of several processes with the same data, one tells
        _LOG.info("%s", text)
        for note in notes:
            _LOG.warning("%s", note)
    return ReadingSummary(text, dict(raw.account.left_out), tuple(notes), raw.account.picture_size)


def _unshown(names: Sequence[str], splits: Mapping[str, Split]) -> Iterator[str]:
    """A note for each split that does not show all classes, where images may show several."""
    for split, found in splits.items():
        there = contents.present(found.labels)
        if there is None or there.any(axis=0).sum() == len(names):
            continue
        absent = [name for number, name in enumerate(names) if not there[:, number : number + 1].any()]
        those = "that class" if len(absent) == 1 else "those classes"
        end = f"nothing is learnt of {those}" if split == "train" else f"what it says is not of {those}"
        yield f"the {split} split shows nothing of {some(absent, 5)}: {end}"


def _check(raw: Images, source: str | Path) -> None:
    if len(raw.class_names) < 2:
        raise DataError(
            f"data must have at least two classes, but {shown(source)} has {list(raw.class_names)}: "
            + (_other_task(raw.class_names) or "add a folder of images of another")
        )
    counts = np.bincount(raw.train[1], minlength=len(raw.class_names))
    if counts.min() < MIN_PER_CLASS:
        fewest = int(counts.argmin())
        out = ", ".join(f"{count} {reason}" for reason, count in raw.account.left_out.most_common(3))
        raise DataError(
            f"every class must have at least {MIN_PER_CLASS} training images, but "
            f"{raw.class_names[fewest]!r} in {shown(source)} has {counts[fewest]}: "
            + (_other_task(raw.class_names) or "add images or remove the class")
            + (f" (left out: {out})" if out else "")
        )


def _other_task(classes: Sequence[str]) -> str:
    """What to do where folders that are called classes are those of another task; else nothing."""
    if not any(name.casefold() in WRAPPERS for name in classes):
        return ""
    return f"where {some(classes)} are no classes, give segmentation (masks) or detection (boxes) as the task"


def _statistics(
    images: NDArray[np.uint8], account: Account, source: str | Path
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of all images, from how often each value is there.

    A channel that is the same everywhere, as two of pictures of one dye, is only shifted.
    """
    counts = np.zeros((images.shape[1], 256), np.int64)
    some = max(1, _AT_ONCE // (images.shape[2] * images.shape[3]))
    for at in range(0, len(images), some):
        for channel, count in enumerate(counts):
            count += np.bincount(images[at : at + some, channel].ravel(), minlength=256)
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

"""Pictures with what is said of their places: how they are found in folders, and read."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwnas.data import formats, names, pixels
from hwnas.data.images import Account, Images, Labelled, some
from hwnas.data.names import shown
from hwnas.data.pixels import Picture
from hwnas.data.table import files_in
from hwnas.data.walk import PictureFolder, Walk
from hwnas.errors import DataError

MIN_IMAGES = 5
"""Training images that there must be, before splits are drawn of them."""
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Sample(Generic[T]):
    """One picture.

    Attributes:
        name: As it is called in notes and errors.
        file: Where it is, or what is in it.
        truth: What is said of it.
    """

    name: str
    file: Path | bytes
    truth: T

    def decoded(self) -> Picture:
        """The picture."""
        return pixels.decode(io.BytesIO(self.file) if isinstance(self.file, bytes) else self.file, self.name)


@dataclass(frozen=True)
class Part(Generic[T]):
    """The samples of a split, which may be read once.

    Attributes:
        count: How many.
        samples: One after another.
    """

    count: int
    samples: Iterable[Sample[T]]

    @classmethod
    def of(cls, samples: Sequence[Sample[T]]) -> Part[T]:
        """Samples that are known."""
        return cls(len(samples), samples)


def stack(
    account: Account,
    split: str,
    part: Part[T],
    resolution: int,
    read: Callable[[int, Sample[T], Picture], None],
) -> NDArray[np.uint8]:
    """The pictures of a split, stretched to squares; ``read`` sees each with its row."""

    def pictures() -> Iterable[tuple[Picture, str]]:
        for row, sample in enumerate(part.samples):
            picture = sample.decoded()
            read(row, sample, picture)
            yield picture, sample.name

    return account.stack(split, pictures(), part.count, resolution, pixels.stretched)


def require_enough(counts: Mapping[str, int], source: str | Path, account: Account) -> None:
    """Refuse sources with too few training images, or none in a split.

    Raises:
        DataError: There are too few.
    """
    if counts["train"] < MIN_IMAGES:
        out = ", ".join(f"{count} {reason}" for reason, count in account.left_out.most_common(3) if count)
        raise DataError(
            f"data must have at least {MIN_IMAGES} training images, but {shown(source)} has "
            f"{counts['train']}: add images" + (f" (left out: {out})" if out else "")
        )
    if empty := [split for split, count in counts.items() if not count]:
        raise DataError(
            f"every split must have images, but {shown(source)} has none for {' and '.join(empty)}: add "
            "images, or remove the file so that a split is drawn"
        )


def images(classes: tuple[str, ...], labelled: Mapping[str, Labelled], account: Account) -> Images:
    """What was read of each split, with an account that is closed."""
    account.close([split for split in names.SPLITS if split not in labelled])
    return Images(classes, labelled["train"], labelled.get("test"), True, labelled.get("val"), account)


def walked(path: Path, account: Account) -> PictureFolder:
    """The pictures below a folder.

    Raises:
        DataError: Some are of a format that cannot be read here.
    """
    walk = Walk(account)
    root = walk.folder(path)
    formats.require_readable(walk.unread, path)
    return root


def are_read(account: Account, files: Iterable[Path]) -> None:
    """Files that are no pictures, and not left out either."""
    account.left_out -= Counter(file.suffix.lower() for file in files)


def place_of(source: str | Path, wanted: str) -> tuple[Path, bool]:
    """The path of a source, and whether it is of parquet files.

    Args:
        source: As it was given.
        wanted: What it must be, in words.

    Raises:
        DataError: It is not there, or is another file.
    """
    try:
        path = Path(source).expanduser()
        if path.is_dir():
            return path, bool(files_in(path)) and not Walk(Account()).folder(path).files
        if not path.exists():
            raise DataError(f"data must be {wanted}, but got {shown(source)!r}: there is no such path")
        with path.open("rb") as file:
            is_parquet = file.read(4) == b"PAR1"
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"data must be at a readable path, but {shown(source)} is not: {error}") from error
    if not is_parquet:
        raise DataError(f"data must be {wanted}, but {shown(source)!r} is another file: unpack or convert it")
    return path, True


def is_alike(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes have the same shape, to about a pixel of the smaller one."""
    (small_w, small_h), (large_w, large_h) = sorted((one, other), key=min)
    return abs(small_w / large_w - small_h / large_h) * max(large_w, large_h) <= 1.5


@dataclass(frozen=True)
class Whereabouts:
    """What the folders of a file say.

    Attributes:
        is_truth: Whether it says what others show.
        split: The split that it is of, if any.
        rest: What else they say, which a picture has in common with what is said of it.
    """

    is_truth: bool
    split: str | None
    rest: tuple[str, ...]


def place(inside: Path, truth: Iterable[str]) -> Whereabouts:
    """What the folders above a file say.

    Args:
        inside: Its path below what was given.
        truth: Words for folders that hold what is said of pictures.
    """
    is_truth, split = False, None
    rest: list[str] = []
    for part in inside.parts[:-1]:
        words = [word.casefold() for word in _WORD.findall(part)]
        is_truth |= any(word in truth for word in words)
        left = [word for word in words if word not in truth and word not in names.WRAPPERS]
        said = names.splits_of([" ".join(left)]) if left else {}
        split = next(iter(said), split)
        rest += [] if said else left
    return Whereabouts(is_truth, split, tuple(rest))


def by_split(found: Mapping[str | None, list[Sample[T]]], account: Account) -> dict[str, list[Sample[T]]]:
    """Samples of each split; those of no split are left out where others are of one.

    Raises:
        DataError: There are splits, but none for training.
    """
    splits = {split: samples for split, samples in found.items() if split is not None and samples}
    unsaid = found.get(None, [])
    if not splits:
        return {"train": unsaid}
    if "train" not in splits:
        raise DataError(
            f"splits must be train and, if wanted, validation and test, but there is only {some(splits)}: "
            "name the folder or list of the training images train"
        )
    if unsaid:
        account.left_out["of no split"] += len(unsaid)
        account.notes.append(
            f"{len(unsaid)} images are of no split and not used ({some(sample.name for sample in unsaid)})"
        )
    return {split: splits[split] for split in names.SPLITS if split in splits}


def one_each(files: Iterable[Path], key: Callable[[Path], K]) -> dict[K, Path]:
    """What is said of each picture, by ``key``; a copy counts once.

    Raises:
        DataError: Two files say something else of the same picture.
    """
    found: dict[K, Path] = {}
    for file in files:
        first = found.setdefault(key(file), file)
        if first is not file and text(first) != text(file):
            raise DataError(
                f"one file must say what a picture shows, but {shown(first)} and {shown(file)} are of the "
                "same and differ: remove one"
            )
    return found


def listed(folder: Path, known: Collection[str]) -> dict[str, list[str]]:
    """The names in ``train.txt``, ``val.txt`` and ``test.txt`` of a folder; ``trainval.txt`` for no train.

    Args:
        folder: Where the lists are.
        known: Names that there are.

    Raises:
        DataError: One is no text.
    """
    found = {split: _lines(folder / f"{split}.txt", known) for split in (*names.SPLITS, "trainval")}
    both = found.pop("trainval")
    if found["train"] is None and both is not None:
        found["train"] = [name for name in both if name not in (found["val"] or ())]
    return {split: lines for split, lines in found.items() if lines}


def _lines(file: Path, known: Collection[str]) -> list[str] | None:
    if not file.is_file():
        return None
    return [_listed_name(line.strip(), known) for line in text(file).splitlines() if line.strip()]


def _listed_name(line: str, known: Collection[str]) -> str:
    """A name, which may have spaces; VOC's lists of a class say after it whether that is shown."""
    name, *last = line.rsplit(maxsplit=1)
    return name if last and last[0] in ("-1", "0", "1") and line not in known else line


def text(file: Path) -> str:
    """What a text file says.

    Raises:
        DataError: It cannot be read, or is not UTF-8.
    """
    try:
        return file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"text files must be UTF-8, but {shown(file)} cannot be read: {error}") from error


def voc_root(path: Path, truth: str) -> Path | None:
    """The folder, at most three below, that holds ``JPEGImages`` and what is said of them.

    Raises:
        DataError: There are several.
    """
    patterns = ("*/" * depth + "JPEGImages" for depth in range(4))
    found = [f.parent for p in patterns for f in sorted(path.glob(p)) if (f.parent / truth).is_dir()]
    if len(found) > 1:
        raise DataError(
            f"data must be one VOC folder, but {shown(path)} holds {some(map(str, found))}: give one of them"
        )
    return next(iter(found), None)

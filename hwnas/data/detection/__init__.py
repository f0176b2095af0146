"""Images with boxes of the objects that they show, for detection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwnas.data import names, samples, table
from hwnas.data.contents import CLASS, CROWD, NO_OBJECT
from hwnas.data.dataset import Dataset, Split
from hwnas.data.detection.coco import coco
from hwnas.data.detection.objects import WANTED, Boxes, Found, Objects, is_crowd, numbered, padded
from hwnas.data.detection.voc import voc
from hwnas.data.detection.yolo import yolo
from hwnas.data.images import Account, Images, Labelled, require_room
from hwnas.data.loading import LoadOptions, assembled
from hwnas.data.names import SPLITS, shown
from hwnas.data.pixels import Picture
from hwnas.data.samples import Part, Sample
from hwnas.errors import DataError

__all__ = ["load"]

_Cells = tuple[list[tuple[float, float, float, float]], list[str], list[bool]]
"""Boxes, categories and crowds of a row."""


def load(
    source: str | Path,
    *,
    resolution: int,
    seed: int = 0,
    val_share: float = 0.2,
    test_share: float = 0.2,
    flip: bool | None = None,
) -> Dataset:
    """Read images and boxes, stretched to squares, and split them; what is odd is logged as a warning.

    Labels are float32 (n, most objects of an image, 6): x1, y1, x2, y2 in pixels of the stretched image,
    class, and 1 for a crowd; a row that is no object has class -1. Boxes are clipped to their picture;
    pictures without objects are kept.

    Args:
        source: A folder with COCO's json (``annotations/instances_*.json``, or beside the pictures), VOC's
            xml, or YOLO's txt and ``data.yaml``; or a parquet file, or a folder of them whose names say the
            split, with columns ``image{bytes,path}`` and ``objects{bbox,category}``, boxes of x, y, width,
            height in pixels, and names in the metadata.
        resolution: Height and width that images are stretched to.
        seed: Of the splits.
        val_share: Share of the training images that becomes the validation split where there is none.
        test_share: Share that becomes the test split where there is none.
        flip: Whether mirrored images are good training images; by default they are.

    Raises:
        DataError: The source cannot be read, or its boxes have no plain meaning.
    """
    asked = LoadOptions(source, resolution, seed, val_share, test_share, flip)
    data = assembled(_read(source, resolution), asked, "detection")
    train, val, test = (_trimmed(data.split(split)) for split in SPLITS)
    return replace(data, train=train, val=val, test=test)


def _read(source: str | Path, resolution: int) -> Images:
    account = Account()
    parts, classes = _found(source, account)
    samples.require_enough({split: part.count for split, part in parts.items()}, source, account)
    require_room(sum(part.count for part in parts.values()), resolution)
    boxes = Boxes(account, resolution)
    labelled = {split: _labelled(split, part, boxes) for split, part in parts.items()}
    shows = labelled["train"][1]
    there = shows[..., CLASS] != NO_OBJECT
    if not (there & (shows[..., CROWD] == 0)).any():
        what = "has only crowds or difficult ones" if there.any() else "has none"
        raise DataError(
            f"training images must show objects to be found, but {shown(source)} {what}: add boxes"
        )
    boxes.close()
    return samples.images(classes, labelled, account)


def _found(source: str | Path, account: Account) -> Found:
    path, is_parquet = samples.place_of(source, WANTED)
    if is_parquet:
        return _parquet(path, account)
    for read in (coco, voc, yolo):
        if found := read(path, account):
            return found
    raise DataError(
        f"data must be {WANTED}, but {shown(path)} holds none of these: give the folder above them"
    )


def _labelled(split: str, part: Part[Objects], boxes: Boxes) -> Labelled:
    rows: list[NDArray[np.float32]] = []

    def read(row: int, sample: Sample[Objects], picture: Picture) -> None:
        rows.append(boxes.rows(sample.truth, sample.name, picture.image.size))

    images = samples.stack(boxes.account, split, part, boxes.resolution, read)
    return images, padded(rows)


def _trimmed(split: Split) -> Split:
    """Without rows that no image of the split needs."""
    most = int((split.labels[..., CLASS] != NO_OBJECT).sum(axis=1).max(initial=1))
    return Split(split.images, np.ascontiguousarray(split.labels[:, :most]))


def _parquet(path: Path, account: Account) -> Found:
    tables = table.tables(path, ("image", "objects"), account)
    found = {split: [_objects(file) for file in files] for split, files in tables.items()}
    said = {
        split: [name for rows in files for row in rows for name in row[1]] for split, files in found.items()
    }
    numbers, classes = _numbers(said, table.stated(tables, path, "objects"), path)
    parts = {}
    for split, files in tables.items():
        rows = (_rows(file, cells, numbers) for file, cells in zip(files, found[split], strict=True))
        parts[split] = Part(sum(file.rows for file in files), chain.from_iterable(rows))
    return parts, names.check_class_names(classes)


def _numbers(
    said: dict[str, list[str]], known: tuple[str, ...] | None, path: Path
) -> tuple[dict[str, int], tuple[str, ...]]:
    """The number of each category as it is written, and the names of all."""
    are_numbers = all(name.isdecimal() for split in said.values() for name in split)
    if not are_numbers:
        numbers = numbered(said, path, known)
        return numbers, tuple(numbers)
    if known is None:
        numbers = numbered(said, path, sorted(set(said["train"]), key=int))
        return numbers, tuple(f"class {name}" for name in numbers)
    most = max((int(name) for split in said.values() for name in split), default=-1)
    if most >= len(known):
        raise DataError(
            f"every category must have a name, but {shown(path)} has {most} and {len(known)} names, which "
            "count from 0: correct the names"
        )
    return {str(number): number for number in range(len(known))}, known


def _objects(file: table.ParquetFile) -> list[_Cells]:
    """What each row says."""
    rows = []
    for row, cell in enumerate(file.column("objects").to_pylist()):
        try:
            boxes = [_corners(box) for box in (cell or {}).get("bbox") or []]
            classes = [str(name) for name in (cell or {}).get("category") or []]
            said = (cell or {}).get("iscrowd") or [None] * len(boxes)
            crowds = [is_crowd(crowd, f"row {row} of {shown(file.path)}") for crowd in said]
            if "None" in classes:
                raise ValueError("a category is missing")
            if not len(boxes) == len(classes) == len(crowds):
                raise ValueError(f"it has {len(boxes)} boxes and {len(classes)} categories")
        except DataError:
            raise
        except (TypeError, ValueError, AttributeError) as error:
            raise DataError(
                "objects must be bbox, a list of x, y, width, height, and category, one a box, but row "
                f"{row} of {shown(file.path)} is not: {error}"
            ) from error
        rows.append((boxes, classes, crowds))
    return rows


def _corners(box: Sequence[float]) -> tuple[float, float, float, float]:
    if any(isinstance(number, str | bytes) for number in box):  # sums of these would be longer texts
        raise TypeError(f"boxes must be of numbers, but it has {box!r}")
    x, y, width, height = box
    return x, y, x + width, y + height


def _rows(file: table.ParquetFile, cells: list[_Cells], numbers: dict[str, int]) -> Iterator[Sample[Objects]]:
    for (name, (image,)), (boxes, classes, crowds) in zip(file.blobs("image"), cells, strict=True):
        yield Sample(name, image, Objects(boxes, [numbers[each] for each in classes], crowds))

"""The objects of a picture, as sources say them, and the rows of labels that become of them."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwnas.data import samples
from hwnas.data.contents import CLASS, CROWD, NO_OBJECT
from hwnas.data.images import Account, some
from hwnas.data.names import shown
from hwnas.data.samples import Part
from hwnas.errors import DataError

_REACH = 0.01  # of a side, beyond which a box is said to leave its picture: less is rounding
SHARES = (1.0, 1.0)
"""The frame of boxes that are shares of their picture's sides."""
WANTED = (
    "a folder with COCO's json, VOC's xml (Annotations, or beside the pictures) or YOLO's txt (images/ and "
    "labels/), or parquet files with image and objects"
)


@dataclass(frozen=True)
class Objects:
    """What is said of one picture.

    Attributes:
        boxes: x1, y1, x2, y2 of each object, in the units of ``frame``.
        classes: Its class: a number from 0, or a name.
        crowds: Whether it is a crowd, or another thing that is neither to be found nor wrong to find.
        frame: Width and height of the picture that boxes are measured on; None for the picture's own.
    """

    boxes: Sequence[tuple[float, float, float, float]] = ()
    classes: Sequence[int] = ()
    crowds: Sequence[bool] = ()
    frame: tuple[float, float] | None = None


Found = tuple[dict[str, Part[Objects]], tuple[str, ...]]
"""The pictures of each split with their objects, and the names of the classes."""


@dataclass
class Boxes:
    """Makes rows of labels, and counts what is odd about boxes.

    Attributes:
        account: Where that is noted in the end.
        resolution: Side of the squares that pictures are stretched to.
    """

    account: Account
    resolution: int
    _clipped: dict[str, int] = field(default_factory=dict)
    _empty: dict[str, int] = field(default_factory=dict)

    def rows(self, objects: Objects, name: str, size: tuple[int, int]) -> NDArray[np.float32]:
        """Rows of the objects that have an area in the picture, shape (objects, 6).

        Args:
            objects: Of a picture.
            name: Of the picture.
            size: Its width and height, upright.

        Raises:
            DataError: They are of a picture of another shape, or no numbers.
        """
        frame = objects.frame or (float(size[0]), float(size[1]))
        if not np.isfinite(frame).all():
            raise DataError(
                f"the size of a picture must be two numbers, but that of {name} is said to be "
                f"{frame[0]:g}x{frame[1]:g}: correct or remove it"
            )
        if frame != SHARES and not samples.is_alike((round(frame[0]), round(frame[1])), size):
            raise DataError(
                f"boxes must be of the picture as it is seen, but {name} has {size[0]}x{size[1]} pixels, "
                f"upright, and its boxes are of one of {frame[0]:g}x{frame[1]:g}: turn one of them, "
                "or correct the size"
            )
        corners = np.array(objects.boxes, np.float64).reshape(-1, 4) / (*frame, *frame)
        if not np.isfinite(corners).all():
            raise DataError(f"boxes must be numbers, but {name} has others: correct them")
        inside = corners.clip(0, 1)
        has_area = (inside[:, 2:] - inside[:, :2] > 0).all(axis=1)
        reaches = (np.abs(corners - inside).max(axis=1, initial=0) > _REACH) & has_area
        self._count(self._clipped, name, int(reaches.sum()))
        self._count(self._empty, name, int((~has_area).sum()))
        rows = np.empty((len(corners), CROWD + 1), np.float32)
        rows[:, :CLASS] = inside * self.resolution
        rows[:, CLASS], rows[:, CROWD] = objects.classes, objects.crowds
        found: NDArray[np.float32] = rows[has_area]
        return found

    def close(self) -> None:
        """Say what all pictures together tell."""
        if self._clipped:
            self.account.notes.append(
                f"{sum(self._clipped.values())} boxes reach beyond their picture and were clipped, in "
                f"{len(self._clipped)} images ({some(self._clipped)})"
            )
        if self._empty:
            self.account.left_out["boxes without area"] += sum(self._empty.values())
            self.account.notes.append(
                f"{sum(self._empty.values())} boxes have no area in their picture, or are inverted, and are "
                f"not used, in {len(self._empty)} images ({some(self._empty)})"
            )

    @staticmethod
    def _count(where: dict[str, int], name: str, count: int) -> None:
        if count:
            where[name] = count


def is_crowd(said: object, where: str) -> bool:
    """Whether ``iscrowd`` says that an object is a crowd; what is missing says that it is none.

    Args:
        said: The value.
        where: Of what it is said.

    Raises:
        DataError: It is neither yes nor no.
    """
    if said is not None and said not in (0, 1):  # True and False are among these, texts are not
        raise DataError(
            f"iscrowd must be 0 or 1, or true or false, but {where} has {reprlib.repr(said)}: correct it"
        )
    return bool(said)


def padded(rows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Labels of images, shape (n, most objects of one, but at least 1, 6)."""
    most = max((len(found) for found in rows), default=0)
    labels = np.zeros((len(rows), max(1, most), CROWD + 1), np.float32)
    labels[..., CLASS] = NO_OBJECT
    for row, found in zip(labels, rows, strict=True):
        row[: len(found)] = found
    return labels


def numbered(
    found: Mapping[str, Sequence[str]], source: Path, known: Sequence[str] | None = None
) -> dict[str, int]:
    """The number of each class name: in the order that is known, or sorted.

    Args:
        found: Names of the objects of each split.
        source: What is read.
        known: All names, where the source lists them.

    Raises:
        DataError: Some are not known, or only of another split than training.
    """
    names = list(known) if known else sorted(set(found.get("train", ())))
    for split, said in found.items():
        if strange := sorted(set(said) - set(names)):
            where = "the list of classes" if known else "training"
            raise DataError(
                f"every class must be in {where}, but {shown(source)} ({split}) has {some(strange, 5)} "
                "besides: rename or remove them, or add them there"
            )
    return {name: number for number, name in enumerate(names)}

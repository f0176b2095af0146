"""What a trained network makes of images: a table of classes, its best and worst masks as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas.tasks import shown
from hwnas.tasks.colours import palette
from hwnas.tasks.pixelwise import VOID
from hwnas.tasks.sections import Section, Table, Text

if TYPE_CHECKING:
    from hwnas.data import Dataset
    from hwnas.tasks.segmented import Segmented

SCHEMA = "hwnas-masks/1"

_SIDE = 112  # pixels of each of the three pictures in one


def describe(found: Segmented, data: Dataset, split: str) -> dict[str, Any]:
    """The content of ``mistakes.json``, but for the network that it is of.

    Args:
        found: What the network takes pixels for.
        data: Where they are from.
        split: Which split of it.
    """
    images, worth = data.split(split), found.by_image
    return {
        "schema": SCHEMA,
        "split": split,
        "images": found.images,
        "class_names": list(data.class_names),
        "pixels": found.pixels.sum(axis=0).tolist(),
        "shown_in": (found.pixels > 0).sum(axis=0).tolist(),
        "ious": list(found.ious),
        "iou_intervals": [list(each) for each in found.iou_intervals],
        "pictures": [
            {
                "row": row,
                "iou": float(worth[row]),
                "png": _beside(images.images[row], images.labels[row], mask, data.num_classes),
            }
            for row, mask in found.masks.items()
        ],
    }


def section(found: Mapping[str, Any]) -> Section:
    """What ``describe`` kept, for the report: IoU by class, then the worst and the best images."""
    lead = f"Of {found['images']:,} {found['split']} images, in PyTorch, before int8."
    note = "Each is the picture, what it shows by the data (void in grey), and what it is taken for."
    pictures = shown.worst_and_best(found["pictures"], note, "mean IoU", "iou")
    return Section("Masks", (Text(lead), _by_class(found), *pictures))


def _by_class(found: Mapping[str, Any]) -> Table:
    columns = (found[name] for name in ("class_names", "shown_in", "pixels", "ious", "iou_intervals"))
    total = max(1, sum(found["pixels"]))
    rows = [
        (str(name), images, f"{pixels / total:.2%}", iou, interval)
        for name, images, pixels, iou, interval in zip(*columns, strict=True)
    ]
    return shown.by_class(("class", "images", "pixels", "IoU (95 %)"), rows)


def _beside(image: NDArray[np.uint8], truth: NDArray[np.uint8], mask: NDArray[np.uint8], classes: int) -> str:
    """Picture (channels, h, w), truth (h, w) and mask (h, w) side by side, as PNG in base64."""
    from PIL import Image

    colours = np.full((VOID + 1, 3), shown.GREY, np.uint8)
    colours[:classes] = palette(classes)
    picture = np.broadcast_to(image.transpose(1, 2, 0), (*image.shape[1:], 3))
    parts = []
    for number, pixels in enumerate((picture, colours[truth], colours[mask])):
        how = Image.Resampling.NEAREST if number else Image.Resampling.BILINEAR
        parts.append(Image.fromarray(np.ascontiguousarray(pixels)).resize((_SIDE, _SIDE), how))
    return shown.beside(parts)


def worst(found: Mapping[str, Any], names: Sequence[str], count: int) -> str:
    """The classes that are met worst, in words."""
    return shown.worst_classes(found["ious"], names, count)
